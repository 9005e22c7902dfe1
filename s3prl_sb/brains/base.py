"""Base class of the Brains: features, steps, exact resume, results.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging
import math
import time
from typing import Any

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataloader import SaveableDataLoader
from speechbrain.utils.distributed import if_main_process

from s3prl_sb.brains import (
    caching,
    distributed,
    memory,
    opening,
    parameter_groups,
    results,
    settings,
)
from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.brains.course import (
    Evaluating,
    Silent,
    course_of,
    learning_rates,
    planned,
)
from s3prl_sb.brains.evaluation import Evaluation
from s3prl_sb.brains.learner import Diverged, Learner, learned
from s3prl_sb.brains.stopping import Stopping
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.rates import check_rates
from s3prl_sb.dataio.sampler import make_sampler
from s3prl_sb.identity.data import digests, seconds_of
from s3prl_sb.processes import children
from s3prl_sb.startup import acceptance
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.startup.preconditions import check_optimization
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)


class SSLBrain(Evaluation):
    """A Brain over an upstream.

    A frozen upstream stays outside ``modules``: it is not in the checkpoints, it is
    not wrapped for distributed training, and where features are cached it never
    reaches the device. An unfrozen upstream has a separate optimizer
    (``lr_upstream``).

    A training that is killed at any moment and run again ends bit-identical (on a
    CPU): the batches are a function of the epoch, the random numbers of a step
    (dropout) and the learning rate functions of the step, the end by ``patience`` one
    of the checkpoints. Steps are updates; one that is skipped, because its gradient is
    not finite, counts.

    A task type overrides ``compute_forward`` and ``compute_objectives``, as in
    SpeechBrain, and :meth:`start_stage`, :meth:`stage_stats`,
    :meth:`write_predictions` and :meth:`interface`. All task types share logging,
    checkpoints and results.

    Arguments
    ---------
    modules : dict
        ``featurizer`` and ``head``, and any other modules to train.
    hparams : dict
        Settings of the recipe. Needs ``upstream_model``, ``upstream_name``, ``seed``,
        ``opt_class``, ``total_steps``, ``steps_per_epoch``, ``batch_size``,
        ``output_folder``; with an unfrozen upstream ``lr_upstream``. May have
        ``scheduler``, ``warmup_steps``, ``weight_decay_on``, ``layer_decay``,
        ``unfreeze_after`` and ``patience``.
    run_opts : dict
        Options of SpeechBrain.
    checkpointer : AtomicCheckpointer
        Saves everything that is trained.
    """

    title = "Training"  #: name of this training in progress messages

    modules = learned("modules")
    opt_class = learned("opt_class")
    optimizers_dict = learned("optimizers")
    train_sampler = learned("sampler")
    step = learned("step")
    optimizer_step = learned("optimizer_step")
    nonfinite_count = learned("nonfinite_count")
    best = learned("best")  #: stats of the chosen checkpoint, in evaluation
    stopping: Stopping | None = None  #: epochs of the training, and its early end

    def __init__(
        self,
        modules: dict[str, torch.nn.Module],
        hparams: dict[str, Any],
        run_opts: dict[str, Any] | None = None,
        checkpointer: AtomicCheckpointer | None = None,
    ):
        self.upstream = hparams["upstream_model"]
        self.schedule = check_optimization(hparams)
        modules = dict(modules)
        if not self.upstream.freeze:
            modules["upstream"] = self.upstream
        super().__init__(
            modules=modules,
            opt_class=hparams["opt_class"],
            hparams=hparams,
            run_opts=run_opts,
            checkpointer=checkpointer,
        )
        if not self.max_grad_norm > 0:
            raise RecipeError(
                f"max_grad_norm is {self.max_grad_norm}: it must be positive. "
                "To switch clipping off, make it large: 1.0e9."
            )
        if self.noprogressbar:
            progress.without_bars()
        if self.distributed_launch:
            distributed.leave_in_order()
            self.find_unused_parameters |= distributed.may_leave_weights_out(
                self.upstream, modules["featurizer"]
            )
        if checkpointer is not None:
            for name, module in self.modules.items():
                checkpointer.add_trained(name, module)
        self.started = time.time()
        self.splits, self.data = {}, {}
        self.tested = {}  # metrics of the test set

    @functools.cached_property
    def learner(self) -> Learner:
        """Learner of this Brain; available before ``__init__`` has run."""
        return Learner()

    # ------------------------------------------------------------- features
    def use_cache(self, splits: dict[str, ManifestDataset]) -> None:
        """Replaces audio by cached features, see :mod:`~s3prl_sb.brains.caching`.

        Arguments
        ---------
        splits : dict
            Names to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`, changed in
            place: their examples get ``feats`` [frames, layers, size] instead of
            ``sig``.
        """
        self.splits = {name: len(dataset) for name, dataset in splits.items()}
        for dataset in splits.values():
            check_rates(self.upstream, dataset.pipes)
        if if_main_process():
            opening.say(self, splits)
        self.data = digests(splits, if_main_process())
        self.tested_seconds = seconds_of(splits.get("test"))
        caching.use_cache(self, splits)

    # ------------------------------------------------------------- training
    def make_dataloader(self, dataset, stage, ckpt_prefix="dataloader-", **kwargs):
        """Makes a loader whose batches depend on nothing but the epoch.

        Arguments
        ---------
        dataset : s3prl_sb.dataio.dataset.ManifestDataset
            Data to load.
        stage : sb.Stage
            TRAIN gets a :class:`~s3prl_sb.dataio.sampler.StepSampler`.
        ckpt_prefix : str
            See SpeechBrain.
        **kwargs : dict
            Arguments of the DataLoader. In training also ``balance``: a key of the
            manifest whose values are drawn equally often.
        """
        # Loaders draw a seed for their workers. A separate generator keeps it out of
        # the random numbers of the training.
        kwargs.setdefault("generator", torch.Generator().manual_seed(0))
        if "feats" in dataset.pipeline.output_mapping:
            kwargs["num_workers"] = 0  # memory-mapped: workers would not help
        if kwargs.get("num_workers"):
            init = kwargs.get("worker_init_fn")
            kwargs["worker_init_fn"] = functools.partial(children.start_worker, init)
        if stage != sb.Stage.TRAIN:
            loader = super().make_dataloader(dataset, stage, ckpt_prefix, **kwargs)
            self.batches = len(loader)  # in an evaluation
            if stage == sb.Stage.TEST and if_main_process():
                self.course = Evaluating(self.batches)
            return loader
        self.train_sampler = make_sampler(
            dataset,
            batch_size=kwargs.pop("batch_size", self.hparams.batch_size),
            batch_seconds=getattr(self.hparams, "batch_seconds", None),
            steps=self.hparams.steps_per_epoch * self.grad_accumulation_factor,
            balance=kwargs.pop("balance", None),
            seed=self.hparams.seed,
        )
        kwargs.setdefault("collate_fn", PaddedBatch)
        loader = SaveableDataLoader(dataset, batch_sampler=self.train_sampler, **kwargs)
        if getattr(self.hparams, "batch_seconds", None) or self.device_type == "cuda":
            self.longest = memory.longest(dataset, self.train_sampler, loader)
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable(ckpt_prefix + stage.name, loader)
        return loader

    def init_optimizers(self):
        """Makes one optimizer for the new modules, another for an unfrozen upstream."""
        new = [m for name, m in self.modules.items() if name != "upstream"]
        decay_on = getattr(self.hparams, "weight_decay_on", "all")
        self.optimizer = self.opt_class(
            parameter_groups.grouped((p for m in new for p in m.parameters()), decay_on)
        )
        self.optimizers_dict = {"optimizer": self.optimizer}
        if not self.upstream.freeze:
            rate = self.hparams.lr_upstream
            factor = getattr(self.hparams, "layer_decay", None)
            groups = parameter_groups.of_upstream(self.upstream, rate, factor, decay_on)
            self.optimizers_dict["optimizer_upstream"] = self.opt_class(groups, lr=rate)
        if self.checkpointer is not None:
            self.checkpointer.add_recoverables(self.optimizers_dict)

    def on_fit_start(self):
        """Resumes or begins as SpeechBrain does, after a check that the checkpoints
        belong to these settings."""
        settings.check_numbers(vars(self.hparams))
        if self.checkpointer is not None and not self.debug:
            settings.check(self)
            if self.checkpointer is getattr(self.hparams, "checkpointer", None):
                acceptance.accept()
        super().on_fit_start()
        if hasattr(self, "longest"):
            memory.rehearse(self, self.longest())  # with the gradient of the upstream
        self.unfreeze_after = getattr(self.hparams, "unfreeze_after", 0)
        if self.debug:  # a few updates, some of which train the upstream
            self.unfreeze_after = min(self.unfreeze_after, planned(self)[0] // 2)
        self.course = course_of(self)

    def fit(self, epoch_counter, train_set, valid_set=None, progressbar=None, **kwargs):
        """Trains as SpeechBrain does, with :mod:`~s3prl_sb.brains.course` instead of
        its progress bars, and until :mod:`~s3prl_sb.brains.stopping` ends it."""
        self.stopping = Stopping(self, epoch_counter)
        try:
            super().fit(self.stopping, train_set, valid_set, False, **kwargs)
        finally:
            self.course.close()
            self.course = Silent()

    def _fit_train(self, *args, **kwargs):
        # With --debug, as many updates as batches: accumulation might make none.
        batches = self.debug_batches
        self.debug_batches = batches * self.grad_accumulation_factor
        try:
            super()._fit_train(*args, **kwargs)
        finally:
            self.debug_batches = batches

    def on_fit_batch_start(self, batch, should_step):
        """Seeds the step, so that a resumed run draws the same random numbers."""
        step = self.train_sampler.epoch * len(self.train_sampler) + self.step
        rank = getattr(self, "rank", 0)
        seed = (self.hparams.seed * 1_000_003 + step) * 1009 + rank
        # Ten times as fast as torch.manual_seed.
        torch.default_generator.manual_seed(seed)
        if self.device_type == "cuda":
            torch.cuda.manual_seed(seed)

    def optimizers_step(self):
        """Clips the gradient of all trained weights together, as S3PRL does, and
        updates them at the rate of the schedule."""
        self.set_rates()
        optimizers = self.freeze_optimizers(self.optimizers_dict).values()
        for optimizer in optimizers:
            self.scaler.unscale_(optimizer)
        parameters = [
            p for o in optimizers for group in o.param_groups for p in group["params"]
        ]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        self.gradient_norm = norm.detach()  # before it was clipped
        if self.scaler.is_enabled() or torch.isfinite(norm):
            for optimizer in optimizers:
                self.scaler.step(optimizer)
            self.scaler.update()
        else:
            logger.warning(
                "Step %d skipped: its gradient is not finite", self.optimizer_step
            )
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.optimizer_step += 1

    def set_rates(self):
        """Sets the learning rates of the next update, if there is a schedule."""
        if self.schedule is not None:
            share = self.schedule.share(self.optimizer_step)
            parameter_groups.set_rates(self.optimizers_dict.values(), share)

    def freeze_optimizers(self, optimizers):
        """Returns the optimizers without that of an upstream that waits."""
        if not self.upstream_waits:
            return optimizers
        return {k: v for k, v in optimizers.items() if k != "optimizer_upstream"}

    def best_epoch(self) -> int:
        """Returns the epoch of the best validation so far; 0 without one."""
        best = self.checkpointer.find_best(self.metric, self.higher_is_better)
        valid = best is not None and math.isfinite(best.meta[self.metric])
        return best.meta["epoch"] if valid else 0

    def fit_batch(self, batch: PaddedBatch) -> torch.Tensor:
        """Trains on a batch as SpeechBrain does, and names one that is too large."""
        self.learner.batch_ids = list(batch.id)
        with memory.named(batch):
            return super().fit_batch(batch)

    def check_loss_isfinite(self, loss):
        """Tolerates ``nonfinite_patience`` non-finite losses per epoch, then raises
        :class:`~s3prl_sb.brains.learner.Diverged`."""
        if torch.isfinite(loss):
            return
        self.nonfinite_count += 1
        where = (
            f"the loss is {loss.item()} at step {self.optimizer_step}, on the "
            f"utterances {', '.join(self.learner.batch_ids)}"
        )
        if self.nonfinite_count > self.nonfinite_patience:
            raise Diverged(
                f"{where}. The last checkpoint is intact: lower lr (now "
                f"{parameter_groups.initial_rate(self.optimizer)}) or max_grad_norm, "
                "and look at these files."
            )
        logger.warning("%s; the step is skipped", where)

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time, steps_since_ckpt):
        # In the middle of an accumulation, gradients would be lost.
        return self.step % self.grad_accumulation_factor == 0 and (
            super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)
        )

    def _save_intra_epoch_ckpt(self):
        self.course.save()
        super()._save_intra_epoch_ckpt()

    # --------------------------------------------------------------- stages
    def on_stage_start(self, stage, epoch=None):
        """Resets what the stage collects."""
        self.evaluated = 0
        self.start_stage(stage)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Logs, and saves a checkpoint or the results."""
        if stage == sb.Stage.TRAIN:
            self.train_loss = float(stage_loss)
            return
        loss = {"loss": float(stage_loss)} if self.evaluation_loss else {}
        stats = {**loss, **self.stage_stats(stage)}
        if stage == sb.Stage.VALID:
            # The checkpoint comes first: what is logged has been saved.
            self.course.save()
            self.save_best(stats, epoch)
            steps = epoch * planned(self)[1]
            rates = learning_rates(self) if self.schedule is not None else {}
            self._log(
                {"epoch": epoch, "steps": steps, **rates},
                train_stats={"loss": self.train_loss},
                valid_stats=stats,
            )
            results.log_weights(self, steps)
            return
        self._log({"best step": self.optimizer_step}, test_stats=stats)
        self.tested = stats
        if if_main_process():
            self.write_predictions()
        self.finish_test(stats)

    def _log(self, *args, **kwargs):
        for logger in self.hparams.train_loggers:
            logger.log_stats(*args, **kwargs)
