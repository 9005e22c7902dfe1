"""Choice of the runs of a submission: for each task the best on validation.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from s3prl_sb.errors import UserError
from s3prl_sb.runs.results import find_runs
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
    """

    folder: Path
    run: dict
    others: int

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
        if not self.others:
            return text
        metric = self.run["chosen_by"]["metric"]
        value = self.run["valid"].get(metric, math.nan)
        of = self.others + 1
        return f"{text}, the best {metric} in validation ({value:.4f}) of {of} runs"


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
    seeds = sorted({run["seed"] for run in chosen}, key=str)
    chosen = [run for run in chosen if seed in (None, run["seed"])]
    if seeds and not chosen:
        of = few(map(str, seeds))
        raise SubmissionError(f"{places}: no run of seed {seed}, but of {of}.")
    if not chosen:
        raise SubmissionError(f"{places}: no finished run of a task is there.")
    return chosen


def _is_plain(run):
    """Returns whether a run was tested on a test set as it is, not in noise."""
    is_test = run.get("split", "test") == "test"
    return is_test and not (run.get("test") or {}).get("conditions")


def choose(entry: Entry, runs: Sequence[dict]) -> Choice | None:
    """Returns the run for a task, the best on its validation set.

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
    """
    found = [run for run in runs if run["task"] == entry.recipe]
    if entry.fold is not None:
        # A submission is one system: its folds come from one run, if there is one.
        whole = [run for run in found if run.get("folds")]
        found = whole or [run for run in found if _fold(run) == entry.fold]
    if not found:
        return None
    best = min(found, key=_badness)
    choice = Choice(Path(best["folder"]), best, len(found) - 1)
    if entry.fold is None or not best.get("folds"):
        return choice
    for fold in best["folds"]:
        if fold["fold"] == entry.fold:
            metrics = {"metrics": fold["metrics"]}
            folder = choice.folder / fold["folder"]
            return choice._replace(folder=folder, run={**best, **metrics})
    return None


def _fold(run):
    return (run.get("settings") or {}).get("fold")


def _badness(run):
    """Returns a number that is lower for better runs, by the metric that chose."""
    value = (run.get("valid") or {}).get(run["chosen_by"]["metric"])
    if not isinstance(value, int | float) or math.isnan(value):
        return math.inf
    return -value if run["chosen_by"]["highest"] else value
