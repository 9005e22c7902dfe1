"""The table of a training as text, in numbers as people write them.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from pathlib import Path

from speechbrain.utils.distributed import main_process_only
from speechbrain.utils.train_logger import FileTrainLogger

from s3prl_sb.storage.files import write_text
from s3prl_sb.terminal import quantities

#: Nothing depends on what is logged, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

logger = logging.getLogger(__name__)


class TrainLog(FileTrainLogger):
    """A line for each validation, in a file and on the console.

    SpeechBrain's logger writes shares as 3.2917e-01.

    Arguments
    ---------
    save_file : str
        The file.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> log = TrainLog(folder / "log.txt")
    >>> log.log_stats({"steps": 500}, {"loss": 1.5}, {"accuracy": 0.329})
    >>> print((folder / "log.txt").read_text(), end="")
    steps: 500 - train loss: 1.5 - valid accuracy: 32.90 %
    """

    def __init__(self, save_file):
        super().__init__(save_file)

    def _item_to_string(self, key, value, dataset=None):
        name = f"{dataset} {key}" if dataset else key
        return f"{name}: {quantities.measure(key, value)}"

    @main_process_only
    def log_stats(
        self,
        stats_meta,
        train_stats=None,
        valid_stats=None,
        test_stats=None,
        verbose=True,
    ):
        """Arguments as SpeechBrain's."""
        stats = train_stats, valid_stats, test_stats
        path = Path(self.save_file)
        before = path.read_text("utf-8") if path.exists() else ""
        super().log_stats(stats_meta, *stats, verbose=False)
        line = path.read_text("utf-8")[len(before) :]
        if test_stats and before.endswith(line):  # a finished run, tested again
            write_text(path, before)
        if verbose:
            when = quantities.measures(stats_meta).capitalize()
            words = [
                f"{name} {quantities.measures(found)}"
                for name, found in zip(("train", "valid", "test"), stats)
                if found
            ]
            logger.info("%s: %s", when, "; ".join(words))
