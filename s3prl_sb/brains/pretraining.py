"""Brain of pre-training: any objective over any network.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import math
import os
from pathlib import Path
from typing import Any

import speechbrain as sb
import torch
from speechbrain.utils.distributed import ddp_barrier, if_main_process
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from s3prl_sb.brains import (
    distributed,
    memory,
    opening,
    parameter_groups,
    pretrained_card,
    pretraining_plots,
    pretraining_results,
)
from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.brains.course import learning_rates, planned
from s3prl_sb.brains.pretraining_data import digests
from s3prl_sb.brains.pretraining_standing import Standing
from s3prl_sb.brains.pretraining_sums import (
    SECONDS,
    Sums,
    frames_of_a_batch,
    judged,
    measured,
    valued,
    worded,
)
from s3prl_sb.brains.training import TrainingBrain
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.objectives.base import Outcome
from s3prl_sb.startup.configuration import SCHEMA
from s3prl_sb.startup.preconditions import batches_of_a_process
from s3prl_sb.terminal import quantities
from s3prl_sb.unlabelled.sampler import HeldOutSampler, PoolSampler

logger = logging.getLogger(__name__)

UNREADABLE = "unreadable.tsv"  #: file, in the save folder, of utterances left out


class PretrainingBrain(TrainingBrain):
    """Trains a network by an objective, on audio without labels.

    An update divides the gradient of a sum by the number of what was predicted, once,
    over all batches and processes of the update. Two processes with a batch each
    therefore train as one process with two. Random numbers of dropout are those of the
    batch, whichever process has it.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe. Needs ``upstream_model``, ``objective``, ``seed``,
        ``opt_class``, ``total_steps``, ``steps_per_epoch``, ``batch_seconds``,
        ``grad_accumulation_factor`` (batches of an update, over all processes),
        ``output_folder`` and ``save_folder``.
    run_opts : dict
        Options of SpeechBrain.
    checkpointer : AtomicCheckpointer
        Saves everything that is trained.

    Note
    ----
    ``batch_size`` of S3PRL's recipes counts utterances; here a batch is an amount of
    audio. Unlike S3PRL and fairseq, a checkpoint within an epoch continues with the
    next batch, not with the next epoch.
    """

    title = "Pre-training"
    metric = "loss"
    higher_is_better = False
    outcome: Outcome  #: of the last batch
    codes: dict[str, list[torch.Tensor]] = {}  #: of the last validation

    def __init__(
        self,
        hparams: dict[str, Any],
        run_opts: dict[str, Any] | None = None,
        checkpointer: AtomicCheckpointer | None = None,
    ):
        self.objective = hparams["objective"]
        super().__init__({"objective": self.objective}, hparams, run_opts, checkpointer)
        if SCHEMA in hparams:
            self.task = f"pretraining/{hparams[SCHEMA].file.stem}"
        self.processes = int(os.environ.get("WORLD_SIZE", 1))
        self.grad_accumulation_factor = batches_of_a_process(hparams)
        self.unit = frames_of_a_batch(hparams, self.upstream)
        self.count: torch.Tensor | float = 0.0  # predicted in this update so far
        self.valid_sums, self.example = Sums(), None
        self.standing = Standing()
        if checkpointer is not None:
            checkpointer.add_recoverable("standing", self.standing)

    @property
    def begins(self) -> str:
        """The weights that the training begins with, for people."""
        return f"from {getattr(self.hparams, 'init', None) or 'scratch'}"

    def use(self, splits: dict[str, Any]) -> None:
        """Takes over the data, before the training.

        Arguments
        ---------
        splits : dict
            "train" and "valid" to
            :class:`~s3prl_sb.unlabelled.dataset.UnlabelledDataset`.
        """
        self.splits = {name: len(dataset) for name, dataset in splits.items()}
        self.data = digests(splits)
        self.standing.rows = self.splits["train"]
        self.standing.share = getattr(self.hparams, "unreadable_share", 0.01)
        sizes = [
            f"{name} {len(dataset):,} utterances, {quantities.audio(dataset.seconds)}"
            for name, dataset in splits.items()
        ]
        if if_main_process():
            how = f"trained {self.begins}"
            network = f"Network: {opening.upstream(self, how)}"
            objective = f"Objective: {opening.trained(self)}"
            data = f"Data: {'; '.join(sizes)}"
            training = f"Training: {opening.training(self)}"
            opening.say_once(self, [network, objective, data, training])

    # ------------------------------------------------------------- training
    def make_dataloader(self, dataset, stage, ckpt_prefix="dataloader-", **kwargs):
        """Makes a loader of batches of ``batch_seconds``.

        Arguments
        ---------
        dataset : s3prl_sb.unlabelled.dataset.UnlabelledDataset
            Data to load.
        stage : sb.Stage
            TRAIN gets batches that are a function of the epoch, VALID those of one
            pass over all rows.
        ckpt_prefix : str
            See SpeechBrain.
        **kwargs : dict
            Arguments of the DataLoader.
        """
        kwargs = self.loader_options({**kwargs, "collate_fn": dataset.collate})
        samples = self.hparams.batch_seconds * dataset.sample_rate
        if stage != sb.Stage.TRAIN:
            held_out = HeldOutSampler(dataset.lengths, samples)
            loader = DataLoader(dataset, batch_sampler=held_out, **kwargs)
            self.batches = len(loader)
            return loader
        batches = self.grad_accumulation_factor * self.processes
        self.train_sampler = PoolSampler(
            dataset.lengths,
            samples,
            steps=self.hparams.steps_per_epoch * batches,
            seed=self.hparams.seed,
            shares=dataset.index.shares,
        )
        self.train_set = dataset
        return self.train_loader(dataset, ckpt_prefix + stage.name, **kwargs)

    def rehearse(self) -> None:
        """Checks on a GPU that the batch with the most audio fits into its memory."""
        if self.device_type != "cuda":
            return
        rows = self.train_sampler.longest()
        batch = self.train_set.collate([self.train_set[row, 1] for row in rows])
        standing, self.standing = self.standing, Standing(share=1)  # not counted
        memory.rehearse(self, batch)
        self.standing, self.count = standing, 0.0

    def init_optimizers(self):
        """Makes the optimizer of the objective and its network."""
        parameters = (p for p in self.modules.parameters() if p.requires_grad)
        decay_on = getattr(self.hparams, "weight_decay_on", "all")
        self.optimizer = self.opt_class(parameter_groups.grouped(parameters, decay_on))
        self.optimizers_dict = {"optimizer": self.optimizer}
        if self.checkpointer is not None:
            self.checkpointer.add_recoverables(self.optimizers_dict)

    def _wrap_distributed(self):
        # SpeechBrain would synchronize batch norms, which does not work on CPUs; and a
        # batch would no longer have the same result in one process and in several.
        if self.distributed_launch:
            devices = [self.device] if self.device_type == "cuda" else None
            self.modules["objective"] = DistributedDataParallel(
                self.objective, device_ids=devices, find_unused_parameters=True
            )

    def compute_forward(self, batch, stage):
        """Returns the objective's outcome for a batch.

        Arguments
        ---------
        batch : s3prl_sb.unlabelled.batches.WaveBatch
            The batch.
        stage : sb.Stage
            TRAIN or VALID.

        Returns
        -------
        s3prl_sb.objectives.base.Outcome
        """
        batch = batch.to(self.device)
        draws = Draws(self.hparams.seed, batch.epochs, batch.rows)
        if stage == sb.Stage.TRAIN:
            self.objective.set_step(self.optimizer_step, self.hparams.total_steps)
        elif self.example is None:
            self.example = (
                batch.wavs[0],
                Draws(self.hparams.seed, batch.epochs[:1], batch.rows[:1]),
            )
        # A wrapper for several processes waits for the others in each batch; they may
        # have fewer to validate on.
        is_train = stage == sb.Stage.TRAIN
        objective = self.modules["objective"] if is_train else self.objective
        return objective(batch.wavs, draws, batch.codes)

    def compute_objectives(self, outcome, batch, stage):
        """Adds an outcome to the sums, and returns its loss.

        Arguments
        ---------
        outcome : s3prl_sb.objectives.base.Outcome
            From :meth:`compute_forward`.
        batch : s3prl_sb.unlabelled.batches.WaveBatch
            The batch.
        stage : sb.Stage
            TRAIN or VALID.

        Returns
        -------
        torch.Tensor
            The sum, in units of a batch's usual count, as half precision needs it.
        """
        self.outcome = outcome
        if stage != sb.Stage.TRAIN:
            self.valid_sums.add(outcome)
            return outcome.loss / self.unit
        self.standing.sums.add(outcome, float(batch.seconds))
        tried = self.processes * (len(batch) + len(batch.failed))
        self.standing.read(tried, batch.failed)
        self.count = self.count + outcome.count.detach()
        loss = outcome.loss / self.unit
        if not loss.requires_grad:  # nothing is predicted, and no weight was used
            weights = (p for p in self.modules.parameters() if p.requires_grad)
            loss = loss + 0.0 * next(weights).sum()
        return loss

    def seed_of_batch(self) -> int:
        """Returns a seed that does not depend on the number of processes."""
        number = self.train_sampler.position(self.step - 1)
        return self.hparams.seed * 1_000_003 + number

    def scale_gradient(self, parameters: list[torch.nn.Parameter]) -> None:
        """Divides the gradient by the number of what was predicted in the update."""
        total = torch.as_tensor(self.count, dtype=torch.float64, device=self.device)
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(total)
        # SpeechBrain has divided by the batches, and DDP by the processes.
        batches = self.grad_accumulation_factor * self.processes
        factor = self.unit * batches / total.clamp_min(1)
        gradients = [p.grad for p in parameters if p.grad is not None]
        if gradients:
            torch._foreach_mul_(gradients, float(factor))
        self.count = 0.0

    def _save_intra_epoch_ckpt(self):
        self.standing.gather()
        super()._save_intra_epoch_ckpt()

    def update_average(self, loss: torch.Tensor, avg_loss: float) -> float:
        """Passes the mean loss of a batch to the display."""
        if torch.is_grad_enabled():
            self.course.train(self.outcome.loss.detach() / self.outcome.count, self)
        else:
            self.course.evaluate()
        return avg_loss

    # --------------------------------------------------------------- stages
    def on_stage_start(self, stage, epoch=None):
        """Begins the sums of the stage; those of a resumed epoch go on."""
        if stage == sb.Stage.TRAIN:
            if self.step == 0:
                self.standing.sums = Sums()
        else:
            self.valid_sums, self.example = Sums(), None
            distributed.share_buffers(self.objective)

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Measures the stage; after a validation saves, logs and looks for alarms."""
        if stage == sb.Stage.TRAIN:
            total = distributed.summed(self.standing.sums.values)
            self.standing.seconds += float(total.get(SECONDS, 0.0))
            self.trained = self._measured(total)
            return
        total = distributed.summed(self.valid_sums.values)
        self.codes = self.objective.codes(total) if total else {}
        self.validated(self._measured(total), epoch)

    def _measured(self, sums):
        return measured(sums, self.objective.measures)

    def validated(self, stats: dict[str, float], epoch: int) -> None:
        """Saves and logs a validation.

        Arguments
        ---------
        stats : dict
            Result of :func:`measured`; empty if no loss is finite.
        epoch : int
            Number of the epoch.
        """
        alarms, hints = judged(stats, self.objective)
        standing, steps = self.standing, epoch * planned(self)[1]
        self.course.save()
        standing.gather()
        trained, valid = valued(self.trained), valued(stats)
        standing.history.append({"step": steps, "train": trained, "valid": valid})
        standing.sound(alarms)
        for alarm in self.objective.alarms(self.trained) if self.trained else ():
            if alarm not in alarms:
                logger.warning("In training: %s", alarm)
        for hint in hints:
            logger.warning("%s", hint)
        # First, because what is logged has been saved; NaN is the worst loss.
        self.save_best({"loss": math.nan, **valid}, epoch)
        rates = learning_rates(self) if self.schedule is not None else {}
        about = {"epoch": epoch, "steps": steps, **rates}
        self.log(about, train_stats=worded(self.trained), valid_stats=worded(stats))
        is_best = self.best_epoch() == epoch
        if if_main_process():
            folder, history = Path(self.hparams.output_folder), standing.history
            pretraining_plots.draw(folder, history, self.objective, self.example)
            standing.write_failed(Path(self.hparams.save_folder) / UNREADABLE)
            if is_best:
                pretraining_results.write_codes(folder, steps, self.codes)
                pretrained_card.save_card(self, self.facts(valid))
        if getattr(self.hparams, "stop_on_collapse", True):
            standing.check_collapse(alarms)

    def hours(self) -> float:
        """Returns the hours of audio learned from until the last validation."""
        return round(self.standing.seconds / 3600, 4)

    def facts(self, stats: dict[str, float]) -> dict[str, Any]:
        """Returns facts for the card of the network as it is.

        Arguments
        ---------
        stats : dict
            Names to measures of the held-out audio.

        Returns
        -------
        dict
            Plain values.
        """
        numbers = {"steps": self.optimizer_step, "hours": self.hours()}
        return {"task": self.task, **numbers, "held_out": stats}

    def measures_since(self, reader: str) -> dict[str, Any]:
        """See :meth:`TrainingBrain.measures_since`; of this process' batches."""
        sums = self.standing.sums.since(reader)
        return worded(self._measured(sums)) if sums else {}

    def finish(self) -> None:
        """Loads the best checkpoint, and writes its card and the results."""
        course = {
            "hours_learned_from": self.hours(),
            "unreadable": len(self.standing.failed),
            "history": self.standing.history,
        }
        self.on_evaluate_start(min_key=self.metric)
        if if_main_process():
            pretrained_card.save_card(self, self.facts(self.best))
            pretraining_results.write(self, course)
        ddp_barrier()  # torchrun ends all processes when the first one leaves
