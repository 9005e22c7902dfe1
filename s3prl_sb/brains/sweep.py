"""Learning rates tried together, on shared batches and shared features.

SUPERB searches the learning rate of every task for every upstream. What five
runs would do five times is done once here: loading a batch and, where features
are not cached, the upstream. Of modules that allow it (linear ones and their
like) the copies' weights are stacked besides, and all copies go forward and
backward in one sweep of :func:`torch.func.vmap`; recurrent ones take turns.

Each copy learns what a run of its own with this learning rate would: same
initial weights, batches, random numbers, clipping; up to rounding.

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
from s3prl_sb.brains.settings import IDENTITY, current
from s3prl_sb.brains.stacking import Stack, fused
from s3prl_sb.brains.standing import Standing
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
    """Trains one Brain for each learning rate, all together; tells the best.

    Killed and run again it goes on where it was, bit-identical. Leaves
    ``lr_search.json`` in the output folder; where it is there already, of the
    same settings, nothing is trained.

    Arguments
    ---------
    brain_class : type
        A :class:`~s3prl_sb.brains.base.SSLBrain`.
    hparams : dict
        Of the recipe; ``lr_search``, a list of learning rates, among them.
    run_opts : dict
        SpeechBrain's options.
    splits : dict
        "train" and "valid" to datasets; with cached features afterwards.
    modules : dict
        All that is trained, the featurizer too. Copied, not changed.
    **kwargs
        Other arguments of the Brain.

    Returns
    -------
    float
        The learning rate whose best validation metric is the best; of equals
        the smallest.

    Raises
    ------
    RecipeError
        If the search is impossible, or every learning rate diverges.
    """
    rates = check_search(hparams, run_opts)
    path = Path(hparams["output_folder"]) / RESULT
    data = digests(splits)
    settings = _settings(hparams, run_opts, rates, data)
    found = _read(path)
    before = found.get("settings", {})
    if found and before.get(IDENTITY, {}).get("format") != FORMAT:
        logger.info("%s is of an older identity: the search is made anew", path)
    elif found and before == settings:
        logger.info("The best learning rate is known from %s", path)
        return found["best"]

    copies = []
    for rate in rates:
        own = {**hparams, "lr": rate, "train_loggers": []}
        own["opt_class"] = functools.partial(hparams["opt_class"], lr=rate)
        parts = copy.deepcopy(modules)
        copies.append(
            brain_class(modules=parts, hparams=own, run_opts=run_opts, **kwargs)
        )
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
    # Five times the head and its optimizer; the result is kept.
    sweep.checkpointer.delete_checkpoints(num_to_keep=0)
    return result["best"]


class Sweep(SSLBrain):
    """Several Brains of one task that differ in the learning rate alone.

    Arguments
    ---------
    copies : list of SSLBrain
        With modules of their own and the same initial weights, and without a
        checkpointer.
    rates : list of float
        Their learning rates.
    hparams : dict
        Of the recipe.
    run_opts : dict
        SpeechBrain's options.
    checkpointer : AtomicCheckpointer
        For the search: not that of the run.
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
        self.counter = EpochCounter(hparams["epoch_counter"].limit)
        self.standing = Standing(len(copies))
        shared = _Shared(self.upstream)
        for brain in copies:
            brain.upstream = shared
            brain.check_loss_isfinite = functools.partial(
                _check, brain.check_loss_isfinite
            )
            if checkpointer is not None and brain.scaler.is_enabled():
                name = f"scaler{copies.index(brain)}"
                checkpointer.add_recoverable(name, brain.scaler, optional_load=True)
        if checkpointer is not None:
            checkpointer.add_recoverable("counter", self.counter)
            checkpointer.add_recoverable("standing", self.standing)
        self.stack = Stack(copies) if Stack.is_possible(copies) else None
        self.stack_is_proven = False

    @property
    def going(self):
        """The numbers and Brains of the copies that have not diverged."""
        return [
            (i, brain)
            for i, brain in enumerate(self.copies)
            if self.standing.diverged[i] is None
        ]

    # ------------------------------------------------------------- training
    def init_optimizers(self):
        """Each copy's own."""
        self.optimizers_dict = {}
        for i, brain in enumerate(self.copies):
            if self.stack is not None:
                brain.opt_class = fused(brain.opt_class)
            brain.init_optimizers()
            for name, optimizer in brain.optimizers_dict.items():
                self.optimizers_dict[f"{name}{i}"] = optimizer
        if self.checkpointer is not None:
            self.checkpointer.add_recoverables(self.optimizers_dict)

    def compute_forward(self, batch, stage):
        """One copy's, for a rehearsal of the largest batch."""
        return self.copies[0].compute_forward(batch, stage)

    def compute_objectives(self, predictions, batch, stage):
        """One copy's, for a rehearsal of the largest batch."""
        return self.copies[0].compute_objectives(predictions, batch, stage)

    def fit_batch(self, batch):
        """One batch for all copies.

        Returns
        -------
        torch.Tensor
            The mean of their finite losses.
        """
        should_step = self.step % self.grad_accumulation_factor == 0
        for i, brain in enumerate(self.copies):
            brain.step, brain.train_sampler = self.step, self.train_sampler
            brain.optimizer_step = self.optimizer_step
            brain.nonfinite_count = self.standing.nonfinite[i]
            brain._batch_ids = list(batch.id)
        if self.stack is not None and not self.stack_is_proven:
            self._prove_stack(batch)
        losses = self._fit_stack if self.stack is not None else self._fit_in_turns
        losses = losses(batch, should_step)
        if not self.going:
            raise RecipeError(_NONE_LEFT)
        self.optimizer_step += should_step
        losses = [loss for loss in losses if math.isfinite(loss)]
        return torch.tensor(sum(losses) / len(losses) if losses else math.nan)

    def _fit_stack(self, batch, should_step):
        self.on_fit_batch_start(batch, should_step)  # the random numbers
        with memory.named(batch):
            with self.training_ctx:
                losses = self.stack.losses(batch)
            (losses.sum() / self.grad_accumulation_factor).backward()
        losses = losses.detach()
        for i, brain in self.going if not losses.isfinite().all() else ():
            with self._out_if_it_diverges(i, brain):
                brain.check_loss_isfinite(losses[i])
        if should_step:
            self.stack.step([i for i, _ in self.going], self.max_grad_norm)
        losses = losses.tolist()
        return [losses[i] for i, _ in self.going]

    def _fit_in_turns(self, batch, should_step):
        losses = []
        for i, brain in self.going:
            with self._out_if_it_diverges(i, brain):
                losses.append(float(brain.fit_batch(batch)))
        return losses

    @contextlib.contextmanager
    def _out_if_it_diverges(self, i, brain):
        try:
            yield
        except Diverged as error:
            logger.warning("lr %g is out: %s", self.rates[i], error)
            self.standing.diverged[i] = self.optimizer_step
        self.standing.nonfinite[i] = brain.nonfinite_count

    def _prove_stack(self, batch):
        """Keeps the stack if it is right, as the checkpoints remember."""
        if self.standing.stacked is None:
            seed = functools.partial(self.on_fit_batch_start, batch, True)
            with torch.autocast(self.device_type, enabled=False):
                self.standing.stacked = self.stack.is_right(batch, seed)
            how = "stacked" if self.standing.stacked else "in turns"
            logger.info("%d learning rates train %s", len(self.rates), how)
        if not self.standing.stacked:
            self.stack = None
        self.stack_is_proven = True

    # --------------------------------------------------------------- stages
    def evaluate_batch(self, batch, stage):
        """One batch for all copies; the mean of their losses."""
        losses = []
        for i, brain in self.going:
            loss = brain.evaluate_batch(batch, stage)
            self.means[i] = brain.update_average(loss, self.means[i])
            self.batch_weight = brain.batch_weight
            losses.append(float(loss))
        return torch.tensor(sum(losses) / len(losses))

    def on_stage_start(self, stage, epoch=None):
        """Makes room for what the stage collects."""
        self.means, self.evaluated = [0.0] * len(self.copies), 0
        if stage == sb.Stage.TRAIN and self.step == 0:  # else resumed
            self.standing.nonfinite = [0] * len(self.copies)
        for _, brain in self.going:
            brain.on_stage_start(stage, epoch)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Takes down how each copy does on the validation set, and saves."""
        if stage != sb.Stage.VALID:
            return
        line = []
        for i, brain in self.going:
            stats = brain.stage_stats(stage)
            score = float(stats[self.metric])
            self.standing.update(i, score, self.means[i], epoch, self.higher_is_better)
            line.append(f"lr {self.rates[i]:g}: {measure(self.metric, score)}")
        self.checkpointer.save_and_keep_only(meta={"epoch": epoch})
        words = epoch * course.planned(self)[1], self.metric, ", ".join(line)
        logger.info("Step %d, valid %s: %s", *words)

    def result(self):
        """How the learning rates did.

        Returns
        -------
        dict
            ``metric``, ``highest``, ``rates`` (for each the best value on the
            validation set, its loss and epoch; or when it diverged) and
            ``best``, null where there is none.
        """
        rates, ranked = {}, []
        for i, rate in enumerate(self.rates):
            best, diverged = self.standing.best[i], self.standing.diverged[i]
            rates[f"{rate:g}"] = {
                self.metric: best and best["score"],
                "loss": best and best["loss"],
                "epoch": best and best["epoch"],
                "diverged_at_step": diverged,
            }
            if best and diverged is None:
                sign = 1 if self.higher_is_better else -1
                ranked.append((sign * best["score"], -best["loss"], -rate))
        return {
            "metric": self.metric,
            "highest": self.higher_is_better,
            "rates": rates,
            "best": -max(ranked)[2] if ranked else None,
        }


class Diverged(ValueError):
    """A copy whose losses are not finite any more."""


class _Shared:
    """A frozen upstream that runs once over a batch that several Brains see."""

    def __init__(self, upstream):
        self.upstream, self.freeze = upstream, True
        self._sig, self._result = None, None

    def to(self, device):
        self.upstream.to(device)
        return self

    def __call__(self, sig, lens):
        if sig is not self._sig:
            self._sig = self._result = None  # make room
            self._result = self.upstream(sig, lens)
            self._sig = sig
        return self._result


def _check(check_loss_isfinite, loss):
    try:
        check_loss_isfinite(loss)
    except ValueError as error:
        raise Diverged(str(error)) from error


def _settings(hparams, run_opts, rates, data):
    """What the result depends on, as far as a run's settings say."""
    found = current(hparams, hparams["upstream_model"], data)
    found.pop("lr", None)
    found["total_steps"] = hparams["total_steps"]
    found["debug"] = bool((run_opts or {}).get("debug"))
    return {**found, "lr_search": rates}


def _read(path):
    """The result of an earlier search; {}: there is none that can be read."""
    if not path.exists():
        return {}
    try:
        found = read_json(path, "a search of learning rates", kind=dict)
        with naming(path, "a search of learning rates"):
            best, settings = float(found["best"]), dict(found["settings"])
            return {**found, "best": best, "settings": settings}
    except FileError as error:
        logger.warning("%s The learning rates are searched again.", error)
        return {}
