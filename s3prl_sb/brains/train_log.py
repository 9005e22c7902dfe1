"""Text log of a training, with readable numbers.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from pathlib import Path

from speechbrain.utils.distributed import main_process_only
from speechbrain.utils.train_logger import FileTrainLogger

from s3prl_sb.terminal import quantities

#: Nothing depends on what is logged, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

logger = logging.getLogger(__name__)


class TrainLog(FileTrainLogger):
    """Writes a line for each validation to a file and to the console.

    SpeechBrain's logger would write 32.9 % as 3.2917e-01.

    Arguments
    ---------
    save_file : str
        Path of the file.

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

    @main_process_only
    def begin_again(self):
        """Deletes the file: the run is replaced by another one."""
        Path(self.save_file).unlink(missing_ok=True)

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
        """Logs statistics; see SpeechBrain's ``FileTrainLogger``."""
        stats = {"train": train_stats, "valid": valid_stats, "test": test_stats}
        stats = {name: values for name, values in stats.items() if values is not None}
        parts = [self._stats_to_string(values, name) for name, values in stats.items()]
        line = " - ".join([self._stats_to_string(stats_meta), *parts]) + "\n"
        # A finished run that is tested again adds no second line.
        if not (test_stats and self._ends_with(line)):
            with open(self.save_file, "a", encoding="utf-8") as file:
                file.write(line)
        if verbose:
            when = quantities.measures(stats_meta).capitalize()
            words = [
                f"{name} {quantities.measures(values)}"
                for name, values in stats.items()
                if values
            ]
            logger.info("%s: %s", when, "; ".join(words))

    def _ends_with(self, line):
        path = Path(self.save_file)
        return path.exists() and path.read_text("utf-8").endswith(line)
