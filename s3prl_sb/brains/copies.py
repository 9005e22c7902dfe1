"""Training of several Brains together, on shared batches and features.

A batch is loaded once for all of them and, where features are not cached, the frozen
upstream runs once over it. If the modules allow it (linear layers and similar ones),
the weights of all copies are stacked, and :func:`torch.func.vmap` computes all copies
in one pass; recurrent modules train in turns.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import copy
import functools
import logging
import math

import speechbrain as sb
import torch
from speechbrain.utils.epoch_loop import EpochCounter

from s3prl_sb.brains import course, memory
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.learner import Diverged, SweepState
from s3prl_sb.brains.stacking import Stack, fuse
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.terminal.quantities import measure

logger = logging.getLogger(__name__)


def copy_of(
    brain_class,
    hparams,
    run_opts,
    modules,
    rate,
    loggers=(),
    checkpointer=None,
    **kwargs,
):
    """Makes a Brain of a recipe with separate modules, for :class:`Copies`.

    Arguments
    ---------
    brain_class : type
        A :class:`~s3prl_sb.brains.base.SSLBrain`.
    hparams : dict
        Settings of the recipe.
    run_opts : dict
        SpeechBrain's options.
    modules : dict
        Modules with the initial weights. Copied, not changed.
    rate : float
        Learning rate.
    loggers : list
        Its logs; default: none.
    checkpointer : AtomicCheckpointer, optional
        Its checkpointer, besides that of all copies.
    **kwargs
        Other arguments of the Brain.

    Returns
    -------
    s3prl_sb.brains.base.SSLBrain
    """
    changes = {
        "lr": rate,
        "train_loggers": list(loggers),
        "opt_class": functools.partial(hparams["opt_class"], lr=rate),
    }
    return brain_class(
        modules=copy.deepcopy(modules),
        hparams={**hparams, **changes},
        run_opts=run_opts,
        checkpointer=checkpointer,
        **kwargs,
    )


class Copies(SSLBrain):
    """Several Brains of one task that learn from the same batches.

    Each learns what it would alone: same initial weights, batches, random numbers and
    clipping. They train in turns, or stacked, which is faster and rounds differently.

    Arguments
    ---------
    copies : list of SSLBrain
        Brains with separate modules, see :func:`copy_of`. Their learners are trained
        here.
    names : list of str
        Name of each copy in messages.
    rates : list of float
        Learning rate of each copy.
    hparams : dict
        Settings of the recipe.
    run_opts : dict
        SpeechBrain's options.
    checkpointer : AtomicCheckpointer
        Saves all copies.
    """

    can_stack = True  #: whether copies may be stacked
    none_left = ""  #: error if all copies diverge

    def __init__(self, copies, names, rates, hparams, run_opts=None, checkpointer=None):
        first = copies[0]
        self.task, self.metric = first.task, first.metric
        self.higher_is_better = first.higher_is_better
        super().__init__(
            modules={f"copy{i}": brain.modules for i, brain in enumerate(copies)},
            hparams={**hparams, "train_loggers": []},
            run_opts=run_opts,
            checkpointer=checkpointer,
        )
        self.copies, self.names, self.rates = copies, names, rates
        self.learners = [brain.learner for brain in copies]
        self.counter = EpochCounter(hparams["epoch_counter"].limit)
        self.state = SweepState(self.learners)
        if checkpointer is not None:
            for i, brain in enumerate(copies):
                if brain.scaler.is_enabled():
                    name = f"scaler{i}"
                    checkpointer.add_recoverable(name, brain.scaler, optional_load=True)
            checkpointer.add_recoverable("counter", self.counter)
            checkpointer.add_recoverable("standing", self.state)
        stacks = self.can_stack and Stack.is_possible(copies)
        self.stack = Stack(copies) if stacks else None
        self.stack_is_verified = False
        self.validated = 0  # epoch of the last validation

    @property
    def active(self):
        """Numbers and Brains of the copies that are still trained."""
        return [
            (i, brain)
            for i, brain in enumerate(self.copies)
            if brain.learner.diverged_at is None
            and self.validated - brain.learner.best_epoch < self.patience
        ]

    @property
    def patience(self):
        """Number of validations without a better one after which a copy stops."""
        return getattr(self.hparams, "patience", None) or math.inf

    def best_epoch(self):
        """Returns the latest epoch at which a copy was at its best."""
        left = [each for each in self.learners if each.diverged_at is None]
        return max((learner.best_epoch for learner in left), default=0)

    # ------------------------------------------------------------- training
    def init_optimizers(self):
        """Makes the optimizers of all copies."""
        self.optimizers_dict = {}
        for i, brain in enumerate(self.copies):
            brain.init_optimizers()
            for name, optimizer in brain.learner.optimizers.items():
                self.optimizers_dict[f"{name}{i}"] = optimizer
        if self.checkpointer is not None:
            self.checkpointer.add_recoverables(self.optimizers_dict)

    def compute_forward(self, batch, stage):
        """Runs one copy, for a rehearsal of the largest batch."""
        return self.copies[0].compute_forward(self.batch_of(0, batch), stage)

    def compute_objectives(self, predictions, batch, stage):
        """Runs one copy, for a rehearsal of the largest batch."""
        batch = self.batch_of(0, batch)
        return self.copies[0].compute_objectives(predictions, batch, stage)

    def batch_of(self, i, batch):
        """Returns the batch that a copy is trained and evaluated on.

        Arguments
        ---------
        i : int
            Number of the copy.
        batch : speechbrain.dataio.batch.PaddedBatch
            Batch of all copies.

        Returns
        -------
        speechbrain.dataio.batch.PaddedBatch
        """
        return batch

    def fit_batch(self, batch):
        """Trains all copies on one batch.

        Returns
        -------
        torch.Tensor
            Mean of their finite losses.
        """
        should_step = self.step % self.grad_accumulation_factor == 0
        for learner in self.learners:
            learner.follow(self.learner, batch)
        self._share_states(batch)
        if self.stack is not None and not self.stack_is_verified:
            self._verify_stack(batch)
        fit = self._fit_in_turns if self.stack is None else self._fit_stack
        losses = fit(batch, should_step)
        if all(learner.diverged_at is not None for learner in self.learners):
            raise RecipeError(self.none_left)
        self.optimizer_step += should_step
        self.keep_losses(losses)
        losses = [loss for loss in losses if math.isfinite(loss)]
        return torch.tensor(sum(losses) / len(losses) if losses else math.nan)

    def keep_losses(self, losses):
        """Keeps what is needed of the losses of a batch; here nothing.

        Arguments
        ---------
        losses : list of float
            One for each of :attr:`active`.
        """

    def _share_states(self, batch):
        """Runs the frozen upstream once for all copies."""
        if not hasattr(batch, "feats"):
            with memory.named(batch):
                batch.feats = self.hidden_states(batch.to(self.device))

    def _fit_stack(self, batch, should_step):
        self.on_fit_batch_start(batch, should_step)  # the random numbers
        with memory.named(batch):
            with self.training_ctx:
                losses = self.stack.losses(batch)
            (losses.sum() / self.grad_accumulation_factor).backward()
        losses = losses.detach()
        for i, brain in self.active if not losses.isfinite().all() else ():
            with self._dropped_if_diverged(i):
                brain.check_loss_isfinite(losses[i])
        if should_step:
            self.stack.step([i for i, _ in self.active], self.max_grad_norm)
        losses = losses.tolist()
        return [losses[i] for i, _ in self.active]

    def _fit_in_turns(self, batch, should_step):
        losses = []
        for i, brain in self.active:
            with self._dropped_if_diverged(i):
                losses.append(float(brain.fit_batch(self.batch_of(i, batch))))
        return losses

    @contextlib.contextmanager
    def _dropped_if_diverged(self, i):
        try:
            yield
        except Diverged as error:
            logger.warning("%s is out: %s", self.names[i], error)
            self.learners[i].diverged_at = self.optimizer_step

    def _verify_stack(self, batch):
        """Keeps the stack if its losses are right; the checkpoints store the answer."""
        if self.state.stacked is None:
            seed = functools.partial(self.on_fit_batch_start, batch, True)
            with torch.autocast(self.device_type, enabled=False):
                self.state.stacked = self.stack.is_right(batch, seed)
            how = "stacked" if self.state.stacked else "in turns"
            logger.info("%d copies train %s", len(self.copies), how)
        if not self.state.stacked:
            self.stack = None
        # Only now: in turns, a copy has the bits of a run alone.
        for optimizer in self.optimizers_dict.values() if self.stack else ():
            fuse(optimizer)
        self.stack_is_verified = True

    # --------------------------------------------------------------- stages
    def evaluate_batch(self, batch, stage):
        """Evaluates all copies on one batch; returns the mean of their losses."""
        self._share_states(batch)
        losses = []
        for i, brain in self.active:
            loss = brain.evaluate_batch(self.batch_of(i, batch), stage)
            self.means[i] = brain.update_average(loss, self.means[i])
            self.batch_weight = brain.batch_weight
            losses.append(float(loss))
        return torch.tensor(sum(losses) / len(losses) if losses else math.nan)

    def on_stage_start(self, stage, epoch=None):
        """Resets what the stage collects."""
        if epoch is not None:  # which a test does not have
            self.validated = epoch - 1  # also where it has resumed
        self.means, self.evaluated = [0.0] * len(self.copies), 0
        if stage == sb.Stage.TRAIN and self.step == 0:  # otherwise resumed
            for learner in self.learners:
                learner.nonfinite_count = 0
        for _, brain in self.active:
            brain.on_stage_start(stage, epoch)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Records each copy's validation, and saves a checkpoint."""
        if stage != sb.Stage.VALID:
            return
        scores = []
        for i, brain in self.active:
            stats = brain.stage_stats(stage)
            score = float(stats[self.metric])
            brain.learner.record_validation(
                score, self.means[i], epoch, self.higher_is_better
            )
            loss = {"loss": self.means[i]} if brain.evaluation_loss else {}
            self.keep_validated(i, {**loss, **stats}, epoch)
            scores.append(f"{self.names[i]}: {measure(self.metric, score)}")
            if self.stop_of(brain.learner):
                scores[-1] += " (stops)"
        self.checkpointer.save_and_keep_only(meta={"epoch": epoch})
        self.tidy()
        words = epoch * course.planned(self)[1], self.metric, ", ".join(scores)
        logger.info("Step %d, valid %s: %s", *words)

    def keep_validated(self, i, stats, epoch):
        """Keeps what is needed of a copy after a validation; here nothing.

        Arguments
        ---------
        i : int
            Number of the copy.
        stats : dict
            Its metrics of the validation set, and its loss where that is meaningful.
        epoch : int
            Number of the epoch.
        """

    def tidy(self):
        """Deletes what the checkpoint of all copies makes needless; here nothing."""

    def best_of(self, numbers):
        """Returns which of some copies is the best.

        Arguments
        ---------
        numbers : iterable of int
            Numbers of the copies.

        Returns
        -------
        int or None
            Among copies of an equal metric the one with the lower loss, then the
            smaller learning rate; None if all have diverged.
        """
        ranked, sign = [], 1 if self.higher_is_better else -1
        for i in numbers:
            best = self.learners[i].best
            if best and self.learners[i].diverged_at is None:
                key = (sign * best["score"], -best["loss"], -self.rates[i])
                ranked.append((*key, i))
        return max(ranked)[-1] if ranked else None

    def stop_of(self, learner):
        """Returns the step after which a copy stopped early.

        Arguments
        ---------
        learner : s3prl_sb.brains.learner.Learner
            Learner of the copy.

        Returns
        -------
        int or None
            None if it did not stop.
        """
        epoch = learner.best_epoch + self.patience
        stopped = learner.diverged_at is None and epoch <= self.counter.current
        return epoch * course.planned(self)[1] if stopped else None
