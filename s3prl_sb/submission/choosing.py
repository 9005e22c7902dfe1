"""Choice of the runs of a submission: for each task the best on validation.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from s3prl_sb.errors import UserError
from s3prl_sb.runs.results import RESULTS, find_runs
from s3prl_sb.storage.files import naming
from s3prl_sb.submission.entries import Entry
from s3prl_sb.terminal.messages import few


class SubmissionError(UserError, ValueError):
    """A submission that cannot be made."""


class Choice(NamedTuple):
    """A run of a submission.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with its predictions: of an entry with a fold that of the fold.
    run : dict
        Its results.json, of a fold those of the fold where they differ.
    others : int
        Number of other runs that could have been taken.
    left_out : int
        Number of runs that depart from the protocol, which this one does not.
    """

    folder: Path
    run: dict
    others: int
    left_out: int = 0

    def words(self) -> str:
        """Returns why the run was taken.

        Example
        -------
        >>> run = {"seed": 1, "chosen_by": {"metric": "wer"}, "valid": {"wer": 0.25}}
        >>> Choice(Path("a"), run, 1).words()
        'seed 1, the best wer in validation (0.2500) of 2 runs'
        >>> Choice(Path("a"), run, 0).words()
        'seed 1'
        """
        text = f"seed {self.run['seed']}"
        if self.others:
            metric, of = self.run["chosen_by"]["metric"], self.others + 1
            value = f"({_value(self.run):.4f})"
            text += f", the best {metric} in validation {value} of {of} runs"
        if self.left_out:
            text += f", without {self.left_out} that depart from the protocol"
        return text


def runs_of(
    folders: Sequence[str],
    failed: Callable[[UserError], None],
    upstream: str | None = None,
    seed: int | None = None,
) -> list[dict]:
    """Returns the finished runs of one upstream.

    Arguments
    ---------
    folders : list of str
        Folders of benchmarks and runs, searched at any depth.
    failed : callable
        Called with the error of each file that cannot be read.
    upstream : str, optional
        Name of the upstream; needed if there are runs of several.
    seed : int, optional
        Seed of the runs. Default: any.

    Returns
    -------
    list of dict
        See :func:`~s3prl_sb.runs.results.find_runs`.

    Raises
    ------
    SubmissionError
        If there is no such run, or the upstream is ambiguous.
    """
    places = ", ".join(map(str, folders))
    runs = [run for run in find_runs(folders, failed) if _is_plain(run)]
    names = list(dict.fromkeys(run["upstream"] for run in runs))
    if upstream is None and len(names) > 1:
        raise SubmissionError(
            f"{places}: runs of {len(names)} upstreams. Choose one with --upstream: "
            f"{few(sorted(map(str, names)))}."
        )
    chosen = [run for run in runs if upstream in (None, run["upstream"])]
    if upstream is not None and runs and not chosen:
        raise SubmissionError(
            f"{places}: no finished run of {upstream}, but of "
            f"{few(sorted(map(str, names)))}."
        )
    seeds = list(dict.fromkeys(str(run["seed"]) for run in chosen))
    chosen = [run for run in chosen if seed in (None, run["seed"])]
    if seeds and not chosen:
        raise SubmissionError(f"{places}: no run of seed {seed}, but of {few(seeds)}.")
    if not chosen:
        raise SubmissionError(f"{places}: no finished run of a task is there.")
    return chosen


def _is_plain(run):
    """Returns whether a run was tested on a test set as it is, not in noise."""
    is_test, test = run.get("split", "test") == "test", run.get("test")
    return is_test and not (isinstance(test, dict) and test.get("conditions"))


def choose(entry: Entry, runs: Sequence[dict]) -> Choice | None:
    """Returns the run for a task, the best on its validation set.

    Runs that follow the protocol come before those that depart from it.

    Arguments
    ---------
    entry : Entry
        The task.
    runs : list of dict
        Output of :func:`runs_of`.

    Returns
    -------
    Choice or None
        None if there is no run.

    Raises
    ------
    SubmissionError
        If different metrics chose the checkpoints of the runs.
    FileError
        If a run of folds does not describe them.
    """
    found = [run for run in runs if run["task"] == entry.recipe]
    if entry.fold is not None:
        # A submission is one system: its folds come from one run, if there is one.
        whole = [run for run in found if run.get("folds")]
        found = whole or [run for run in found if _fold(run) == entry.fold]
    if not found:
        return None
    kept = [run for run in found if not _departs(run)] or found
    metrics = {str(run["chosen_by"]["metric"]) for run in kept}
    if len(metrics) > 1:
        raise SubmissionError(
            f"the checkpoints of its {len(kept)} runs were chosen by "
            f"{few(sorted(metrics))}, which do not compare. Name the folder of one run."
        )
    best = min(kept, key=_badness)
    numbers = len(kept) - 1, len(found) - len(kept)
    choice = Choice(Path(best["folder"]), best, *numbers)
    if entry.fold is None or not best.get("folds"):
        return choice
    path = choice.folder / RESULTS
    with naming(path, "the results of a run of folds", "Run its recipe again."):
        for fold in best["folds"]:
            if fold["fold"] == entry.fold:
                run = {**best, "metrics": {**fold["metrics"]}}
                return choice._replace(folder=choice.folder / fold["folder"], run=run)
    return None


def _fold(run):
    return (run.get("settings") or {}).get("fold")


def _departs(run):
    return (run.get("protocol") or {}).get("followed") is False


def _value(run):
    """Returns the metric that chose, on the validation set; NaN if it is not there."""
    valid = run.get("valid")
    value = valid.get(run["chosen_by"]["metric"]) if isinstance(valid, dict) else None
    return value if isinstance(value, int | float) else math.nan


def _badness(run):
    """Returns a number that is lower for better runs, by the metric that chose."""
    value = _value(run)
    if math.isnan(value):
        return math.inf
    return -value if run["chosen_by"]["highest"] else value
