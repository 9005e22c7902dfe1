"""Metrics over noise, and over amounts of training data.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from s3prl_sb.benchmark.curves import AXES
from s3prl_sb.benchmark.robustness import results as results_in_noise
from s3prl_sb.report.axes import Axis, axis_of, main_axis, short
from s3prl_sb.report.blocks import Block, Chart, Grid, Group, Options, Section
from s3prl_sb.report.cells import cells
from s3prl_sb.report.charts import plain
from s3prl_sb.report.diarization_errors import unique
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import parts_of
from s3prl_sb.runs.suite_tasks import metrics_of

HEIGHT = 220
CLEAN = "clean"
SNR = "signal-to-noise ratio, dB"
FIRST = 4  # charts that are open at first


class Value(NamedTuple):
    """A metric at one point of a curve.

    Arguments
    ---------
    task : str
        Name of the task.
    what : str
        Quantity of the horizontal axis, such as a kind of noise.
    axis : Axis
        The metric.
    line : str
        Name of the line.
    at : float or None
        Place of the point; None: the clean test set.
    value : float
        The metric, as in results.json.
    """

    task: str
    what: str
    axis: Axis
    line: str
    at: float | None
    value: float


def overview(runs: Sequence[Run], options: Options) -> Section | None:
    """Returns the curves of all runs over noise and amounts of data.

    Arguments
    ---------
    runs : list of Run
        All runs.
    options : Options
        Not used.
    """
    whole = [run for run in runs if "scored" not in run.results]
    values = [*_noisy(whole), *_amounts(whole)]
    charts: list[Block] = []
    for key in dict.fromkeys((v.task, v.what, v.axis) for v in values):
        of = [v for v in values if (v.task, v.what, v.axis) == key]
        if len({v.at for v in of}) > 1:
            charts.append(_chart(of))
    if len(charts) > FIRST:
        rest = f"{len(charts) - FIRST} more curves"
        charts = [*charts[:FIRST], Group(rest, charts[FIRST:])]
    title = "Noise and amounts of training data"
    return Section(title, "robustness", charts) if charts else None


def _noisy(runs: Sequence[Run]) -> Iterable[Value]:
    """Yields the metrics of runs that were tested in noise, means over seeds."""
    for setup in cells(runs):
        found: dict[tuple, list[float]] = {}
        for run in setup.runs:
            parts = [part for part in parts_of(run) if part]
            for test in results_in_noise(run.folder, parts):
                for axis in _axes(run, test["metrics"]):
                    number = test["metrics"][axis.name]
                    key = (f"noise: {test['noise']}", axis, test["snr"])
                    found.setdefault(key, []).append(number)
        clean = {
            axis: [run.results["metrics"][axis.name] for run in setup.runs]
            for _, axis, _ in found
            if all(axis.name in run.results["metrics"] for run in setup.runs)
        }
        for what, axis in dict.fromkeys((what, axis) for what, axis, _ in found):
            if axis in clean:
                found[what, axis, None] = clean[axis]
        for (what, axis, at), numbers in found.items():
            yield Value(setup.task, what, axis, setup.name, at, fmean(numbers))


def _axes(run: Run, metrics: dict[str, float]) -> list[Axis]:
    names = [metric.key for metric in metrics_of(run.task) if metric.key in metrics]
    main = main_axis(run)
    names = names or [main.name for _ in (0,) if main and main.name in metrics]
    return [axis_of(run, name) for name in names]


def _amounts(runs: Sequence[Run]) -> Iterable[Value]:
    """Yields the metrics of runs that were trained on a part of the data."""
    groups: dict[tuple, list[float]] = {}
    for run in runs:
        axis, settings = main_axis(run), run.results.get("settings") or {}
        chosen = [key for key in AXES if short(settings.get(key)) is not None]
        if axis is None or len(chosen) != 1:
            continue
        at = float(settings[chosen[0]])
        key = (run.task, chosen[0], axis, run.upstream, at)
        groups.setdefault(key, []).append(run.results["metrics"][axis.name])
    whole = {"train_fraction": 1.0}  # where the amount of all data is known
    for task, name, axis, upstream in dict.fromkeys(key[:4] for key in groups):
        runs_of = [
            run.results["metrics"][axis.name]
            for run in runs
            if (run.task, run.upstream) == (task, upstream)
            and not set(AXES) & set(run.results.get("settings") or {})
            and axis.name in run.results["metrics"]
        ]
        if name in whole and runs_of:
            groups[task, name, axis, upstream, whole[name]] = runs_of
    for (task, name, axis, upstream, at), numbers in groups.items():
        yield Value(task, AXES[name], axis, upstream, at, fmean(numbers))


def _chart(values: Sequence[Value]) -> Chart:
    first = values[0]
    axis, in_noise = first.axis, first.what.startswith("noise: ")
    lines = list(dict.fromkeys(v.line for v in values))
    labels = dict(zip(lines, unique(lines, 50)))
    numbers = sorted({v.at for v in values if v.at is not None}, reverse=in_noise)
    order: list[Any] = [f"{n:g}" for n in numbers]
    if any(v.at is None for v in values):
        order = [CLEAN, *order]
    rows: list[dict[str, Any]] = [
        {
            "at": CLEAN if v.at is None else f"{v.at:g}",
            "number": v.at,
            "value": axis.of(v.value),
            "line": labels[v.line],
        }
        for v in sorted(values, key=lambda v: order.index(_place(v)))
        if axis.of(v.value) is not None
    ]
    spec = _spec(rows, order, axis, SNR if in_noise else first.what, in_noise)
    title = f"{first.task}: {axis.title} over "
    title += f"{first.what.removeprefix('noise: ')}" if in_noise else first.what
    words = []
    for line in lines[:4]:
        own = [row for row in rows if row["line"] == labels[line]]
        if own:
            ends = " to ".join(axis.words_on(r["value"]) for r in (own[0], own[-1]))
            words.append(f"{labels[line]}: {ends}")
    unit = " dB" if in_noise else ""
    summary = (
        f"From {order[0]} to {order[-1]}{unit}, {axis.title} of {'; '.join(words)}."
    )
    table = Grid(
        ["row", SNR if in_noise else first.what, axis.heading],
        [[row["line"], row["at"], row["value"]] for row in rows],
        title,
        numeric={2},
    )
    return Chart(spec, title, summary, table)


def _place(value: Value) -> str:
    return CLEAN if value.at is None else f"{value.at:g}"


def _spec(
    rows: list[dict], order: list, axis: Axis, title: str, in_noise: bool
) -> dict:
    """Returns lines over noise, the clean test first, or over amounts."""
    x: dict[str, Any] = {
        "field": "at",
        "type": "nominal",
        "title": title,
        "scale": {"domain": order},
        "axis": {"labelAngle": 0},
    }
    if not in_noise:
        x = {
            "field": "number",
            "type": "quantitative",
            "title": f"{title} (logarithmic)",
            "scale": {"type": "log", "padding": 16},
            "axis": {"values": [float(n) for n in order], "format": "~g"},
        }
    names = list(dict.fromkeys(row["line"] for row in rows))
    which = {
        "field": "line",
        "type": "nominal",
        "title": None,
        "scale": {"domain": names},
        "legend": {"columns": 2 if max(map(len, names), default=0) < 24 else 1},
    }
    shade, shape = ({"color": which}, {"shape": which}) if len(names) > 1 else ({}, {})
    place = {
        "x": x,
        "y": {
            "field": "value",
            "type": "quantitative",
            "title": axis.heading,
            "scale": {"zero": False},
        },
    }
    tooltip = [
        {"field": "line", "title": "row"},
        {"field": "at", "title": title},
        {"field": "value", "title": axis.heading},
    ]
    dots = {"type": "point", "filled": True, "size": 60, "opacity": 1}
    return plain(
        rows,
        height=HEIGHT,
        layer=[
            {"mark": "line", "encoding": {**place, **shade}},
            {"mark": dots, "encoding": {**place, **shade, **shape, "tooltip": tooltip}},
        ],
    )
