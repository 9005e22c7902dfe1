"""The best copy of a search of learning rates becomes the run.

During the search every copy writes what a run writes, into a folder of its own beside
the checkpoints of the search: its best and its last checkpoint, and a diary of what a
run logs. At the end those of the best copy move to the places of the run, which then
has nothing left to train and is tested. So nothing is trained twice, and an upstream
without a cache runs once. Every step may be interrupted and is repeated: the folder of
the search is deleted last.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import logging
import math
import shutil
from pathlib import Path

from speechbrain.utils.checkpoints import (
    ckpt_recency,
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)

from s3prl_sb.brains import settings
from s3prl_sb.brains.checkpoint_files import in_order, is_checkpoint, verified
from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.storage import parts
from s3prl_sb.storage.files import FileError, read_json
from s3prl_sb.storage.parts import Part

logger = logging.getLogger(__name__)

FOLDER = "lr_search"  # in the folder of the run's checkpoints
DIARY = "diary.jsonl"
ORIGIN = "search"  # name of the origin in a checkpoint


def folder_of(hparams, rate=None):
    """Returns the folder of a search, or of one of its copies.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe.
    rate : float, optional
        Learning rate of the copy.

    Returns
    -------
    pathlib.Path

    Example
    -------
    >>> folder_of({"save_folder": "save"}, 0.01).as_posix()
    'save/lr_search/lr_0.01'
    """
    folder = Path(hparams["save_folder"]) / FOLDER
    return folder if rate is None else folder / f"lr_{rate!r}"


@register_checkpoint_hooks
class Origin:
    """Search in which a run was trained; a part of its checkpoints.

    Arguments
    ---------
    rates : list of float
        Learning rates that were trained together.
    """

    def __init__(self, rates=()):
        self.rates, self.stacked = list(rates), None

    def description(self):
        """Returns the origin for ``results.json``.

        Returns
        -------
        dict
            ``rates``, and ``trained``: "in turns", with the numbers of a run at that
            rate alone; or "stacked", which rounds differently.

        Example
        -------
        >>> Origin([0.1, 0.01]).description()
        {'rates': [0.1, 0.01], 'trained': 'in turns'}
        """
        trained = "stacked" if self.stacked else "in turns"
        return {"rates": self.rates, "trained": trained}

    @mark_as_saver
    def _save(self, path):
        Path(path).write_text(json.dumps(vars(self)), encoding="utf-8")

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        state = read_json(path, "the origin of a run", kind=dict)
        self.rates, self.stacked = state["rates"], state["stacked"]


class CopyCheckpointer(AtomicCheckpointer):
    """Checkpointer of a copy, which deletes only after the search has been saved.

    A search that is killed in between resumes before the newest checkpoint of the copy,
    and needs the one that it would replace.
    """

    kept = None  # what the last saving would have kept

    def delete_checkpoints(self, **options):
        """Remembers what is to be deleted."""
        self.kept = options

    def tidy(self):
        """Deletes what the last saving has replaced."""
        if self.kept is not None:
            super().delete_checkpoints(**self.kept)
        self.kept = None

    def rewind(self, epoch, best):
        """Deletes what a search that resumes does not need: the checkpoints of later
        epochs, which it trains again, and of the others all but the best and the last.

        Arguments
        ---------
        epoch : int
            Epochs that the search resumes after.
        best : callable
            See :func:`~s3prl_sb.brains.checkpointer.ranking`.
        """
        super().delete_checkpoints(
            num_to_keep=0, ckpt_predicate=lambda each: each.meta["epoch"] > epoch
        )
        super().delete_checkpoints(importance_keys=[ckpt_recency, best])


class Diary:
    """Log entries of a copy, kept until it is known whether it becomes the run.

    Arguments
    ---------
    path : pathlib.Path
        Text file with a JSON value in each line.
    loggers : list
        Loggers of the run.

    Example
    -------
    >>> diary = Diary(getfixture("tmp_path") / "diary.jsonl", [])
    >>> diary.log_step(10, {"loss": 0.5})
    >>> diary.log_step(20, {"loss": 0.25})
    >>> diary.resume(10)
    >>> [entry["step"] for entry in diary.entries()]
    [10]
    """

    def __init__(self, path, loggers):
        self.path = path
        #: Updates between two calls of :meth:`log_step`.
        self.every = math.gcd(*(e.every for e in loggers if hasattr(e, "log_step")))

    def entries(self):
        """Returns all entries; one that a kill has cut off is not among them.

        Returns
        -------
        list of dict
            ``method`` of a logger, ``step``, and ``arguments``.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def resume(self, step):
        """Deletes the entries of later updates.

        Arguments
        ---------
        step : int
            Updates that the search resumes after.
        """
        entries = [entry for entry in self.entries() if entry["step"] <= step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with Part(self.path) as part:
            part.path.write_text("".join(map(_line, entries)), encoding="utf-8")
            part.publish()

    def validations(self, metric):
        """Returns the course of the copy.

        Arguments
        ---------
        metric : str
            Measure of the validation set.

        Returns
        -------
        list of list
            Update, training loss and measure of each validation; NaN is None.

        Example
        -------
        >>> diary = Diary(getfixture("tmp_path") / "diary.jsonl", [])
        >>> diary.log_stats({"steps": 5}, {"loss": 2.0}, {"wer": 0.5})
        >>> diary.validations("wer")
        [[5, 2.0, 0.5]]
        """
        stats = [e for e in self.entries() if e["method"] == "log_stats"]
        rows = []
        for entry in stats:
            _, train, valid = entry["arguments"]
            values = ((train or {}).get("loss"), (valid or {}).get(metric))
            rows.append([entry["step"], *map(_finite, values)])
        return rows

    def flush(self):
        """Does nothing: every entry is written at once."""

    def log_step(self, step, facts):
        """Keeps the facts of an update."""
        self._add("log_step", step, [step, facts])

    def log_stats(self, stats_meta, train_stats=None, valid_stats=None):
        """Keeps the statistics of a validation."""
        arguments = [stats_meta, train_stats, valid_stats]
        self._add("log_stats", stats_meta["steps"], arguments)

    def log_weights(self, step, layers, weights):
        """Keeps the weights of the layers."""
        self._add("log_weights", step, [step, layers, weights])

    def _add(self, method, step, arguments):
        entry = {"method": method, "step": step, "arguments": arguments}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_line(entry))

    def tell(self, loggers):
        """Passes all entries to the loggers of a run, whose logs begin again.

        Arguments
        ---------
        loggers : list
            Each gets what it has a method for.
        """
        for each in loggers:
            if hasattr(each, "begin_again"):
                each.begin_again()
        for entry in self.entries():
            method, step = entry["method"], entry["step"]
            for each in loggers:
                if not hasattr(each, method):
                    continue
                if method == "log_step" and step % each.every:
                    continue
                quiet = {"verbose": False} if method == "log_stats" else {}
                getattr(each, method)(*entry["arguments"], **quiet)


