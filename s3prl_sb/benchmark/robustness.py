"""Tests of trained runs in noise: jobs that score them, and their results.

A run is scored again for each signal-to-noise ratio, in ``RUN/noisy/10dB``; one of
several parts part by part. Nothing is trained.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import statistics
import sys

from s3prl_sb.benchmark import parts
from s3prl_sb.benchmark.keys import PlanError
from s3prl_sb.benchmark.requirements import without_recordings
from s3prl_sb.engines.jobs import Job
from s3prl_sb.errors import UserError
from s3prl_sb.foreign import trust
from s3prl_sb.identity import digest
from s3prl_sb.identity.content import hash_folder
from s3prl_sb.runs.results import RESULTS
from s3prl_sb.startup.arguments import argument
from s3prl_sb.storage.files import FileError, read_json, write_json

FOLDER, CONDITION, SCORE = "noisy", "condition.json", "score"
WHITE = "white noise"
KEY = "test_noise"


def conditions(arguments):
    """Returns the conditions of the tests that a command requests.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :mod:`s3prl_sb.benchmark.arguments`.

    Returns
    -------
    list of dict
        For each ratio ``snr`` in dB, ``noise`` (its name), ``content`` (a hash of the
        recordings, or None) and ``keys`` for the recipe's ``test_noise``.

    Raises
    ------
    PlanError
        For ratios that are not finite or occur twice, or without recordings.
    """
    ratios, folder = arguments.test_snr or [], arguments.test_noise_folder
    shown = [f"{ratio:g}" for ratio in ratios]  # as in the names of folders
    if not all(map(math.isfinite, ratios)) or len(set(shown)) < len(ratios):
        raise PlanError(
            f"--test_snr {' '.join(shown)}: give different numbers, such as 20 10 0"
        )
    if folder is None:
        place, name, content = {}, WHITE, None
    elif not ratios:
        raise PlanError("--test_noise_folder needs --test_snr, such as 20 10 5 0")
    elif not folder.expanduser().is_dir():
        raise PlanError(f"--test_noise_folder: '{folder}' is no folder")
    else:
        for fault in without_recordings("--test_noise_folder", folder):
            raise PlanError(f"{fault}: give .wav or .flac files")
        folder = folder.expanduser().resolve()
        place, name, content = {"folder": str(folder)}, folder.name, hash_folder(folder)
    return [
        {"snr": snr, "noise": name, "content": content, "keys": {"snr": snr, **place}}
        for snr in ratios
    ]


def check(runs):
    """Checks that the test set of runs is clean.

    Arguments
    ---------
    runs : list of s3prl_sb.benchmark.plan.Run
        Runs to test in noise.

    Raises
    ------
    PlanError
        If one sets a noise for its own test.
    """
    for run in runs:
        if run.overrides.get(KEY):
            raise PlanError(
                f"{run.task}: {KEY} is set, and --test_snr sets it too: leave one out"
            )


def jobs(runs, tested):
    """Creates the jobs that score runs in noise.

    Arguments
    ---------
    runs : list of s3prl_sb.benchmark.plan.Run
        Runs that have their jobs.
    tested : list of dict
        Output of :func:`conditions`.

    Returns
    -------
    list of s3prl_sb.engines.jobs.Job
        Jobs after those of the runs.
    """
    return [
        _job(run, model, condition)
        for condition in tested
        for run in runs
        for model in _models(run)
    ]


def _models(run):
    """Returns the folders of the models of a run: its own, or those of its parts."""
    names = parts.names(run.task, run.overrides)
    return [run.folder / name for name in names] or [run.folder]


def _job(run, model, condition):
    content = condition["content"]
    mark = f"-{content[:8]}" if content else ""
    folder = model / FOLDER / f"{condition['snr']:g}dB{mark}"
    fold = f" {model.name}" if model != run.folder else ""

    def command():
        write_json(folder / CONDITION, condition)
        trusted = [trust.FLAG] if trust.trusts_all() else []
        noise = f"--{KEY}={argument(condition['keys'])}"
        program = [sys.executable, "-m", "s3prl_sb.cli", "score", model, *trusted]
        return [*program, noise, "--output", folder / SCORE]

    return Job(
        name=f"{run.job.name}{fold} at {condition['snr']:g} dB",
        folder=folder,
        command=command,
        is_done=lambda: _metrics(folder) is not None,
        after=[run.job],
    )


def results(folder, folds=()):
    """Reads the results of a run in noise.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the run.
    folds : sequence of str
        Folders of its folds in it, if it is a cross-validation.

    Returns
    -------
    list of dict
        For each condition ``noise``, ``content``, ``snr`` and ``metrics``, means over
        folds. Conditions that a fold lacks are left out.
    """
    models = [folder / fold for fold in folds] or [folder]
    groups = {}
    for model in models:
        for path in model.glob(f"{FOLDER}/*/{CONDITION}"):
            metrics, condition = _metrics(path.parent), _condition(path)
            if metrics is not None and condition is not None:
                group = groups.setdefault(digest(condition), (condition, []))
                group[1].append(metrics)
    return [
        {**condition, "metrics": _means(metrics)}
        for condition, metrics in groups.values()
        if len(metrics) == len(models)
    ]


def _condition(path):
    try:
        values = read_json(path, kind=dict)
        noise, content = values["noise"], values["content"]
        return {"snr": float(values["snr"]), "noise": noise, "content": content}
    except (UserError, KeyError, TypeError, ValueError):
        return None


def _metrics(folder):
    """Returns the metrics of a score, or None."""
    try:
        values = read_json(folder / SCORE / RESULTS, kind=dict)["metrics"]
        return {name: float(value) for name, value in values.items()}
    except (FileError, KeyError, AttributeError, TypeError, ValueError):
        return None


def _means(metrics):
    names = [name for name in metrics[0] if all(name in each for each in metrics)]
    return {name: statistics.fmean(each[name] for each in metrics) for name in names}
