"""Costs of runs, and how far runs of several seeds lie apart.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from s3prl_sb.report.axes import Axis, main_axis, short
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.cells import cells, short_names
from s3prl_sb.report.charts import color, plain
from s3prl_sb.report.diarization_errors import unique
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.setups import Setup
from s3prl_sb.terminal import quantities

MOST = 60  # rows of a chart
ROWS = {
    "field": "row",
    "type": "nominal",
    "title": None,
    "sort": None,
    "axis": {"grid": True, "labelLimit": 200},
}
#: Facts of results.json that are drawn: title, unit, scale, logarithmic.
COSTS: dict[str, tuple[str, str, float, bool]] = {
    "seconds": ("Time", "min", 1 / 60, True),
    "peak_gpu_memory_gb": ("Memory of the GPU", "GB", 1.0, False),
    "peak_memory_gb": ("Memory", "GB", 1.0, False),
}


def overview(runs: Sequence[Run], options: Options) -> Section | None:
    """Returns the costs of all runs, and their spread over seeds.

    Arguments
    ---------
    runs : list of Run
        All runs.
    options : Options
        Not used.
    """
    found = cells(runs)
    if sum(len(setup.runs) for setup in found) < 2:
        return None
    blocks: list[Block] = [*_spreads(found)]
    blocks += [chart for name in COSTS if (chart := _cost(found, name)) is not None]
    return Section("Seeds, time and memory", "costs", blocks) if blocks else None


def _labels(setups: Sequence[Setup]) -> list[str]:
    """Returns names of rows, without the suite of a task where that is clear."""
    names = short_names([setup.task for setup in setups])
    return unique([f"{names[s.task]} · {s.name}" for s in setups], 60)


# ----------------------------------------------------------------------- seeds
def _spreads(found: Sequence[Setup]) -> list[Chart]:
    """Returns how far runs lie from the mean of their seeds, a chart for each unit."""
    groups: dict[str, list[tuple[Setup, Axis, list[Run]]]] = {}
    for setup in found:
        axis = main_axis(setup.runs[0])
        if axis is None or len(setup.runs) < 2:
            continue
        runs = [r for r in setup.runs if _value(r, axis) is not None]
        if len(runs) > 1:
            groups.setdefault(axis.unit, []).append((setup, axis, runs))
    return [_spread(unit, rows) for unit, rows in groups.items()]


def _value(run, axis):
    return axis.of((run.results.get("metrics") or {}).get(axis.name))


def _spread(unit: str, rows: list[tuple[Setup, Axis, list[Run]]]) -> Chart:
    names = _labels([setup for setup, _, _ in rows])
    data, table, widest = [], [], (-1.0, "", "")
    for name, (setup, axis, runs) in zip(names, rows):
        values = [_value(run, axis) for run in runs]
        mean, deviation = fmean(values), stdev(values)
        widest = max(widest, (deviation, name, axis.title))
        data += [
            {
                "row": name,
                "away": short(value - mean),
                "value": value,
                "metric": axis.title,
                "seed": str(run.results.get("seed")),
            }
            for run, value in zip(runs, values)
        ]
        numbers = [short(n) for n in (mean, deviation, min(values), max(values))]
        table.append([setup.task, setup.name, axis.title, len(values), *numbers])
    shown = names[:MOST]
    points = "percentage points" if unit == "%" else unit
    spec = _spec_of_spread([row for row in data if row["row"] in set(shown)], points)
    deviation, name, metric = widest
    summary = (
        f"Runs that only differ in their seed, around their mean. {name} has the "
        f"largest standard deviation: {deviation:.3g}{points and ' '}{points} of "
        f"{metric}."
    )
    if len(shown) < len(names):
        summary += f" {len(shown)} of {len(names)} are drawn; the table has all."
    of = f" ({points})" if points else ""
    header = [
        "task",
        "runs",
        "metric",
        "seeds",
        "mean",
        "deviation",
        "lowest",
        "highest",
    ]
    grid = Grid(header, table, "Spread over seeds", numeric={3, 4, 5, 6, 7})
    return Chart(spec, f"Spread over seeds{of}", summary, grid)


def _spec_of_spread(rows: list[dict], unit: str) -> dict:
    """Returns the distances of runs from the mean of their seeds."""
    x = {
        "field": "away",
        "type": "quantitative",
        "title": f"difference from the mean{unit and ', '}{unit}",
    }
    tooltip = [{"field": "row", "title": "runs"}]
    tooltip += [{"field": name} for name in ("seed", "metric", "value")]
    dots = {"type": "point", "filled": True, "size": 60, "opacity": 0.8}
    line = {"type": "rule", "color": color("soft"), "strokeDash": [4, 3]}
    return plain(
        rows,
        height=22 * len({row["row"] for row in rows}),
        layer=[
            {"mark": dots, "encoding": {"x": x, "y": ROWS, "tooltip": tooltip}},
            {"mark": line, "encoding": {"x": {"datum": 0, "type": "quantitative"}}},
        ],
    )


# ----------------------------------------------------------------------- costs
def _cost(found: Sequence[Setup], name: str) -> Chart | None:
    title, unit, scale, is_log = COSTS[name]
    rows: list[dict[str, Any]] = []
    for setup in found:
        values = [short(run.results.get(name), scale) for run in setup.runs]
        numbers = [value for value in values if value]  # a logarithm needs more than 0
        if numbers:
            mean = short(fmean(numbers))
            about = {"setup": setup, "runs": len(numbers)}
            rows.append({**about, "value": mean, "sum": sum(numbers)})
    if len(rows) < 2:
        return None
    rows.sort(key=lambda row: -row["value"])
    names = _labels([row["setup"] for row in rows])
    data = [
        {"row": label, "value": row["value"], "runs": row["runs"]}
        for label, row in zip(names[:MOST], rows)
    ]
    x: dict[str, Any] = {
        "field": "value",
        "type": "quantitative",
        "title": f"{title.lower().replace('gpu', 'GPU')}, {unit} (lower is better)",
    }
    if is_log:
        x |= {"scale": {"type": "log"}, "title": x["title"] + ", logarithmic"}
    spec = plain(
        data,
        height=20 * len(data),
        mark={"type": "point", "filled": True, "size": 70, "opacity": 1},
        encoding={
            "x": x,
            "y": ROWS,
            "tooltip": [
                {"field": "row", "title": "runs"},
                {"field": "value", "title": f"{title}, {unit}"},
                {"field": "runs", "title": "mean over runs"},
            ],
        },
    )
    most = rows[0]
    summary = f"{names[0]} takes the most: {most['value']:.3g} {unit}."
    if name == "seconds":
        total = quantities.duration(60 * sum(row["sum"] for row in rows))
        summary = f"All runs together took {total}. {summary}"
    if len(names) > MOST:
        summary += f" The {MOST} highest of {len(names)} are drawn."
    table = Grid(
        ["task", "runs", f"{title}, {unit}", "number of runs"],
        [[r["setup"].task, r["setup"].name, r["value"], r["runs"]] for r in rows],
        f"{title}, means over runs",
        numeric={2, 3},
    )
    return Chart(spec, title, summary, table)
