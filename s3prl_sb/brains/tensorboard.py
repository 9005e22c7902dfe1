"""TensorBoard, by the step, also after a resume.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import shutil
import time
from pathlib import Path

from speechbrain.utils.distributed import main_process_only
from speechbrain.utils.train_logger import TrainLogger

#: Nothing depends on what is logged, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

logger = logging.getLogger(__name__)

TEST = "test"  #: the folder of what a finished run came to


class TensorboardLogger(TrainLogger):
    """Logs a training at the number of updates, and what it came to.

    Every so many updates the loss of the batch, the norm of the gradient before it is
    clipped, and the learning rate; at each validation its measures, the mean loss of
    training since the last one, and the weights of the layers; at the end, in the
    folder ``test``, the measures of the test set, the pictures, and the settings with
    the chosen measure, for the tab HPARAMS.

    Killed and run again, a run goes on with the same curves: what was logged after the
    checkpoint it goes on from is marked as void. SpeechBrain's logger counts its own
    calls, from one again. Without the package ``tensorboard`` this one says so once and
    does nothing.

    Arguments
    ---------
    folder : str
        Where the event files go.
    every : int
        Updates between two points of the curves of training.
    """

    def __init__(self, folder, every=100):
        self.folder, self.every, self.writer = folder, every, None
        self.step = 0

    def go_on(self, step):
        """Begins, or goes on, after an update.

        Arguments
        ---------
        step : int
            Its number; what was logged of later ones is void.
        """
        self.close()
        self.step = step

    def _writer(self):
        if self.writer is None:
            void = self.step + 1 if any(Path(self.folder).glob("events.*")) else None
            self.writer = _writer(self.folder, purge_step=void)
        return self.writer

    def log_step(self, step, facts):
        """Logs an update.

        Arguments
        ---------
        step : int
            Its number.
        facts : dict
            Names to numbers.
        """
        if writer := self._writer():
            for name, value in facts.items():
                writer.add_scalar(f"{name}/step", value, step)

    @main_process_only
    def log_stats(
        self,
        stats_meta,
        train_stats=None,
        valid_stats=None,
        test_stats=None,
        verbose=False,
    ):
        """Arguments as SpeechBrain's; ``stats_meta`` holds the steps. Those of the
        test come with :meth:`log_results`."""
        if "steps" not in stats_meta or not self._writer():
            return
        for split, stats in (("train", train_stats), ("valid", valid_stats)):
            for name, value in (stats or {}).items():
                self.writer.add_scalar(f"{name}/{split}", value, stats_meta["steps"])
        self.writer.flush()

    @main_process_only
    def log_weights(self, step, layers, weights):
        """Logs how much of each hidden state the features are made of.

        Arguments
        ---------
        step : int
            Updates so far.
        layers : list of int
            The hidden states.
        weights : list of float
            The weight of each.
        """
        if len(layers) > 1 and self._writer():
            for layer, weight in zip(layers, weights):
                self.writer.add_scalar(f"layer_weight/{layer:02d}", weight, step)
            self.writer.flush()

    def log_results(self, settings, metrics, pictures, step, split="test"):
        """Logs what a run came to, in the place of what an earlier one did; for the
        main process alone, whatever others do.

        Arguments
        ---------
        settings : dict
            What the run was; plain values.
        metrics : dict
            Names to numbers.
        pictures : list of pathlib.Path
            PNG files.
        step : int
            Of the checkpoint.
        split : str
            What the metrics are of.
        """
        folder = Path(self.folder) / TEST
        shutil.rmtree(folder, ignore_errors=True)
        writer = _writer(str(folder))
        if not writer:
            return
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard.summary import hparams

        tags = {f"{name}/{split}": float(value) for name, value in metrics.items()}
        kinds = (bool, int, float, str)
        plain = {k: v for k, v in settings.items() if isinstance(v, kinds)}
        for summary in hparams(plain, tags):
            writer.file_writer.add_summary(summary)
        for tag, value in tags.items():
            writer.add_scalar(tag, value, step)
        for path in pictures:
            data = path.read_bytes()
            width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
            image = Summary.Image(
                width=width, height=height, colorspace=4, encoded_image_string=data
            )
            value = Summary.Value(tag=path.stem, image=image)
            writer.file_writer.add_summary(Summary(value=[value]), step)
        writer.close()

    def flush(self):
        """Puts what was logged on the disk."""
        if self.writer:
            self.writer.flush()

    def close(self):
        """Ends the file; the next thing that is logged begins another."""
        if self.writer:
            self.writer.close()
        self.writer = None


def _writer(folder, **options):
    """A writer, or False where there is no TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        if not _said:
            _said.append(True)
            logger.info("No TensorBoard log: pip install 's3prl_sb[plots]'")
        return False
    # Files are read in the order of their names, which tell the second.
    while any(Path(folder).glob(f"events.out.tfevents.{int(time.time())}.*")):
        time.sleep(0.05)
    return SummaryWriter(folder, **options)


_said = []
