"""Early stopping: the end of a training whose validations no longer improve.

``patience: 3`` stops a training after three validations in a row without a better one,
by the metric and direction that choose the checkpoint; an equal one is not better. The
decision has no state: it follows from the best checkpoint and the number of the epoch,
so a run that is killed at any moment and run again stops at the same step, and a run
that has stopped stays stopped, also with a larger ``total_steps``.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.brains.course import planned

logger = logging.getLogger(__name__)


class Stopping:
    """Epochs of a training, up to the one after which it stops.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain to train; its setting ``patience`` may be None.
    counter : speechbrain.utils.epoch_loop.EpochCounter
        Counter of its epochs, which a checkpoint restores.

    Attributes
    ----------
    step : int or None
        Number of updates after which the training has stopped.
    """

    def __init__(self, brain, counter):
        self.brain, self.counter = brain, counter
        self.patience = getattr(brain.hparams, "patience", None)
        self.step = None

    def __iter__(self):
        if self.is_due():
            return
        for epoch in self.counter:
            yield epoch
            if self.is_due():
                logger.info("%s stops at %s", self.brain.title, self)
                return

    def is_due(self):
        """Returns whether the last validation is to be the last one.

        Returns
        -------
        bool
        """
        if not self.patience:
            return False
        epoch = self.counter.current
        if epoch - self.brain.best_epoch() < self.patience:
            return False
        self.step = epoch * planned(self.brain)[1]
        return True

    def __str__(self):
        """Says at which step the training has stopped, and why."""
        validations = "validation" if self.patience == 1 else "validations"
        return (
            f"step {self.step:,}: {self.patience} {validations} without a better "
            f"{self.brain.metric} (patience)"
        )
