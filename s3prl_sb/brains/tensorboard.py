"""TensorBoard logger that counts updates and survives a resume.

Authors
 * The s3prl_sb developers, 2026
"""

import shutil
import time
from pathlib import Path

import soundfile
from speechbrain.utils.distributed import main_process_only
from speechbrain.utils.train_logger import TrainLogger

from s3prl_sb.brains.plots import log_once
from s3prl_sb.loggers.tracker import curves
from s3prl_sb.loggers.tracker import results as named_results

#: Nothing depends on what is logged, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
TEST = "test"  #: folder of the results of a finished run


class TensorboardLogger(TrainLogger):
    """Logs a training by the number of updates, and its results.

    At every ``every``-th update it logs the loss of the batch, the norm of the gradient
    before clipping, and the learning rate. At each validation it logs the measures, the
    mean training loss since the last validation, and the weights of the layers. At the
    end it logs into the folder ``test`` the measures of the test set, the pictures, and
    the settings with the chosen measure, for the tab HPARAMS.

    A run that is killed and run again continues the same curves: points after the
    checkpoint that it resumes from become void. (SpeechBrain's logger counts its calls,
    and restarts at one.) Without the package ``tensorboard`` this logger reports that
    once and does nothing.

    Arguments
    ---------
    folder : str
        Folder of the event files.
    every : int
        Number of updates between two points of the training curves.
    """

    def __init__(self, folder, every=100):
        self.folder, self.every, self.writer = folder, every, None
        self.step = 0

    def resume(self, step):
        """Begins or continues after an update.

        Arguments
        ---------
        step : int
            Number of the update; points of later updates become void.
        """
        self.close()
        self.step = step

    def begin_again(self):
        """Begins the curves again: the run is replaced by another one."""
        self.resume(0)

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
            Number of the update.
        facts : dict
            Names to numbers, or to words, which no curve has.
        """
        if writer := self._writer():
            for name, value in curves(facts):
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
        """Logs a validation; see SpeechBrain's ``TrainLogger``.

        ``stats_meta`` has the steps. The measures of the test come with
        :meth:`log_results`.
        """
        if "steps" not in stats_meta or not self._writer():
            return
        for split, stats in (("train", train_stats), ("valid", valid_stats)):
            for name, value in curves(stats or {}):
                self.writer.add_scalar(f"{name}/{split}", value, stats_meta["steps"])
        self.writer.flush()

    @main_process_only
    def log_weights(self, step, layers, weights):
        """Logs the weight of each hidden state in the features.

        Arguments
        ---------
        step : int
            Updates so far.
        layers : list of int
            Indices of the hidden states.
        weights : list of float
            Weight of each.
        """
        if len(layers) > 1 and self._writer():
            for layer, weight in zip(layers, weights):
                self.writer.add_scalar(f"layer_weight/{layer:02d}", weight, step)
            self.writer.flush()

    def log_results(
        self,
        settings,
        metrics,
        pictures,
        step,
        split="test",
        sounds=(),
        intervals=None,
    ):
        """Logs the results of a run, and replaces those of an earlier one.

        Call it in the main process only.

        Arguments
        ---------
        settings : dict
            Settings of the run; only plain values are logged.
        metrics : dict
            Names to numbers.
        pictures : list of pathlib.Path
            PNG files.
        step : int
            Updates of the checkpoint.
        split : str
            Split of the metrics.
        sounds : list of (str, pathlib.Path)
            Names and WAV files of one channel.
        intervals : dict, optional
            Metrics to the limits of their intervals.
        """
        folder = Path(self.folder) / TEST
        shutil.rmtree(folder, ignore_errors=True)
        writer = _writer(str(folder))
        if not writer:
            return
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard.summary import hparams

        tags = named_results(metrics, split, intervals)
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
        for tag, path in sounds:
            value = Summary.Value(tag=tag, audio=_audio(Summary.Audio, path))
            writer.file_writer.add_summary(Summary(value=[value]), step)
        writer.close()

    def flush(self):
        """Writes everything logged so far to the disk."""
        if self.writer:
            self.writer.flush()

    def close(self):
        """Closes the event file; later calls begin a new one."""
        if self.writer:
            self.writer.close()
        self.writer = None


def _audio(kind, path):
    """Returns the message of a WAV file."""
    info = soundfile.info(str(path))
    return kind(
        sample_rate=info.samplerate,
        num_channels=info.channels,
        length_frames=info.frames,
        encoded_audio_string=path.read_bytes(),
        content_type="audio/wav",
    )


def _writer(folder, **options):
    """Returns a writer, or False without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log_once("No TensorBoard log: pip install 's3prl_sb[plots]'")
        return False
    # Files are read in the order of their names, which have a resolution of a second.
    while any(Path(folder).glob(f"events.out.tfevents.{int(time.time())}.*")):
        time.sleep(0.05)
    return SummaryWriter(folder, **options)
