"""Base class of the Brains over an upstream: features, two optimizers, results.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import if_main_process

from s3prl_sb import resources
from s3prl_sb.brains import (
    caching,
    distributed,
    memory,
    opening,
    parameter_groups,
    results,
)
from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.brains.course import Evaluating, learning_rates, planned
from s3prl_sb.brains.evaluation import Evaluation
from s3prl_sb.dataio.collation import collate
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.rates import check_rates
from s3prl_sb.dataio.sampler import make_sampler
from s3prl_sb.identity.data import digests, seconds_of
from s3prl_sb.identity.further_audio import keys_read
from s3prl_sb.startup.configuration import SCHEMA


class SSLBrain(Evaluation):
    """A Brain over an upstream.

    A frozen upstream stays outside ``modules``: it is not in the checkpoints, it is
    not wrapped for distributed training, and where features are cached it never
    reaches the device. An unfrozen upstream has a separate optimizer
    (``lr_upstream``).

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

    def __init__(
        self,
        modules: dict[str, torch.nn.Module],
        hparams: dict[str, Any],
        run_opts: dict[str, Any] | None = None,
        checkpointer: AtomicCheckpointer | None = None,
    ):
        upstream = hparams["upstream_model"]
        if self.task and SCHEMA in hparams:  # a variant has results of its own
            self.task = resources.recipe_of(self.task, hparams[SCHEMA].file)
        modules = dict(modules)
        if not upstream.freeze:
            modules["upstream"] = upstream
        super().__init__(modules, hparams, run_opts, checkpointer)
        if self.distributed_launch:
            self.find_unused_parameters |= distributed.may_leave_weights_out(
                self.upstream, modules["featurizer"]
            )
        self.tested = {}  # metrics of the test set

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
        is_cached = "feats" in dataset.pipeline.output_mapping
        if is_cached and (dataset.collate or not keys_read(dataset.pipes)):
            kwargs["num_workers"] = 0  # memory-mapped: workers would not help
        kwargs = self.loader_options(
            {"collate_fn": dataset.collate or collate, **kwargs}
        )
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
        loader = self.train_loader(dataset, ckpt_prefix + stage.name, **kwargs)
        if getattr(self.hparams, "batch_seconds", None) or self.device_type == "cuda":
            self.longest = memory.longest(dataset, self.train_sampler, loader)
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

    def rehearse(self) -> None:
        """Checks that the largest batch fits, and sets when the upstream begins."""
        has_ended = self.optimizer_step >= planned(self)[0]
        if hasattr(self, "longest") and not has_ended:
            memory.rehearse(self, self.longest())  # with the gradient of the upstream
        self.unfreeze_after = getattr(self.hparams, "unfreeze_after", 0)
        if self.debug:  # a few updates, some of which train the upstream
            self.unfreeze_after = min(self.unfreeze_after, planned(self)[0] // 2)

    def freeze_optimizers(self, optimizers):
        """Returns the optimizers without that of an upstream that waits."""
        if not self.upstream_waits:
            return optimizers
        return {k: v for k, v in optimizers.items() if k != "optimizer_upstream"}

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
            self.finish_validation(stats, epoch)
            return
        self.log({"best step": self.optimizer_step}, test_stats=stats)
        self.tested = stats
        if if_main_process():
            self.write_predictions()
        self.finish_test(stats)

    def finish_validation(self, stats: dict[str, float], epoch: int) -> None:
        """Saves a checkpoint, and logs.

        Arguments
        ---------
        stats : dict
            Names to numbers, of the validation set.
        epoch : int
            Number of the epoch.
        """
        # The checkpoint comes first: what is logged has been saved.
        self.course.save()
        self.save_best(stats, epoch)
        steps = epoch * planned(self)[1]
        rates = learning_rates(self) if self.schedule is not None else {}
        self.log(
            {"epoch": epoch, "steps": steps, **rates},
            train_stats={"loss": self.train_loss},
            valid_stats=stats,
        )
        results.log_weights(self, steps)
