"""Entries of a page: one upstream in one configuration on one task.

The runs of a setup only differ in their seed. In the output of a benchmark a setup is
a cell of its table; other runs are grouped by what they differ in.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import json
import statistics
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from s3prl_sb.benchmark import table as benchmark_table
from s3prl_sb.errors import UserError
from s3prl_sb.report.axes import named
from s3prl_sb.report.escaping import slug
from s3prl_sb.report.gathered import Run
from s3prl_sb.runs.results import differences, goodness, main_metrics
from s3prl_sb.runs.suite_tasks import metrics_of
from s3prl_sb.terminal.quantities import is_share


class Score(NamedTuple):
    """A metric of a setup, in the unit that it is shown in.

    Arguments
    ---------
    name : str
        Key of the metric in results.json.
    mean : float
        Mean over the runs.
    spread : float or None
        Standard deviation over seeds, or over folds of a single run.
    interval : tuple of float or None
        Ends of the 95 % interval.
    digits : int
        Decimals.
    unit : str
        "%", or another unit.
    """

    name: str
    mean: float
    spread: float | None
    interval: tuple[float, float] | None
    digits: int
    unit: str

    def text(self) -> str:
        """Returns the score in words.

        Example
        -------
        >>> Score("wer", 4.2, 0.12, (3.9, 4.61), 2, "%").text()
        'WER 4.20 ± 0.12 % [3.90, 4.61]'
        """
        spread = "" if self.spread is None else f" ± {self.spread:.{self.digits}f}"
        unit = f" {self.unit}" if self.unit else ""
        ends = f" {self.ends()}" if self.interval else ""
        return f"{named(self.name)} {self.mean:.{self.digits}f}{spread}{unit}{ends}"

    def ends(self) -> str:
        """Returns the interval, or an empty text."""
        if self.interval is None:
            return ""
        low, high = (f"{end:.{self.digits}f}" for end in self.interval)
        return f"[{low}, {high}]"


class Setup:
    """One upstream in one configuration on one task, and its runs.

    Arguments
    ---------
    task : str
        Name of the task on the page.
    upstream : str
        Upstream, which the reader filters by.
    name : str
        Upstream and configuration, as a row of a table names it.
    runs : list of Run
        Its finished runs.
    cell : dict, optional
        Cell of the table of a benchmark.
    """

    def __init__(
        self,
        task: str,
        upstream: str,
        name: str,
        runs: Sequence[Run],
        cell: dict | None = None,
    ):
        self.task, self.upstream, self.name = task, upstream, name
        self.runs, self.cell = sorted(runs, key=_seed), cell
        self.key = ""  # anchor, unique in its page

    @functools.cached_property
    def scores(self) -> list[Score]:
        """The main metrics, over the runs."""
        found: dict[str, list] = {}
        for run in self.runs:
            for metric in main_metrics(run.results):
                found.setdefault(metric[0], []).append((run, metric))
        scores = []
        for name, pairs in found.items():
            values = [metric[1] for _, metric in pairs]
            _, _, spread, digits, unit = pairs[0][1]
            if len(values) > 1:
                spread = statistics.stdev(values)
            scale = scale_of(pairs[0][0].task, name)
            ends = interval_of([run for run, _ in pairs], name)
            scaled = ends and (ends[0] * scale, ends[1] * scale)
            mean = statistics.fmean(values)
            scores.append(Score(name, mean, spread, scaled, digits, unit))
        return scores


def _seed(run):
    seed = run.results.get("seed")
    return seed if isinstance(seed, int) else float("inf")


def scale_of(task: str, name: str) -> float:
    """Returns what converts a metric of results.json to the unit that is shown.

    Arguments
    ---------
    task : str
        Name of the recipe.
    name : str
        Key of the metric.

    Returns
    -------
    float

    Example
    -------
    >>> scale_of("SUPERB/KS", "accuracy"), scale_of("SUPERB/KS", "loss")
    (100.0, 1.0)
    """
    scales = {metric.key: metric.scale for metric in metrics_of(task)}
    return scales.get(name, 100.0 if is_share(name) else 1.0)


def interval_of(runs: Sequence[Run], metric: str) -> tuple[float, float] | None:
    """Returns the 95 % interval of a metric, of one run or of the mean over runs.

    Arguments
    ---------
    runs : list of Run
        Runs that differ in their seed.
    metric : str
        Key in results.json, whose scale the interval has.

    Returns
    -------
    tuple of float or None
        None where a run does not say what each of its utterances contributed.
    """
    if len(runs) == 1:
        known = runs[0].results.get("intervals")
        ends = ((known or {}).get("metrics") or {}).get(metric)
        return (ends[0], ends[1]) if ends else None
    measures = [run.measures for run in runs]
    if any(each is None or metric not in each.names for each in measures):
        return None
    from s3prl_sb.metrics.measures import combined

    try:
        found = combined(measures, metric)
    except UserError as error:  # seeds with different test sets
        runs[0].note(error)
        return None
    return None if found.low != found.low else (found.low, found.high)


class Table(NamedTuple):
    """The table of a benchmark, with the setups of its cells.

    Arguments
    ---------
    values : dict
        Content of table.json.
    output : Path
        Folder of the benchmark.
    setups : dict
        Number of the row and task to the setup.
    """

    values: dict[str, Any]
    output: Path
    setups: dict[tuple[int, str], Setup]


def read_tables(
    folders: Iterable[Path], runs: Sequence[Run], failed: Any
) -> list[Table]:
    """Returns the tables of the benchmarks in folders, or right below them.

    Arguments
    ---------
    folders : list of Path
        Folders of the page.
    runs : list of Run
        All runs that were found there.
    failed : callable
        Called with the error of each table that cannot be read.

    Returns
    -------
    list of Table
    """
    by_place = {run.folder.resolve(): run for run in runs}
    outputs = []
    for folder in map(Path, folders):
        below = sorted(folder.glob(f"*/{benchmark_table.TABLE}"))
        outputs += [folder, *(path.parent for path in below)]
    tables = {}
    for output in outputs:
        if not (output / benchmark_table.TABLE).is_file():
            continue
        try:
            values = benchmark_table.read(output)
            setups = dict(_cells(values, output, by_place))
        except Exception as error:  # of any kind, as what the file may hold
            failed(error if isinstance(error, UserError) else _damaged(output))
            continue
        tables.setdefault(output.resolve(), Table(values, output, setups))
    return list(tables.values())


def _damaged(output):
    path = output / benchmark_table.TABLE
    return UserError(
        f"{path} is not the table of a benchmark. Run the benchmark again."
    )


def _cells(values, output, by_place):
    places = {task: place for place, task in enumerate(values["tasks"])}
    for number, row in enumerate(values["rows"]):
        # A table keeps the cells in the order in which they were last made
        ordered = sorted(row["cells"].items(), key=lambda c: places.get(c[0], 0))
        for task, cell in ordered:
            runs = [_run_at(each["folder"], output, by_place) for each in cell["runs"]]
            title = (row.get("about") or {}).get("upstream") or row["upstream"]
            found = [run for run in runs if run is not None]
            names = task, str(title), str(row["upstream"])
            yield (number, task), Setup(*names, found, cell)


def _run_at(folder, output, by_place):
    """Returns the run of a cell, also where the benchmark has been moved."""
    parts = Path(folder).parts
    for place in (Path(folder), *(output.joinpath(*parts[-n:]) for n in (3, 4))):
        if run := by_place.get(place.resolve()):
            return run
    return None


def of_runs(
    runs: Sequence[Run], searched: Collection[tuple[str, str]] = ()
) -> list[Setup]:
    """Groups runs by all that they differ in but their seed.

    Arguments
    ---------
    runs : list of Run
        Runs outside the tables of benchmarks.
    searched : set of tuple
        Tasks and upstreams whose learning rate was searched, and is no difference.

    Returns
    -------
    list of Setup
        By task, the best first.
    """
    setups = []
    for task in dict.fromkeys(run.task for run in runs):
        mine = [run for run in runs if run.task == task]
        setups += _grouped(task, mine, searched)
    places = {id(s): min(goodness(run.results) for run in s.runs) for s in setups}
    return sorted(setups, key=lambda s: (s.task, places[id(s)]))


def _grouped(task, runs, searched):
    """Returns the setups of the runs of a task."""
    columns = differences([run.results for run in runs])
    groups: dict[tuple, list] = {}
    for i, run in enumerate(runs):
        values = {name: column[i] for name, column in columns.items()}
        values = {k: v for k, v in values.items() if v not in (None, "")}
        if (task, run.upstream) in searched:
            values.pop("lr", None)
        key = (run.upstream, json.dumps(values, sort_keys=True, default=str))
        groups.setdefault(key, []).append((run, values))
    setups = []
    for (upstream, _), group in groups.items():
        words = [f"{name} {value}" for name, value in group[0][1].items()]
        name = " · ".join([upstream, *words][:6])
        setups.append(Setup(task, upstream, name, [run for run, _ in group]))
    return setups


def give_keys(setups: Iterable[Setup]) -> None:
    """Gives each setup an anchor that no other one has."""
    taken: set[str] = set()
    for setup in setups:
        base = key = "run-" + slug(f"{setup.task}-{setup.name}")[:80]
        number = 1
        while key in taken:
            number += 1
            key = f"{base}-{number}"
        taken.add(key)
        setup.key = key
