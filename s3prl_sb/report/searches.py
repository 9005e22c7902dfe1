"""Searches before a training: of the learning rate, and of a grid of keys.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

from s3prl_sb.report.axes import Axis, axis_of, short
from s3prl_sb.report.blocks import (
    Block,
    Chart,
    Grid,
    Group,
    Options,
    Prose,
    Section,
)
from s3prl_sb.report.charts import LINES, UPDATES, color, plain, thinned
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import inside, parts_of

RATES, GRID = "lr_search.json", "grid.json"
HEIGHT = 220
CURVES = 10  # learning rates whose curves are distinguishable


def section(run: Run, options: Options) -> Section | None:
    """Returns what a run searched before its training; None if nothing.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        ``points`` limits those of each curve.
    """
    blocks: list[Block] = []
    parts = parts_of(run)
    for part in parts:
        for name, draw in ((RATES, _rates), (GRID, _grid)):
            content = run.json(inside(part, name))
            if content is None:
                continue
            try:
                blocks += draw(run, content, part, options)
            except (AttributeError, KeyError, TypeError, ValueError, IndexError):
                run.note(f"'{run.folder / inside(part, name)}' has another form.")
        if part == parts[0]:
            first = len(blocks)
    if blocks[first:]:
        more = Group(f"The other {len(parts) - 1} searches", blocks[first:])
        blocks = [*blocks[:first], more]
    return Section("Search of settings", "search", blocks) if blocks else None


# -------------------------------------------------------------- learning rates
def _rates(run, content, part, options):
    axis = axis_of(run, content["metric"])
    axis = axis._replace(higher=bool(content["highest"]))
    best = content["best"]
    rows = [_rate(name, value, axis, best) for name, value in content["rates"].items()]
    rows.sort(key=lambda row: row["rate"])
    learned = [row for row in rows if row["value"] is not None]
    if not learned:
        return [Prose("Every learning rate of the search diverged.")]
    of = f" of {part}" if part else ""
    charts: list[Block] = [
        Chart(
            _spec_of_rates(rows, axis),
            f"Learning rates{of}",
            _summary_of_rates(rows, axis),
            _table_of_rates(content["rates"], axis, best),
        )
    ]
    courses = {r["name"]: content["rates"][r["name"]].get("validations") for r in rows}
    courses = {name: course for name, course in courses.items() if course}
    if len(courses) > 1:
        charts.append(_courses(courses, axis, rows, options, of))
    return charts


def _rate(name, value, axis, best):
    rate, diverged = float(name), value.get("diverged_at_step")
    state = "tried" if diverged is None else "diverged"
    return {
        "rate": rate,
        "name": name,
        "value": axis.of(value.get(axis.name)) if diverged is None else None,
        "state": "chosen" if best is not None and rate == float(best) else state,
    }


def _spec_of_rates(rows, axis):
    x = {
        "field": "rate",
        "type": "quantitative",
        "scale": {"type": "log", "padding": 16},
        "title": "learning rate (logarithmic)",
        "axis": {"values": [row["rate"] for row in rows], "format": "~g"},
    }
    y = {
        "field": "value",
        "type": "quantitative",
        "title": axis.heading,
        "scale": {"zero": False, "padding": 12},
    }
    state, shape = _states(rows)
    tooltip = [
        {"field": "name", "title": "learning rate"},
        {"field": "value", "title": f"best {axis.title}"},
        {"field": "state"},
    ]
    points = {"type": "point", "filled": True, "size": 110, "opacity": 1}
    ends = {"x": x, "y": {"value": "height"}, "color": state, "shape": shape}
    layer = [
        {
            "transform": [{"filter": "isValid(datum.value)"}],
            "mark": {"type": "line", "color": color("soft"), "strokeDash": [4, 3]},
            "encoding": {"x": x, "y": y},
        },
        {
            "transform": [{"filter": "isValid(datum.value)"}],
            "mark": points,
            "encoding": {
                "x": x,
                "y": y,
                "color": state,
                "shape": shape,
                "tooltip": tooltip,
            },
        },
        {
            "transform": [{"filter": "!isValid(datum.value)"}],
            "mark": {**points, "clip": False},
            "encoding": {**ends, "tooltip": [tooltip[0], tooltip[2]]},
        },
    ]
    return plain(rows, height=HEIGHT, layer=layer)


def _states(rows):
    """Returns colour and shape of what became of a point, for those that there are."""
    looks = {
        "chosen": (color("strong"), "diamond"),
        "tried": (color("accent"), "circle"),
        "diverged": (color("bad"), "cross"),
    }
    shown = [state for state in looks if any(row["state"] == state for row in rows)]
    return [
        {
            "field": "state",
            "type": "nominal",
            "title": None,
            "scale": {"domain": shown, "range": [looks[state][i] for state in shown]},
        }
        for i in (0, 1)
    ]


def _summary_of_rates(rows, axis):
    chosen = [row for row in rows if row["state"] == "chosen"]
    lost = [row["name"] for row in rows if row["state"] == "diverged"]
    text = f"{len(rows)} learning rates were trained together"
    text += f"; {', '.join(lost)} diverged" if lost else ""
    if not chosen:
        return f"{text}."
    row = chosen[0]
    value = axis.words_on(row["value"])
    text += f". The best is {row['name']}: {axis.title} {value} in validation."
    if len(rows) > 1 and row in (rows[0], rows[-1]):
        end = "lowest" if row is rows[0] else "highest"
        text += f" It is the {end} of the search: a better one may lie beyond."
    return text


def _table_of_rates(rates, axis, best):
    header = ["learning rate", f"best validation {axis.title}", "loss", "end"]
    rows = []
    for name, value in rates.items():
        diverged, stopped = (
            value.get(f"{how}_at_step") for how in ("diverged", "stopped")
        )
        end = "" if stopped is None else f"stopped early, at update {stopped}"
        end = end if diverged is None else f"diverged at update {diverged}"
        if best is not None and float(name) == float(best):
            end = f"chosen{', ' if end else ''}{end}"
        rows.append(
            [float(name), axis.of(value.get(axis.name)), short(value.get("loss")), end]
        )
    caption = f"Learning rates, by the best {axis.heading}"
    return Grid(header, rows, caption, numeric={0, 1, 2})


def _courses(courses, axis, rows, options, of):
    """Returns the chart of the validations of each learning rate."""
    names = [row["name"] for row in rows if row["name"] in courses][:CURVES]
    chosen = next((r["name"] for r in rows if r["state"] == "chosen"), None)
    points = []
    for name in names:
        course = [(int(step), axis.of(value)) for step, _, value in courses[name]]
        kept = thinned([pair for pair in course if pair[1] is not None], options.points)
        points += [{"step": s, "value": v, "rate": name} for s, v in kept]
    shade = {
        "field": "rate",
        "type": "nominal",
        "title": "learning rate",
        "sort": names,
        "scale": {"domain": names},
        "legend": LINES,
    }
    encoding = {
        "x": UPDATES,
        "y": {
            "field": "value",
            "type": "quantitative",
            "title": axis.heading,
            "scale": {"zero": False},
        },
        "color": shade,
        "strokeDash": shade,
        "tooltip": [
            {"field": "rate", "title": "learning rate"},
            {"field": "step", "title": "updates", "format": ","},
            {"field": "value", "title": axis.title},
        ],
        "strokeWidth": {
            "condition": {"test": "datum.rate === chosen", "value": 3.5},
            "value": 1.5,
        },
    }
    spec = plain(
        points,
        height=HEIGHT,
        params=[{"name": "chosen", "value": chosen}],
        mark={"type": "line", "point": len(points) <= 120},
        encoding=encoding,
    )
    ends = {point["rate"]: axis.words_on(point["value"]) for point in points}
    words = "; ".join(f"{name} ends at {value}" for name, value in ends.items())
    summary = f"{axis.opening} in validation of each learning rate: {words}."
    return Chart(spec, f"Course of the learning rates{of}", summary)


# ----------------------------------------------------------------------- grids
def _grid(run, content, part, options):
    chosen = run.results["chosen_by"]
    axis = axis_of(run, chosen["metric"])._replace(higher=bool(chosen["highest"]))
    best = content["best"]
    rows = []
    for entry in content["points"]:
        point = {str(key): _text(value) for key, value in entry["point"].items()}
        value = axis.of((entry.get("valid") or {}).get(axis.name))
        state = "chosen" if entry["point"] == best else "tried"
        rows.append({"point": point, "value": value, "state": state})
    keys = list(dict.fromkeys(key for row in rows for key in row["point"]))
    keys = [key for key in keys if len({row["point"].get(key) for row in rows}) > 1]
    sign = -1 if axis.higher else 1
    ranked = sorted(
        rows, key=lambda r: (r["value"] is None, sign * (r["value"] or 0.0))
    )
    table = Grid(
        [*keys, f"validation {axis.title}"],
        [
            [*(row["point"].get(key, "") for key in keys), _result(row["value"])]
            for row in ranked
        ],
        "Points of the grid, the best one first",
        numeric={len(keys)},
    )
    of = f" of {part}" if part else ""
    charts = [
        Chart(
            _spec_of_key(rows, key, axis),
            f"Grid{of}: {key}",
            _summary_of_key(rows, key, axis),
            table if number == 0 else None,
        )
        for number, key in enumerate(keys)
    ]
    return charts if any(row["value"] is not None for row in rows) else [table]


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _result(value):
    return "diverged" if value is None else value


def _spec_of_key(rows: Sequence[dict], key: str, axis: Axis) -> dict:
    """Returns a chart of all points over the values of one key."""
    learned = [row for row in rows if row["value"] is not None]
    values = list(dict.fromkeys(row["point"].get(key, "") for row in rows))
    if all(short(value) is not None for value in values):
        values.sort(key=float)
    data = [
        {
            "key": row["point"].get(key, ""),
            "value": row["value"],
            "state": row["state"],
            "point": ", ".join(f"{k} {v}" for k, v in row["point"].items()),
        }
        for row in learned
    ]
    state, shape = _states(data)
    return plain(
        data,
        height=HEIGHT,
        mark={"type": "point", "filled": True, "size": 80, "opacity": 0.8},
        encoding={
            "x": {
                "field": "key",
                "type": "nominal",
                "sort": values,
                "scale": {"domain": values},
                "title": key,
                "axis": {"labelAngle": 0, "labelLimit": 120},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": axis.heading,
                "scale": {"zero": False},
            },
            "color": state,
            "shape": shape,
            "tooltip": [{"field": "point"}, {"field": "value", "title": axis.title}],
        },
    )


def _summary_of_key(rows, key, axis):
    best = max if axis.higher else min
    groups: dict[str, list[float]] = {}
    for row in rows:
        if row["value"] is not None:
            groups.setdefault(row["point"].get(key, ""), []).append(row["value"])
    words = [
        f"{name}: {axis.words_on(best(v))}" for name, v in list(groups.items())[:6]
    ]
    chosen = [row["point"].get(key, "") for row in rows if row["state"] == "chosen"]
    kept = f" The search chose {chosen[0]}." if chosen else ""
    return f"Best {axis.title} in validation by {key}: {', '.join(words)}.{kept}"
