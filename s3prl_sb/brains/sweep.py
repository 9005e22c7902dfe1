"""Training at several learning rates together, on shared batches and features.

SUPERB searches the learning rate of every task for every upstream. A sweep does once
what separate runs would repeat: loading a batch and, where features are not cached,
the forward pass of the upstream. If the modules allow it (linear layers and similar
ones), the weights of all copies are stacked, and :func:`torch.func.vmap` computes all
copies in one pass; recurrent modules train in turns.

Each copy learns what a separate run at its learning rate would learn: same initial
weights, batches, random numbers and clipping; up to rounding.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import copy
import functools
import logging
import math
from pathlib import Path

import speechbrain as sb
import torch
from speechbrain.utils.epoch_loop import EpochCounter

from s3prl_sb.brains import course, memory
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.brains.learner import Diverged, SweepState
from s3prl_sb.brains.settings import IDENTITY, current
from s3prl_sb.brains.stacking import Stack, fused
from s3prl_sb.identity import FORMAT
from s3prl_sb.identity.data import digests
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.startup.preconditions import check_search
from s3prl_sb.storage.files import FileError, naming, read_json, write_json
from s3prl_sb.terminal.quantities import measure

logger = logging.getLogger(__name__)

RESULT = "lr_search.json"
_NONE_LEFT = (
    "all learning rates diverge. Give lower ones to lr_search, or lower max_grad_norm."
)


def search(brain_class, hparams, run_opts, splits, modules, **kwargs):
    """Trains one Brain for each learning rate, all together; returns the best rate.

    A search that is killed and run again resumes bit-identically. It writes
    ``lr_search.json`` into the output folder; if that file exists already for the same
    settings, nothing is trained.

    Arguments
    ---------
    brain_class : type
        A :class:`~s3prl_sb.brains.base.SSLBrain`.
    hparams : dict
        Settings of the recipe, with ``lr_search``, a list of learning rates.
    run_opts : dict
        SpeechBrain's options.
    splits : dict
        "train" and "valid" to datasets; changed in place to cached features.
    modules : dict
        All modules to train, the featurizer too. Copied, not changed.
    **kwargs
        Other arguments of the Brain.

    Returns
    -------
    float
        The learning rate with the best validation metric; among equal ones the one
        with the lower loss, then the smaller one.

    Raises
    ------
    RecipeError
        If the search is impossible, or every learning rate diverges.
    """
    rates = check_search(hparams, run_opts)
    path = Path(hparams["output_folder"]) / RESULT
    data = digests(splits)
    settings = _settings(hparams, run_opts, rates, data)
    earlier = _read(path)
    before = earlier.get("settings", {})
    if earlier and before.get(IDENTITY, {}).get("format") != FORMAT:
        logger.info("%s is of an older identity: the search is made anew", path)
    elif earlier and before == settings:
        logger.info("The best learning rate is known from %s", path)
        return earlier["best"]

    copies = []
    for rate in rates:
        changes = {
            "lr": rate,
            "train_loggers": [],
            "opt_class": functools.partial(hparams["opt_class"], lr=rate),
        }
        brain = brain_class(
            modules=copy.deepcopy(modules),
            hparams={**hparams, **changes},
            run_opts=run_opts,
            **kwargs,
        )
        copies.append(brain)
    copies[0].use_cache(splits)
    folder = Path(hparams["save_folder"]) / "lr_search"
    sweep = Sweep(copies, rates, hparams, run_opts, AtomicCheckpointer(str(folder)))
    sweep.data = data
    sweep.fit(
        sweep.counter,
        splits["train"],
        splits["valid"],
        train_loader_kwargs=dict(hparams["train_dataloader_opts"]),
        valid_loader_kwargs=dict(hparams["valid_dataloader_opts"]),
    )
    result = sweep.result()
    if result["best"] is None:
        raise RecipeError(_NONE_LEFT)
    write_json(path, {**result, "settings": settings}, signed=True)
    # They hold every head and optimizer, and only the result is needed.
    sweep.checkpointer.delete_checkpoints(num_to_keep=0)
    return result["best"]


class Sweep(SSLBrain):
    """Several Brains of one task that differ only in the learning rate.

    Arguments
    ---------
    copies : list of SSLBrain
        Brains with separate modules of the same initial weights, and without a
        checkpointer. Their learners are trained here.
    rates : list of float
        Learning rate of each copy.
    hparams : dict
        Settings of the recipe.
    run_opts : dict
        SpeechBrain's options.
    checkpointer : AtomicCheckpointer
        Checkpointer of the search, which is not that of the run.
    """

    title = "Search of learning rates"

    def __init__(self, copies, rates, hparams, run_opts=None, checkpointer=None):
        first = copies[0]
        self.task, self.metric = first.task, first.metric
        self.higher_is_better = first.higher_is_better
        super().__init__(
            modules={f"copy{i}": brain.modules for i, brain in enumerate(copies)},
            hparams={**hparams, "lr": list(rates), "train_loggers": []},  # all rates
            run_opts=run_opts,
            checkpointer=checkpointer,
        )
        self.copies, self.rates = copies, rates
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
        self.stack = Stack(copies) if Stack.is_possible(copies) else None
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
            if self.stack is not None:
                brain.learner.opt_class = fused(brain.learner.opt_class)
            brain.init_optimizers()
            for name, optimizer in brain.learner.optimizers.items():
                self.optimizers_dict[f"{name}{i}"] = optimizer
        if self.checkpointer is not None:
            self.checkpointer.add_recoverables(self.optimizers_dict)

    def compute_forward(self, batch, stage):
        """Runs one copy, for a rehearsal of the largest batch."""
        return self.copies[0].compute_forward(batch, stage)

    def compute_objectives(self, predictions, batch, stage):
        """Runs one copy, for a rehearsal of the largest batch."""
        return self.copies[0].compute_objectives(predictions, batch, stage)

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
            raise RecipeError(_NONE_LEFT)
        self.optimizer_step += should_step
        losses = [loss for loss in losses if math.isfinite(loss)]
        return torch.tensor(sum(losses) / len(losses) if losses else math.nan)

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
                losses.append(float(brain.fit_batch(batch)))
        return losses

    @contextlib.contextmanager
    def _dropped_if_diverged(self, i):
        try:
            yield
        except Diverged as error:
            logger.warning("lr %g is out: %s", self.rates[i], error)
            self.learners[i].diverged_at = self.optimizer_step

    def _verify_stack(self, batch):
        """Keeps the stack if its losses are right; the checkpoints store the answer."""
        if self.state.stacked is None:
            seed = functools.partial(self.on_fit_batch_start, batch, True)
            with torch.autocast(self.device_type, enabled=False):
                self.state.stacked = self.stack.is_right(batch, seed)
            how = "stacked" if self.state.stacked else "in turns"
            logger.info("%d learning rates train %s", len(self.rates), how)
        if not self.state.stacked:
            self.stack = None
        self.stack_is_verified = True

    # --------------------------------------------------------------- stages
    def evaluate_batch(self, batch, stage):
        """Evaluates all copies on one batch; returns the mean of their losses."""
        self._share_states(batch)
        losses = []
        for i, brain in self.active:
            loss = brain.evaluate_batch(batch, stage)
            self.means[i] = brain.update_average(loss, self.means[i])
            self.batch_weight = brain.batch_weight
            losses.append(float(loss))
        return torch.tensor(sum(losses) / len(losses) if losses else math.nan)

    def on_stage_start(self, stage, epoch=None):
        """Resets what the stage collects."""
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
            score = float(brain.stage_stats(stage)[self.metric])
            brain.learner.record_validation(
                score, self.means[i], epoch, self.higher_is_better
            )
            scores.append(f"lr {self.rates[i]:g}: {measure(self.metric, score)}")
            if self._stop_of(brain.learner):
                scores[-1] += " (stops)"
        self.checkpointer.save_and_keep_only(meta={"epoch": epoch})
        words = epoch * course.planned(self)[1], self.metric, ", ".join(scores)
        logger.info("Step %d, valid %s: %s", *words)

    def result(self):
        """Returns how the learning rates compare.

        Returns
        -------
        dict
            ``metric``, ``highest``, ``rates`` (for each the best value on the
            validation set, its loss and epoch; or when it diverged) and
            ``best``, null if all diverged.
        """
        rates, ranked = {}, []
        sign = 1 if self.higher_is_better else -1
        for rate, learner in zip(self.rates, self.learners):
            best = learner.best
            rates[f"{rate:g}"] = {
                self.metric: best.get("score"),
                "loss": best.get("loss"),
                "epoch": best.get("epoch"),
                "diverged_at_step": learner.diverged_at,
                "stopped_at_step": self._stop_of(learner),
            }
            if best and learner.diverged_at is None:
                ranked.append((sign * best["score"], -best["loss"], -rate))
        return {
            "metric": self.metric,
            "highest": self.higher_is_better,
            "rates": rates,
            "best": -max(ranked)[2] if ranked else None,
        }

    def _stop_of(self, learner):
        """Returns the step after which a copy stopped early; None if it did not."""
        epoch = learner.best_epoch + self.patience
        stopped = learner.diverged_at is None and epoch <= self.counter.current
        return epoch * course.planned(self)[1] if stopped else None


def _settings(hparams, run_opts, rates, data):
    """Returns the settings that the result depends on."""
    settings = current(hparams, hparams["upstream_model"], data)
    settings.pop("lr", None)
    settings["total_steps"] = hparams["total_steps"]
    settings["debug"] = bool((run_opts or {}).get("debug"))
    return {**settings, "lr_search": rates}


def _read(path):
    """Reads the result of an earlier search; {} if there is none that is readable."""
    if not path.exists():
        return {}
    try:
        result = read_json(path, "a search of learning rates", kind=dict)
        with naming(path, "a search of learning rates"):
            best, settings = float(result["best"]), dict(result["settings"])
            return {**result, "best": best, "settings": settings}
    except FileError as error:
        logger.warning("%s The learning rates are searched again.", error)
        return {}
