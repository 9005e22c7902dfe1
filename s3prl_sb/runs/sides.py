"""The two sides of a comparison: runs that only differ in their seed, with their
measures and predictions.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from s3prl_sb.errors import UserError
from s3prl_sb.metrics.measures import FILE, Measures
from s3prl_sb.runs.results import RESULTS, differences, find_runs, read_run
from s3prl_sb.storage.files import naming, read_text
from s3prl_sb.terminal.messages import few, near

PREDICTIONS = "predictions.csv"
#: Columns of predictions.csv that say what is true, and what was predicted.
TRUE, PREDICTED = ("reference", "label"), "prediction"
#: Properties in which the runs of a side may differ.
OF_A_SEED = ("seed", "lr")
_GIVE = (
    "Give the folder of a finished run or an export on this machine: `s3prl-sb results "
    "DIR` lists the runs in a folder, and what is on the hub has no measures of items."
)


class SideError(UserError, ValueError):
    """Folders that cannot be compared."""


@dataclass(frozen=True)
class Side:
    """Runs of one setup.

    Arguments
    ---------
    name : str
        The folder.
    runs : list of dict
        Results of the runs, see :func:`s3prl_sb.runs.results.find_runs`.
    """

    name: str
    runs: Sequence[dict[str, Any]]

    @property
    def task(self) -> str:
        """The task of all runs."""
        return self.runs[0]["task"] or ""

    @property
    def upstream(self) -> str:
        """The upstream of all runs."""
        return self.runs[0]["upstream"] or ""

    @property
    def seeds(self) -> list[Any]:
        """The seeds of the runs."""
        return [run.get("seed") for run in self.runs]

    @cached_property
    def measures(self) -> list[Measures]:
        """Measures of each run.

        Raises
        ------
        SideError
            If a run has none.
        """
        measures = []
        for run in self.runs:
            each = Measures.read(run["folder"])
            if each is None:
                raise SideError(
                    f"'{run['folder']}' has no {FILE}: it was tested by an older "
                    "version. Test it again, as with s3prl-sb score."
                )
            measures.append(each)
        return measures

    @cached_property
    def predictions(self) -> list[Mapping[str, Mapping[str, str]]]:
        """Rows of predictions.csv by id, for each run; of folds, those of all."""
        return [_predictions(run) for run in self.runs]

    @property
    def has_predictions(self) -> bool:
        """Returns whether a run has predictions.csv; most exports have none."""
        return any(
            (Path(run["folder"]) / place / PREDICTIONS).is_file()
            for run in self.runs
            for _, place in _parts(run)
        )

    def texts(self, item: str) -> tuple[str | None, dict[str, list[Any]]]:
        """Returns what was true and what was predicted.

        Arguments
        ---------
        item : str
            Id of an item.

        Returns
        -------
        true : str or None
            None where predictions.csv does not say it.
        predicted : dict
            Predictions to the seeds of the runs that made them.
        """
        true: str | None = None
        predicted: dict[str, list[Any]] = {}
        for rows, seed in zip(self.predictions, self.seeds):
            row = rows.get(item, {})
            name = next((name for name in TRUE if name in row), None)
            if name and PREDICTED in row:
                true = row[name]
                predicted.setdefault(row[PREDICTED], []).append(seed)
        return true, predicted


def side_of(folder: str, task: str | None = None) -> Side:
    """Finds the runs of a folder.

    Arguments
    ---------
    folder : str
        Folder of a run or an export, or one with the runs of several seeds at any
        depth, such as a folder of a benchmark.
    task : str, optional
        Task or its last part, where the folder has several.

    Returns
    -------
    Side

    Raises
    ------
    SideError
        If there is no run, or there are runs of several tasks or settings.
    """
    runs = _runs(folder)
    if task is not None:
        wanted = task.lower()
        chosen = [run for run in runs if wanted in _names((run["task"] or "").lower())]
        if not chosen:
            tasks = sorted({run["task"] or "" for run in runs})
            raise SideError(f"'{folder}' has no run of {task}. {near(task, tasks)}")
        runs = chosen
    tasks = sorted({run["task"] or "no task" for run in runs})
    if len(tasks) > 1:
        raise SideError(
            f"'{folder}' has runs of several tasks: {few(tasks)}. Choose one by --task."
        )
    apart = differences(runs)
    apart |= {n: [r.get(n) for r in runs] for n in ("upstream", "total_steps")}
    apart = [
        name
        for name, column in apart.items()
        if name not in OF_A_SEED and any(value != column[0] for value in column)
    ]
    if apart:
        raise SideError(
            f"'{folder}' has {len(runs)} runs that differ in {few(apart, 5)}, not only "
            "in their seed. Name the folder of those with the same settings."
        )
    return Side(str(folder), runs)


def settings_apart(first: Side, second: Side) -> dict[str, tuple[list, list]]:
    """Returns the properties in which two sides differ.

    Arguments
    ---------
    first, second : Side
        The sides.

    Returns
    -------
    dict
        Names to the values of each side, without repetitions.
    """
    runs, count = [*first.runs, *second.runs], len(first.runs)
    columns = {
        "upstream": [run["upstream"] for run in runs],
        **differences(runs),
        "steps": [run.get("total_steps") for run in runs],
    }
    apart = {}
    for name, column in columns.items():
        sides = [_unique(part) for part in (column[:count], column[count:])]
        if sides[0] != sides[1] and name != "seed":
            apart[name] = (sides[0], sides[1])
    return apart


def _unique(values):
    return [value for i, value in enumerate(values) if value not in values[:i]]


def _names(task):
    return task, task.rpartition("/")[2]


def _runs(folder):
    path = Path(folder, RESULTS)
    if path.is_file():
        return [read_run(path)]
    if not Path(folder).exists():
        raise SideError(f"There is no folder '{folder}'. {_GIVE}")
    failed: list[Exception] = []
    runs = find_runs([folder], failed.append)
    if not runs and failed:
        raise failed[0]
    if not runs:
        raise SideError(f"no {RESULTS} under {folder}. {_GIVE}")
    # The tests of a run on other lists are in folders of its own
    places = {Path(run["folder"]).resolve() for run in runs}
    return [
        run for run in runs if not places & set(Path(run["folder"]).resolve().parents)
    ]


def _parts(run):
    """Returns the names of the folds of a run, and their folders in it."""
    folds = [(str(fold["fold"]), fold["folder"]) for fold in run.get("folds") or ()]
    return folds or [("", "")]


def _predictions(run):
    """Returns the rows of predictions.csv by id."""
    folder, rows = Path(run["folder"]), {}
    for name, place in _parts(run):
        path = folder / place / PREDICTIONS
        if path.is_file():
            with naming(path, "the predictions of a run"):
                text = io.StringIO(read_text(path), newline="")
                # Those of queries and trials have no ids, and no texts to align
                mine = {row["id"]: row for row in csv.DictReader(text) if "id" in row}
            rows |= mine | {f"{name}/{item}": row for item, row in mine.items()}
    return rows
