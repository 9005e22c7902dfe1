"""TensorBoard, by the step, also after a resume.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from speechbrain.utils.distributed import main_process_only
from speechbrain.utils.train_logger import TrainLogger

logger = logging.getLogger(__name__)


class TensorboardLogger(TrainLogger):
    """Logs scalars at the number of updates.

    SpeechBrain's logger counts its own calls, from one again in a resumed run.
    Without the package ``tensorboard`` this one says so once and does nothing.

    Arguments
    ---------
    folder : str
        Where the event files go.
    """

    def __init__(self, folder):
        self.folder, self.writer = folder, None

    @main_process_only
    def log_stats(
        self,
        stats_meta,
        train_stats=None,
        valid_stats=None,
        test_stats=None,
        verbose=False,
    ):
        """Arguments as SpeechBrain's; ``stats_meta`` holds the steps."""
        if self.writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                logger.info("No TensorBoard log: pip install 's3prl_sb[plots]'")
                self.writer = False
            else:
                self.writer = SummaryWriter(self.folder)
        if not self.writer:
            return
        step = stats_meta.get("steps", stats_meta.get("best step"))
        for split, stats in (
            ("train", train_stats),
            ("valid", valid_stats),
            ("test", test_stats),
        ):
            for name, value in (stats or {}).items():
                self.writer.add_scalar(f"{name}/{split}", value, step)
        self.writer.flush()
