"""Predicted against true numbers, such as opinion scores.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.report.axes import named, short, with_interval
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.charts import color, plain
from s3prl_sb.report.detection import short_score as number
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import inside, parts_of

TABLE, SYSTEMS = "predictions.csv", "systems.csv"
MOST = 1500  # points of utterances
HEIGHT = 320
#: Metrics that say how well numbers are predicted, in the order of the summary.
STATED = ("lcc", "srcc", "mse", "system_lcc", "system_srcc", "system_mse")


def section(run: Run, options: Options) -> Section | None:
    """Returns predicted over true numbers; None for other tasks.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        Not used.
    """
    blocks: list[Block] = []
    for part in parts_of(run):
        rows = run.table(inside(part, TABLE)) or []
        systems = run.table(inside(part, SYSTEMS)) or []
        for true, predicted in _columns(rows[0]) if rows else ():
            pairs = _pairs(rows, true, predicted)
            means = _pairs(systems, true, predicted, "system")
            if pairs:
                of = f" of {part}" if part else ""
                blocks.append(_chart(run, pairs, means, true, of))
    return Section("Predicted numbers", "predicted-numbers", blocks) if blocks else None


def _columns(row):
    """Returns the pairs of columns with a true and a predicted number."""
    if "value" in row and "prediction" in row:
        return [("value", "prediction")]
    return [(name, f"predicted_{name}") for name in row if f"predicted_{name}" in row]


def _pairs(rows, true, predicted, name="id"):
    read = [(number(r.get(true)), number(r.get(predicted)), r.get(name)) for r in rows]
    return [(t, p, n) for t, p, n in read if t is not None and p is not None]


def _chart(run, pairs, means, name, of):
    step = -(-len(pairs) // MOST)
    shown = pairs[::step]
    rows = [_row(*pair, "utterance") for pair in shown]
    rows += [_row(*pair, "system") for pair in means]
    low = min(min(t, p) for t, p, _ in pairs)
    high = max(max(t, p) for t, p, _ in pairs)
    metrics = run.results.get("metrics") or {}
    stated = [f"{named(m)} {with_interval(run, m)}" for m in STATED if m in metrics]
    bias = sum(p - t for t, p, _ in pairs) / len(pairs)
    words = "too high" if bias > 0 else "too low"
    summary = (
        f"{len(pairs)} utterances; predictions are {abs(bias):.3g} {words} on average"
    )
    summary += f"; {', '.join(stated)}." if stated and not of else "."
    if step > 1:
        summary += f" One in {step} utterances is drawn."
    table = None
    if means:
        table = Grid(
            ["system", "true", "predicted"],
            [[n, short(t), short(p)] for t, p, n in means],
            "Means of systems",
            numeric={1, 2},
        )
    title = (
        "Predicted over true numbers" + ("" if name == "value" else f": {name}") + of
    )
    return Chart(_spec(rows, low, high), title, summary, table)


def _row(true, predicted, name, kind):
    name = "" if name is None else str(name)[:60]
    return {
        "true": short(true),
        "predicted": short(predicted),
        "of": name,
        "kind": kind,
    }


def _spec(rows, low, high):
    kinds = [
        kind for kind in ("utterance", "system") if any(r["kind"] == kind for r in rows)
    ]
    scale = {"domain": [low, high], "nice": True, "zero": False}

    def axis(field, title):
        return {"field": field, "type": "quantitative", "title": title, "scale": scale}

    place = {"x": axis("true", "true"), "y": axis("predicted", "predicted")}
    ends = [{"true": end, "predicted": end} for end in (low, high)]
    kind = {"field": "kind", "type": "nominal", "title": None}
    is_system = "datum.kind === 'system'"
    legend = {} if len(kinds) > 1 else {"legend": None}

    def of_kind(values):
        return {
            **kind,
            **legend,
            "scale": {"domain": kinds, "range": values[: len(kinds)]},
        }

    return plain(
        rows,
        height=HEIGHT,
        layer=[
            {
                "data": {"values": ends},
                "mark": {
                    "type": "line",
                    "color": color("soft"),
                    "strokeDash": [3, 3],
                    "strokeWidth": 1,
                },
                "encoding": place,
            },
            {
                "mark": {"type": "point", "filled": True},
                "encoding": {
                    **place,
                    "color": of_kind([color("accent"), color("strong")]),
                    "shape": of_kind(["circle", "diamond"]),
                    "size": {
                        "condition": {"test": is_system, "value": 90},
                        "value": 14,
                    },
                    "opacity": {
                        "condition": {"test": is_system, "value": 1},
                        "value": 0.5,
                    },
                    "tooltip": [
                        {"field": "of", "title": "name"},
                        {"field": "true"},
                        {"field": "predicted"},
                    ],
                },
            },
        ],
    )
