"""Learners: what a training changes, and how it counts.

A Brain has one learner. A :class:`~s3prl_sb.brains.sweep.Sweep` has one for each
learning rate and trains all of them on the same batches.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import math
from pathlib import Path

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.files import read_json


class Diverged(RecipeError):
    """A training with more non-finite losses than are tolerated."""


class Learner:
    """Modules, optimizers, counters and best validation of one training.

    Attributes
    ----------
    modules : torch.nn.ModuleDict
        Everything that is trained.
    opt_class : callable
        Takes parameters, returns an optimizer.
    optimizers : dict
        Names to optimizers.
    sampler : s3prl_sb.dataio.sampler.StepSampler
        Sampler of the training batches.
    step : int
        Batches of this epoch so far.
    optimizer_step : int
        Updates so far.
    avg_train_loss : float
        Mean loss of these batches.
    nonfinite_count : int
        Losses of this epoch that were not finite.
    batch_ids : list of str
        Utterances of the current batch.
    best : dict
        Stats of the best validation so far.
    diverged_at : int or None
        Update at which the training diverged.
    """

    def __init__(self):
        self.modules = self.opt_class = self.optimizers = self.sampler = None
        self.step = self.optimizer_step = self.nonfinite_count = 0
        self.batch_ids, self.avg_train_loss = [], 0.0
        self.best, self.diverged_at = {}, None

    @property
    def best_epoch(self):
        """Epoch of the best validation so far; 0 without one."""
        return self.best.get("epoch", 0)

    def follow(self, leader, batch):
        """Takes over the position of the training that provides the batches.

        Arguments
        ---------
        leader : Learner
            Learner of that training.
        batch : speechbrain.dataio.batch.PaddedBatch
            The current batch.
        """
        self.sampler, self.step = leader.sampler, leader.step
        self.optimizer_step, self.batch_ids = leader.optimizer_step, list(batch.id)

    def record_validation(self, score, loss, epoch, highest):
        """Keeps a validation as the best if it is better than all earlier ones.

        Arguments
        ---------
        score, loss : float
            The metric that chooses, and the mean loss.
        epoch : int
            Number of the epoch.
        highest : bool
            Whether the highest score is the best.
        """
        before = self.best.get("score")
        better = before is None or (score > before if highest else score < before)
        if better and math.isfinite(score):
            self.best = {"score": score, "loss": loss, "epoch": epoch}


def learned(name):
    """Returns a property of a Brain that is stored in its ``learner``.

    Arguments
    ---------
    name : str
        Attribute of :class:`Learner`.

    Returns
    -------
    property
    """

    def read(brain):
        return getattr(brain.learner, name)

    def write(brain, value):
        setattr(brain.learner, name, value)

    return property(read, write)


@register_checkpoint_hooks
class SweepState:
    """Counters and best validations of several learners, saved with checkpoints.

    Arguments
    ---------
    learners : list of Learner
        All learners of a sweep.
    """

    def __init__(self, learners):
        self.learners = learners
        self.stacked = None  # whether they train stacked; None until it was tried

    @mark_as_saver
    def _save(self, path):
        state = {
            "best": [learner.best or None for learner in self.learners],
            "diverged": [learner.diverged_at for learner in self.learners],
            "nonfinite": [learner.nonfinite_count for learner in self.learners],
            "train_loss": [learner.avg_train_loss for learner in self.learners],
            "stacked": self.stacked,
        }
        Path(path).write_text(json.dumps(state), encoding="utf-8")

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        state = read_json(path, "the standing of a search", kind=dict)
        self.stacked = state["stacked"]
        keys = ("best", "diverged", "nonfinite", "train_loss")
        rows = zip(self.learners, *(state[key] for key in keys))
        for learner, best, diverged_at, nonfinite_count, loss in rows:
            learner.avg_train_loss = loss
            learner.best, learner.diverged_at = best or {}, diverged_at
            learner.nonfinite_count = nonfinite_count
