"""Training at several learning rates together, on shared batches and features.

SUPERB searches the learning rate of every task for every upstream. A sweep does once
what separate runs would repeat, see :mod:`s3prl_sb.brains.copies`, and the best copy is
the run, see :mod:`s3prl_sb.brains.winner`: a second training at its rate would cost
another pass of the upstream for the same result. Copies that train in turns are what a
run at their rate is, to the last bit. Stacked copies are the same up to the rounding of
sums, as on another processor, and ``results.json`` says so (``search``).

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from pathlib import Path

import speechbrain as sb
import torch

from s3prl_sb.brains import winner
from s3prl_sb.brains.checkpointer import AtomicCheckpointer, ranking
from s3prl_sb.brains.copies import Copies, copy_of
from s3prl_sb.brains.course import Course, loggers_with, planned
from s3prl_sb.brains.settings import IDENTITY, current
from s3prl_sb.identity import FORMAT
from s3prl_sb.identity.data import digests
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.startup.preconditions import check_search
from s3prl_sb.storage.files import FileError, naming, read_json, write_json

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
    rates = check_search(hparams)
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

    def copy_at(rate):
        own = _own(hparams, rate) if not settings["debug"] else {}
        return copy_of(brain_class, hparams, run_opts, modules, rate, **own, **kwargs)

    copies = [copy_at(rate) for rate in rates]
    copies[0].use_cache(splits)
    folder = winner.folder_of(hparams)
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


class Sweep(Copies):
    """Several Brains of one task that differ only in the learning rate.

    Arguments
    ---------
    copies : list of SSLBrain
        Brains with separate modules of the same initial weights, and without a
        checkpointer.
    rates : list of float
        Learning rate of each copy.
    hparams : dict
        Settings of the recipe.
    run_opts : dict
        SpeechBrain's options.
    checkpointer : AtomicCheckpointer
        Checkpointer of the search, which is not that of the run.

    Note
    ----
    A copy that has a checkpointer saves and logs what a run does, see
    :mod:`s3prl_sb.brains.winner`.
    """

    title = "Search of learning rates"
    none_left = _NONE_LEFT

    def __init__(self, copies, rates, hparams, run_opts=None, checkpointer=None):
        names = [f"lr {rate:g}" for rate in rates]
        hparams = {**hparams, "lr": list(rates)}  # another grid is another search
        super().__init__(copies, names, rates, hparams, run_opts, checkpointer)
        self.origin = winner.Origin(rates)
        self.kept = [brain for brain in copies if brain.checkpointer is not None]
        mine = getattr(hparams.get("checkpointer"), "recoverables", {})
        for brain in self.kept:
            for name, each in mine.items():
                counts = each is hparams["epoch_counter"]
                each = self.counter if counts else each
                brain.checkpointer.add_recoverable(name, each)
            brain.checkpointer.add_recoverable(winner.ORIGIN, self.origin)

    def train_loader(self, dataset, name, **options):
        """Makes the loader, whose position the copies save too."""
        loader = super().train_loader(dataset, name, **options)
        for brain in self.kept:
            brain.checkpointer.add_recoverable(name, loader)
        return loader

    def rehearse(self):
        """Brings what the copies have saved and logged to the step of the search."""
        super().rehearse()
        for brain in self.kept:
            best = ranking(brain.metric, brain.higher_is_better)
            brain.checkpointer.rewind(self.counter.current, best)
            for diary in brain.hparams.train_loggers:
                diary.resume(self.optimizer_step)
            total, epoch = planned(self)
            step, points = self.optimizer_step, loggers_with(brain, "log_step")
            points = [each for each in points if each.every]
            brain.course = Course(
                self.title, total, step, epoch, recorders=points, is_shown=False
            )

    def keep_losses(self, losses):
        """Updates the mean loss of each copy, and logs updates."""
        for (_, brain), loss in zip(self.active, losses):
            brain.optimizer_step = self.optimizer_step
            loss = brain.update_average(torch.tensor(loss), brain.avg_train_loss)
            brain.avg_train_loss = loss

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Ends a stage of each copy as a run does."""
        if stage == sb.Stage.TRAIN:
            for _, brain in self.active:
                brain.train_loss, brain.avg_train_loss = brain.avg_train_loss, 0.0
        super().on_stage_end(stage, stage_loss, epoch)

    def keep_validated(self, i, stats, epoch):
        """Saves and logs a copy as a run does."""
        brain = self.copies[i]
        if brain in self.kept:
            self.origin.stacked = self.state.stacked
            brain.step, brain.optimizer_step = self.step, self.optimizer_step
            brain.finish_validation(stats, epoch)

    def tidy(self):
        """Deletes the checkpoints of the copies that newer ones have replaced."""
        for brain in self.kept:
            brain.checkpointer.tidy()

    def result(self):
        """Returns how the learning rates compare.

        Returns
        -------
        dict
            ``metric``, ``highest``, ``rates`` (for each the best value on the
            validation set, its loss and epoch; or when it diverged; and
            ``validations``, the update, training loss and value of each) and
            ``best``, null if all diverged.
        """
        rates = {}
        for rate, learner, brain in zip(self.rates, self.learners, self.copies):
            best, loggers = learner.best, vars(brain.hparams)["train_loggers"]
            rates[f"{rate:g}"] = {
                self.metric: best.get("score"),
                "loss": best.get("loss"),
                "epoch": best.get("epoch"),
                "diverged_at_step": learner.diverged_at,
                "stopped_at_step": self.stop_of(learner),
                "validations": loggers[0].validations(self.metric) if loggers else [],
            }
        best = self.best_of(range(len(self.copies)))
        return {
            "metric": self.metric,
            "highest": self.higher_is_better,
            "rates": rates,
            "best": None if best is None else self.rates[best],
        }


def _own(hparams, rate):
    """Returns the checkpointer and the logs of a copy."""
    folder = winner.folder_of(hparams, rate)
    diary = winner.Diary(folder / winner.DIARY, hparams.get("train_loggers") or [])
    checkpointer = winner.CopyCheckpointer(str(folder))
    return {"loggers": [diary], "checkpointer": checkpointer}


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
