"""Training of every Brain: updates, schedule, exact resume, checkpoints.

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

from s3prl_sb.brains import distributed, memory, parameter_groups, settings
from s3prl_sb.brains.checkpointer import AtomicCheckpointer, ranking
from s3prl_sb.brains.course import Silent, course_of
from s3prl_sb.brains.learner import Diverged, Learner, learned
from s3prl_sb.brains.stopping import Stopping
from s3prl_sb.processes import children
from s3prl_sb.startup import acceptance
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.startup.preconditions import check_optimization
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)

NOT_STATS = ("epoch", "unixtime", "end-of-epoch")  # in the meta of a checkpoint


class TrainingBrain(sb.Brain):
    """A Brain whose training, killed at any moment and run again, ends bit-identical.

    This holds on a CPU: the batches are a function of the epoch, the random numbers of
    a step (dropout) and the learning rate functions of the step, the end by
    ``patience`` one of the checkpoints. Steps are updates; one that is skipped, because
    its gradient is not finite, counts.

    Arguments
    ---------
    modules : dict
        Modules to train.
    hparams : dict
        Settings of the recipe. Needs ``upstream_model``, ``seed``, ``opt_class``,
        ``total_steps``, ``steps_per_epoch`` and ``output_folder``. May have
        ``scheduler``, ``warmup_steps``, ``weight_decay_on`` and ``patience``.
    run_opts : dict
        Options of SpeechBrain.
    checkpointer : AtomicCheckpointer
        Saves everything that is trained.
    """

    title = "Training"  #: name of this training in progress messages
    task: str | None = None  #: name of the task in results.json
    metric: str | None = None  #: validation metric that chooses the checkpoint
    higher_is_better = True
    course = Silent()  #: progress display
    stopping: Stopping | None = None  #: epochs of the training, and its early end
    data: dict  #: digests of the sets, by name

    modules = learned("modules")
    opt_class = learned("opt_class")
    optimizers_dict = learned("optimizers")
    train_sampler = learned("sampler")
    step = learned("step")
    avg_train_loss = learned("avg_train_loss")
    optimizer_step = learned("optimizer_step")
    nonfinite_count = learned("nonfinite_count")
    best = learned("best")  #: stats of the chosen checkpoint, in evaluation

    def __init__(
        self,
        modules: dict[str, torch.nn.Module],
        hparams: dict[str, Any],
        run_opts: dict[str, Any] | None = None,
        checkpointer: AtomicCheckpointer | None = None,
    ):
        self.upstream = hparams["upstream_model"]
        self.schedule = check_optimization(hparams)
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
        if checkpointer is not None:
            for name, module in self.modules.items():
                checkpointer.add_trained(name, module)
        self.started = time.time()
        self.splits, self.data = {}, {}

    @functools.cached_property
    def learner(self) -> Learner:
        """Learner of this Brain; available before ``__init__`` has run."""
        return Learner()

    def loader_options(self, options: dict) -> dict:
        """Returns options of a loader whose workers change no random numbers.

        Arguments
        ---------
        options : dict
            Arguments of the DataLoader.

        Returns
        -------
        dict
        """
        # Loaders draw a seed for their workers. A separate generator keeps it out of
        # the random numbers of the training.
        options = {"generator": torch.Generator().manual_seed(0), **options}
        if options.get("num_workers"):
            init = options.get("worker_init_fn")
            start = functools.partial(children.start_worker, init)
            options["worker_init_fn"] = start
        return options

    def train_loader(self, dataset, name: str, **options) -> SaveableDataLoader:
        """Makes the loader of the training batches of ``train_sampler``.

        Arguments
        ---------
        dataset : torch.utils.data.Dataset
            The training set.
        name : str
            Name of the loader's position in a checkpoint.
        **options : dict
            Arguments of the DataLoader.

        Returns
        -------
        SaveableDataLoader
        """
        sampler = self.train_sampler
        loader = SaveableDataLoader(dataset, batch_sampler=sampler, **options)
        if self.checkpointer is not None:
            self.checkpointer.add_recoverable(name, loader)
        return loader

    # ------------------------------------------------------------- training
    def on_fit_start(self):
        """Resumes or begins as SpeechBrain does, after a check that the checkpoints
        belong to these settings."""
        settings.check_numbers(vars(self.hparams))
        if self.checkpointer is not None and not self.debug:
            settings.check(self)
            if self.checkpointer is getattr(self.hparams, "checkpointer", None):
                acceptance.accept()
        super().on_fit_start()
        self.rehearse()
        self.course = course_of(self)

    def rehearse(self) -> None:
        """Does what comes before the first batch; here nothing."""

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
        seed = self.seed_of_batch()
        # Ten times as fast as torch.manual_seed.
        torch.default_generator.manual_seed(seed)
        if self.device_type == "cuda":
            torch.cuda.manual_seed(seed)

    def seed_of_batch(self) -> int:
        """Returns the seed of the random numbers of the current batch."""
        step = self.train_sampler.epoch * len(self.train_sampler) + self.step
        return (self.hparams.seed * 1_000_003 + step) * 1009 + getattr(self, "rank", 0)

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
        self.scale_gradient(parameters)
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

    def scale_gradient(self, parameters: list[torch.nn.Parameter]) -> None:
        """Scales the gradient of an update, in place; here by one.

        Arguments
        ---------
        parameters : list of torch.nn.Parameter
            All trained weights.
        """

    def set_rates(self):
        """Sets the learning rates of the next update, if there is a schedule."""
        if self.schedule is not None:
            share = self.schedule.share(self.optimizer_step)
            parameter_groups.set_rates(self.optimizers_dict.values(), share)

    def measures_since(self, reader: str) -> dict[str, float]:
        """Returns measures of the training since the last call; here none.

        Arguments
        ---------
        reader : str
            Name of what asks, such as a log: each has a separate last call.

        Returns
        -------
        dict
            Names to numbers.
        """
        return {}

    def best_epoch(self) -> int:
        """Returns the epoch of the best validation so far; 0 without one."""
        best = self.checkpointer.find_best(self.metric, self.higher_is_better)
        valid = best is not None and math.isfinite(best.meta[self.metric])
        return best.meta["epoch"] if valid else 0

    def save_best(self, stats: dict[str, float], epoch: int) -> None:
        """Saves a checkpoint at the end of an epoch; keeps the best and the last.

        Arguments
        ---------
        stats : dict
            Validation metrics, :attr:`metric` among them.
        epoch : int
            Number of the epoch.
        """
        self.checkpointer.save_and_keep_only(
            meta={**{name: float(v) for name, v in stats.items()}, "epoch": epoch},
            importance_keys=[ranking(self.metric, self.higher_is_better)],
        )

    def on_evaluate_start(
        self, max_key: str | None = None, min_key: str | None = None
    ) -> None:
        """Loads the best checkpoint; there must be one with the metric."""
        if self.checkpointer is None:
            return
        metric = max_key or min_key
        checkpoint = self.checkpointer.find_best(metric, highest=max_key is not None)
        if checkpoint is None:
            names = {k for c in self.checkpointer.list_checkpoints() for k in c.meta}
            have = (
                f"They have: {', '.join(sorted(names))}." if names else "Train first."
            )
            raise RecipeError(
                f"No checkpoint in '{self.checkpointer.checkpoints_dir}' has the "
                f"metric '{metric}'. {have}"
            )
        self.checkpointer.load_checkpoint(checkpoint)
        meta = checkpoint.meta.items()
        self.best = {name: value for name, value in meta if name not in NOT_STATS}

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

    def log(self, *args, **kwargs) -> None:
        """Passes statistics to all loggers, see SpeechBrain's ``TrainLogger``."""
        for each in self.hparams.train_loggers:
            each.log_stats(*args, **kwargs)