def _finite(value):
    return value if value is not None and math.isfinite(value) else None


def _line(entry):
    return json.dumps(entry, default=float) + "\n"


def take_over(brain):
    """Makes the best copy of a finished search the run of a Brain.

    A run that was not trained in a search stays as it is.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain of the run, at the rate of the best copy, before its training.
    """
    hparams = vars(brain.hparams)
    if not brain.debug:
        folder = folder_of(hparams, float(hparams["lr"]))
        paths = in_order([path for path in folder.glob("*") if is_checkpoint(path)])
        if paths and _is_free(brain.checkpointer):
            _adopt(brain, paths, folder)
        parts.clear(brain.checkpointer.checkpoints_dir)  # of a kill in _adopt
        shutil.rmtree(folder_of(hparams), ignore_errors=True)


def recall(brain):
    """Gives a Brain the origin of the run that it resumes, if a search trained it.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain of the run, before its training.
    """
    checkpoints = brain.checkpointer.list_checkpoints()
    if any(ORIGIN in each.paramfiles for each in checkpoints):
        brain.origin = Origin()
        brain.checkpointer.add_recoverable(ORIGIN, brain.origin, optional_load=True)


def _is_free(checkpointer):
    """Returns whether no run has been trained here, except in a search."""
    return all(ORIGIN in c.paramfiles for c in checkpointer.list_checkpoints())


def _adopt(brain, paths, folder):
    try:
        for path in paths:
            verified(path)
    except FileError as error:
        rate = brain.hparams.lr
        logger.warning("%s The run at lr %g is trained again, alone.", error, rate)
        return
    names = {path.name for path in paths}
    # Of a search with fewer steps.
    brain.checkpointer.delete_checkpoints(
        num_to_keep=0, ckpt_predicate=lambda each: each.path.name not in names
    )
    settings.check(brain)  # writes them, as they come before the checkpoints
    for path in paths:
        destination = Path(brain.checkpointer.checkpoints_dir) / path.name
        if not destination.exists():
            with Part(destination) as part:
                shutil.copytree(path, part.path)
                part.publish()
    loggers = getattr(brain.hparams, "train_loggers", None) or []
    Diary(folder / DIARY, loggers).tell(loggers)
    logger.info("The run at lr %g is that of the search", brain.hparams.lr)
