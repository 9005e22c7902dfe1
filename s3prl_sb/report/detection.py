"""Detection of speakers: the DET curve, and how the scores of both kinds lie.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3prl_sb.report.axes import short, with_interval
from s3prl_sb.report.blocks import Block, Chart, Grid, Options, Section
from s3prl_sb.report.charts import color, plain
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.histories import inside, parts_of

if TYPE_CHECKING:
    import torch

TABLE = "predictions.csv"
COLUMNS = {"id1", "id2", "label", "score"}
#: Rates with a label on the axes, and those that the table has a row of.
TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
OPERATED = (0.001, 0.01, 0.05, 0.1)
BINS = 60
HEIGHT = 340
PERCENT = "format(100 * cumulativeNormal(datum.value), '.2~r') + ' %'"


def section(run: Run, options: Options) -> Section | None:
    """Returns the DET curve and the scores of a verification run; None for others.

    Arguments
    ---------
    run : Run
        The run.
    options : Options
        ``points`` limits those of the curve.
    """
    blocks: list[Block] = []
    for part in parts_of(run):
        rows = run.table(inside(part, TABLE))
        if not rows or not COLUMNS <= set(rows[0]):
            continue
        trials = [(short_score(r["score"]), r["label"]) for r in rows]
        scores = [score for score, _ in trials]
        labels = [label == "1" for _, label in trials]
        if None in scores or not any(labels) or all(labels):
            run.note(
                f"'{run.folder / inside(part, TABLE)}' has no scores of both kinds."
            )
            continue
        of = f" of {part}" if part else ""
        blocks += _charts(run, scores, labels, of, options)
    return Section("Detection errors", "detection", blocks) if blocks else None


def short_score(text: Any) -> float | None:
    """Returns a score as it is in a file; None for what is no finite number."""
    try:
        score = float(text)
    except (TypeError, ValueError):
        return None
    return score if math.isfinite(score) else None


def _charts(run, scores, labels, of, options):
    import torch

    from s3prl_sb.metrics.verification import (
        det_curve,
        equal_error_rate,
        minimum_detection_cost,
    )

    both = torch.tensor(scores, dtype=torch.float64), torch.tensor(labels).int()
    curve = det_curve(*both)
    rate, at_equal = equal_error_rate(*both)
    cost, at_least = minimum_detection_cost(*both)
    least = int((curve[0] == at_least).int().argmax())
    marks = [
        {
            "what": f"EER {100 * rate:.2f} %",
            "accepted": rate,
            "rejected": rate,
            "threshold": at_equal,
        },
        {
            "what": f"minDCF {cost:.3f}",
            "accepted": float(curve[1][least]),
            "rejected": float(curve[2][least]),
            "threshold": at_least,
        },
    ]
    targets = sum(labels)
    counts = f"{targets} trials of the same speaker and {len(labels) - targets} others"
    name = "eer" if not of else ""
    stated = with_interval(run, name) if name else f"{100 * rate:.2f} %"
    summary = (
        f"Over {counts}, the equal error rate is {stated}, and the minimum detection "
        f"cost {cost:.4f} (at {100 * marks[1]['accepted']:.2g} % false acceptances and "
        f"{100 * marks[1]['rejected']:.3g} % false rejections). Nearer to the lower "
        "left corner is better."
    )
    chart = Chart(
        det_spec(curve, marks, options.points),
        f"DET curve{of}",
        summary,
        _operated(curve, marks),
    )
    return [chart, _histogram(scores, labels, at_equal, of)]


# ------------------------------------------------------------------------- DET
def det_spec(
    curve: Sequence["torch.Tensor"], marks: Sequence[Mapping[str, Any]], points: int
) -> dict:
    """Returns a DET plot: both rates on axes of normal deviates.

    Arguments
    ---------
    curve : tuple of torch.Tensor
        Result of :func:`s3prl_sb.metrics.verification.det_curve`.
    marks : list of dict
        Marked points: ``what``, ``accepted``, ``rejected`` and ``threshold``.
    points : int
        Most points of the curve, without the corners of its convex hull.

    Returns
    -------
    dict
        A specification of Vega-Lite.
    """
    import torch

    thresholds, accepted, rejected = (each.tolist() for each in curve)
    edge = _edge(accepted, rejected)
    kept = det_points(accepted, rejected, points)

    def deviate(rate):
        rates = torch.tensor(rate, dtype=torch.float64).clamp(edge, 1 - edge)
        return round(float(torch.special.ndtri(rates)), 4)

    def row(values):
        return {
            "x": deviate(values["accepted"]),
            "y": deviate(values["rejected"]),
            "fa": short(values["accepted"], 100),
            "fr": short(values["rejected"], 100),
            "at": short(values["threshold"]),
        }

    rows = [
        row(
            {
                "accepted": accepted[i],
                "rejected": rejected[i],
                "threshold": thresholds[i],
            }
        )
        for i in kept
    ]
    # All that lies above the chance line is worse than a coin, and left out.
    top = max(
        0.55,
        *(1.15 * each[side] for each in marks for side in ("accepted", "rejected")),
    )
    ends = [deviate(edge), deviate(min(top, 0.99))]
    ticks = [deviate(tick) for tick in TICKS if edge <= tick <= top]
    shared = {"values": ticks, "labelExpr": PERCENT, "grid": True, "labelOverlap": True}
    scale = {"domain": ends, "nice": False, "zero": False}

    def axis(field, title):
        about = {"field": field, "type": "quantitative", "scale": scale}
        return {**about, "title": title, "axis": shared}

    place = {
        "x": axis("x", "false acceptances (lower is better)"),
        "y": axis("y", "false rejections (lower is better)"),
    }
    tips = [
        {"field": "fa", "title": "false acceptances, %"},
        {"field": "fr", "title": "false rejections, %"},
        {"field": "at", "title": "threshold"},
    ]
    diagonal = [{"x": end, "y": end} for end in ends]
    marked = [{**row(mark), "what": mark["what"]} for mark in marks]
    what = {"field": "what", "type": "nominal", "title": None}
    scheme = {"range": [color("strong"), color("good")]}
    shapes = {"range": ["circle", "diamond"]}
    layer = [
        {
            "data": {"values": diagonal},
            "mark": {
                "type": "line",
                "color": color("soft"),
                "strokeDash": [3, 3],
                "strokeWidth": 1,
            },
            "encoding": place,
        },
        {
            "mark": {
                "type": "line",
                "clip": True,
                "interpolate": "linear",
                "color": color("accent"),
            },
            "encoding": {**place, "order": {"field": "i", "type": "quantitative"}},
        },
        {
            "mark": {"type": "point", "size": 90, "opacity": 0, "clip": True},
            "encoding": {**place, "tooltip": tips},
        },
        {
            "data": {"values": marked},
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
            "encoding": {
                **place,
                "color": {**what, "scale": scheme},
                "shape": {**what, "scale": shapes},
                "tooltip": [{"field": "what", "title": "point"}, *tips],
            },
        },
    ]
    for number, each in enumerate(rows):
        each["i"] = number
    return plain(rows, height=HEIGHT, layer=layer)


def _edge(accepted, rejected):
    """Returns the lowest rate of the axes: half of the smallest step of a rate."""
    steps = [b for rates in (accepted, rejected) for b in rates if 0 < b < 1]
    steps += [1 - b for b in steps]
    return max(5e-5, min(0.02, min(steps, default=0.02) / 2))


def det_points(
    accepted: Sequence[float], rejected: Sequence[float], most: int
) -> list[int]:
    """Returns which points of a DET curve to draw.

    Arguments
    ---------
    accepted, rejected : list of float
        [points], false acceptance rates, rising, and false rejection rates, falling.
    most : int
        Number of points, evenly over the drawn curve. All corners of the convex hull
        are kept besides: the lowest cost at any prior is at one of them.

    Returns
    -------
    list of int
        Rising indices.

    Example
    -------
    >>> det_points([0.0, 0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.5, 0.0, 0.0], 2)
    [0, 1, 3, 4]
    """
    if len(accepted) <= most:
        return list(range(len(accepted)))
    kept = {0, len(accepted) - 1, *_hull(accepted, rejected)}
    # Along the curve as it is drawn, so that its straight ends do not take all points.
    lengths, length = [0.0], 0.0
    deviates = [[_deviate(rate) for rate in rates] for rates in (accepted, rejected)]
    for i in range(1, len(accepted)):
        length += math.hypot(*(d[i] - d[i - 1] for d in deviates))
        lengths.append(length)
    wanted = 0.0
    for i, along in enumerate(lengths):
        if along >= wanted:
            kept.add(i)
            wanted = along + length / most
    return sorted(kept)


def _deviate(rate: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(min(max(rate, 5e-5), 1 - 5e-5))


def _hull(accepted, rejected):
    """Returns the corners of the lower convex hull of a curve."""
    hull: list[int] = []
    for i in range(len(accepted)):
        while len(hull) > 1:
            a, b = hull[-2:]
            turn = (accepted[b] - accepted[a]) * (rejected[i] - rejected[a])
            turn -= (rejected[b] - rejected[a]) * (accepted[i] - accepted[a])
            if turn > 0:
                break
            hull.pop()
        hull.append(i)
    return hull


def _operated(curve, marks):
    """Returns the table of some points of the curve."""
    thresholds, accepted, rejected = curve
    rows: list[list[Any]] = []
    for mark in marks:
        numbers = (short(mark["accepted"], 100), short(mark["rejected"], 100))
        rows.append([mark["what"], *numbers, short(mark["threshold"])])
    for rate in OPERATED:
        i = int((accepted <= rate).sum()) - 1  # the lowest rejections at that rate
        numbers = (short(float(accepted[i]), 100), short(float(rejected[i]), 100))
        name = f"at most {100 * rate:g} % false acceptances"
        rows.append([name, *numbers, short(float(thresholds[i]))])
    header = ["point", "false acceptances, %", "false rejections, %", "threshold"]
    return Grid(header, rows, "Points of the curve", numeric={1, 2, 3}, sortable=False)


# ------------------------------------------------------------------ histograms
def _histogram(scores, labels, threshold, of):
    low, high = min(scores), max(scores)
    width = (high - low) / BINS or 1.0
    counts = {kind: [0] * BINS for kind in (True, False)}
    for score, label in zip(scores, labels):
        counts[label][min(int((score - low) / width), BINS - 1)] += 1
    names = {True: "same speaker", False: "other speaker"}
    rows = []
    for kind, name in names.items():
        total = sum(counts[kind])
        rows += [
            {
                "from": short(low + i * width),
                "to": short(low + (i + 1) * width),
                "share": short(count / total, 100),
                "trials": count,
                "kind": name,
            }
            for i, count in enumerate(counts[kind])
            if count
        ]
    layer = [
        {
            "mark": {"type": "bar", "opacity": 0.6, "binSpacing": 0},
            "encoding": {
                "x": {
                    "field": "from",
                    "type": "quantitative",
                    "bin": {"binned": True},
                    "title": "score",
                },
                "x2": {"field": "to"},
                "y": {
                    "field": "share",
                    "type": "quantitative",
                    "stack": None,
                    "title": "share of the trials of a kind, %",
                },
                "color": {
                    "field": "kind",
                    "type": "nominal",
                    "title": None,
                    "scale": {
                        "domain": list(names.values()),
                        "range": [color("accent"), color("strong")],
                    },
                },
                "tooltip": [
                    {"field": "kind"},
                    {"field": "from"},
                    {"field": "to"},
                    {"field": "share", "title": "share, %"},
                    {"field": "trials"},
                ],
            },
        },
        {
            "data": {"values": [{"at": short(threshold)}]},
            "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1.5},
            "encoding": {
                "x": {"field": "at", "type": "quantitative"},
                "tooltip": [{"field": "at", "title": "threshold of the EER"}],
            },
        },
    ]
    means = {
        kind: sum(s for s, label in zip(scores, labels) if label == kind)
        / sum(counts[kind])
        for kind in names
    }
    summary = (
        f"The scores of the same speaker have a mean of {means[True]:.3g}, those of "
        f"other speakers one of {means[False]:.3g}. The dashed line, at "
        f"{threshold:.3g}, is the threshold of the equal error rate."
    )
    return Chart(plain(rows, height=200, layer=layer), f"Scores{of}", summary)
