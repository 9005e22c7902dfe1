"""Learning curves: losses, measures in validation and the learning rate over updates.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from s3prl_sb.report.axes import Axis, axis_of, short
from s3prl_sb.report.blocks import Block, Chart, Grid, Group, Options, Section
from s3prl_sb.report.charts import LINES, UPDATES, color, plain, thinned
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import Point, histories

HEIGHT = 220
OTHERS = 6  # further measures of the validation set
ROWS = 30  # of a table of validations
#: Sums and sizes in the log of a training, which are no measures of it.
COUNTS = ("loss", "count", "predictions")


class Series(NamedTuple):
    """The training of a run, or of one of its parts.

    Arguments
    ---------
    name : str
        Name in the legend.
    run : Run
        The run.
    points : list of Point
        Its validations.
    """

    name: str
    run: Run
    points: list[Point]


def section(run: Run, options: Options) -> Section | None:
    """Returns the learning curves of a run; None if it left no log.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        ``points`` limits those of each curve.
    """
    return of_runs([run], options)


def of_runs(runs: Sequence[Run], options: Options) -> Section | None:
    """Returns the learning curves of the runs of a cell, over each other.

    Arguments
    ---------
    runs : list of Run
        Runs of one task and upstream, such as those of several seeds.
    options : Options
        See :func:`section`.
    """
    series = _series(runs)
    if not any(len(each.points) > 1 for each in series):
        return None
    run = series[0].run
    chosen = str((run.results.get("chosen_by") or {}).get("metric"))
    blocks: list[Block] = [*_losses(series, options)]
    names = _measured(series)
    if any(chosen in point.valid for each in series for point in each.points):
        blocks.append(_measure(series, axis_of(run, chosen), options, chosen=True))
    others = [name for name in names if name not in (chosen, *COUNTS)]
    more: list[Block] = [
        _measure(series, axis_of(run, name), options) for name in others[:OTHERS]
    ]
    more += _rates(series, options)
    if more:
        blocks.append(Group("Other measures in validation", more))
    return Section("Learning curves", "learning-curves", blocks) if blocks else None


def _series(runs):
    series = []
    for run in runs:
        seed = run.results.get("seed")
        name = f"seed {seed}" if len(runs) > 1 and seed is not None else ""
        for part, points in histories(run).items():
            words = [word for word in (name, part) if word]
            series.append(Series(", ".join(words) or run.name, run, points))
    names = [each.name for each in series]
    return [
        each._replace(name=f"{each.name} ({number})")
        if names.count(each.name) > 1
        else each
        for number, each in enumerate(series, 1)
    ]


def _measured(series):
    """Returns the measures of the validation sets that change."""
    values: dict[str, set] = {}
    for point in (point for each in series for point in each.points):
        for name, value in point.valid.items():
            values.setdefault(name, set()).add(value)
    return [name for name, found in values.items() if len(found) > 1]


def _rows(
    series: Sequence[Series],
    value: Callable[[Point], Any],
    options: Options,
    **more: Any,
) -> list[dict]:
    """Returns the points of a curve of each series; those without a value are gaps."""
    rows = []
    for each in series:
        points = [(point.step, value(point)) for point in each.points]
        kept = thinned([(s, v) for s, v in points if v is not None], options.points)
        rows += [{"step": s, "value": v, "run": each.name, **more} for s, v in kept]
    return rows


def _losses(series, options):
    rows = []
    for split, words in (("train", "training"), ("valid", "validation")):

        def loss(point, split=split):
            return short(getattr(point, split).get("loss"))

        rows += _rows(series, loss, options, set=words)
    if not rows:
        return []
    which = {"field": "set", "type": "nominal", "title": None, "legend": LINES}
    fields = {"color": which, "strokeDash": which}
    if len(series) > 1:
        two = {"legend": {"columns": 2, **LINES}}
        run = {"field": "run", "type": "nominal", "title": None, **two}
        dash = {"field": "set", "type": "nominal", "title": None, **two}
        fields = {"color": run, "strokeDash": dash}
    spec = _lines(rows, Axis("loss", "loss", higher=False), fields)
    return [Chart(spec, "Loss", _of_losses(series), _table(series))]


def _of_losses(series):
    first = series[0].points
    words = []
    for split, name in (("train", "training"), ("valid", "validation")):
        values = [getattr(point, split).get("loss") for point in first]
        values = [value for value in values if value is not None]
        if values:
            change = f"from {values[0]:.4g} to {values[-1]:.4g}"
            words.append(
                f"the {name} loss goes {change}, its lowest is {min(values):.4g}"
            )
    text = "; ".join(words)
    many = f" of {series[0].name}" if len(series) > 1 else ""
    return f"In {first[-1].step} updates{many}, {text}."


def _measure(series, axis, options, chosen=False):
    rows = _rows(series, lambda point: axis.of(point.valid.get(axis.name)), options)
    fields = {}
    if len(series) > 1:
        run = {"field": "run", "type": "nominal", "title": None, "legend": LINES}
        fields["color"] = run
    spec = _lines(rows, axis, fields)
    marks = [_best(each, axis) for each in series] if chosen else []
    marks = [mark for mark in marks if mark is not None]
    if marks:
        spec["layer"] += _marks(marks, series)
    title = f"{axis.opening} in validation"
    return Chart(spec, title, _of_measure(series, axis, marks, rows))


def _best(each, axis):
    """Returns the mark of the checkpoint that was tested, where its step is known."""
    results = each.run.results
    step, valid = results.get("best_step"), results.get("valid")
    value = axis.of(valid.get(axis.name)) if isinstance(valid, dict) else None
    if not isinstance(step, int) or results.get("folds"):
        return None
    logged = {point.step: axis.of(point.valid.get(axis.name)) for point in each.points}
    value = logged.get(step) if value is None else value
    if value is None:
        return None
    return {"step": step, "value": value, "run": each.name, "mark": "best"}


def _of_measure(series, axis, marks, rows):
    ends = {row["run"]: row["value"] for row in rows}
    text = ", ".join(
        f"{name}: {axis.words_on(v)}" for name, v in list(ends.items())[:6]
    )
    last = f"{axis.opening} at the end: {text}."
    if len(series) == 1:
        last = f"{axis.opening} ends at {axis.words_on(rows[-1]['value'])}."
    of = [f" ({mark['run']})" if len(series) > 1 else "" for mark in marks[:6]]
    best = [
        f"{axis.words_on(mark['value'])} at update {mark['step']}{name}"
        for mark, name in zip(marks, of)
    ]
    tested = "checkpoint that was tested has"
    if len(best) > 1:
        tested = "checkpoints that were tested have"
    kept = f" The {tested} {', '.join(best)}." if best else ""
    return last + kept


def _lines(rows, axis, fields):
    """Returns lines with points that show their numbers."""
    encoding = {
        "x": UPDATES,
        "y": {
            "field": "value",
            "type": "quantitative",
            "title": axis.heading,
            "scale": {"zero": False},
        },
        "tooltip": [
            *([{"field": "run"}] if len({row["run"] for row in rows}) > 1 else []),
            *([{"field": "set"}] if "set" in rows[0] else []),
            {"field": "step", "title": "updates", "format": ","},
            {"field": "value", "title": axis.title},
        ],
        **fields,
    }
    few = len(rows) <= 60
    marks = [{"mark": {"type": "line", "point": few}}]
    if not few:  # large, invisible points are easier to point at than a thin line
        marks.append({"mark": {"type": "point", "size": 80, "opacity": 0}})
    return plain(rows, height=HEIGHT, encoding=encoding, layer=marks)


def _marks(marks, series):
    place = {
        "x": {"field": "step", "type": "quantitative"},
        "y": {"field": "value", "type": "quantitative"},
    }
    if len(series) > 1:
        place["color"] = {"field": "run", "type": "nominal"}
    else:
        place["color"] = {"value": color("strong")}
    data = {"values": marks}
    ring = {"type": "point", "shape": "diamond", "size": 120, "filled": True}
    ring |= {"stroke": color("text"), "strokeWidth": 1, "opacity": 1}
    layers = [{"data": data, "mark": ring, "encoding": place}]
    if len(series) == 1:
        text = {"type": "text", "dy": -12, "text": "tested", "fontWeight": "bold"}
        layers.append({"data": data, "mark": text, "encoding": place})
    return layers


def _rates(series, options):
    """Returns the curve of the learning rate, where it changes."""
    rows = _rows(series, lambda point: short(point.about.get("lr")), options)
    if len({row["value"] for row in rows}) < 2:
        return []
    highest = max(row["value"] for row in rows)
    spec = _lines(rows, Axis("lr", "learning rate"), {})
    summary = (
        f"The learning rate rises to {highest:.3g} and ends at {rows[-1]['value']:.3g}."
    )
    return [Chart(spec, "Learning rate", summary)]


def _table(series):
    """Returns the validations of the first series, at most ``ROWS``."""
    points = series[0].points
    step = -(-len(points) // ROWS)
    shown = [
        point for i, point in enumerate(points) if (len(points) - 1 - i) % step == 0
    ]
    names = list(dict.fromkeys(name for p in shown for name in p.valid))[:OTHERS]
    axes = [axis_of(series[0].run, name) for name in names]
    header = [
        "updates",
        "training loss",
        *(f"validation {axis.title}" for axis in axes),
    ]
    rows = [
        [p.step, short(p.train.get("loss")), *(a.of(p.valid.get(a.name)) for a in axes)]
        for p in shown
    ]
    every = f" One in {step} is shown." if step > 1 else ""
    caption = f"Validations of {series[0].name}.{every}"
    return Grid(header, rows, caption, numeric=range(len(header)))
