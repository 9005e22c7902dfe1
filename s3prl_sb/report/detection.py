"""Detection of speakers: the DET curve, and how the scores of both kinds lie.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import NormalDist, fmean
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
LEAST = 5e-5  # rates nearer to 0 or 1 are drawn here
BINS = 60
HEIGHT = 340
KINDS = ("same speaker", "other speaker")
TIPS = [
    {"field": "fa", "title": "false acceptances, %"},
    {"field": "fr", "title": "false rejections, %"},
    {"field": "at", "title": "threshold"},
]
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
    """Returns a score as it is in a file; None if it is not a finite number."""
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
    thresholds, accepted, rejected = (each.tolist() for each in curve)
    edge = _edge(accepted, rejected)
    kept = det_points(accepted, rejected, points)
    drawn = [(accepted[i], rejected[i], thresholds[i]) for i in kept]
    rows = [{"i": n, **_row(*each, edge)} for n, each in enumerate(drawn)]
    marked = [
        {
            "what": mark["what"],
            **_row(mark["accepted"], mark["rejected"], mark["threshold"], edge),
        }
        for mark in marks
    ]
    # Above the chance line a system is worse than a coin: it is left out.
    top = max(0.55, *(1.15 * max(m["accepted"], m["rejected"]) for m in marks))
    ends = [_deviate(edge, edge), _deviate(min(top, 0.99), edge)]
    ticks = [_deviate(tick, edge) for tick in TICKS if edge <= tick <= top]
    place = {
        side: {
            "field": side,
            "type": "quantitative",
            "scale": {"domain": ends, "nice": False, "zero": False},
            "title": f"false {errors} (lower is better)",
            "axis": {"values": ticks, "labelExpr": PERCENT, "labelOverlap": True},
        }
        for side, errors in (("x", "acceptances"), ("y", "rejections"))
    }
    diagonal = [{"x": end, "y": end} for end in ends]
    thin = {"type": "line", "strokeDash": [3, 3], "strokeWidth": 1}
    order = {"order": {"field": "i", "type": "quantitative"}}
    layer = [
        {
            "data": {"values": diagonal},
            "mark": {**thin, "color": color("soft")},
            "encoding": place,
        },
        {"mark": {"type": "line", "clip": True}, "encoding": {**place, **order}},
        {
            "mark": {"type": "point", "size": 90, "opacity": 0, "clip": True},
            "encoding": {**place, "tooltip": TIPS},
        },
        _marked(marked, place),
    ]
    return plain(rows, height=HEIGHT, layer=layer)


def _row(accepted, rejected, threshold, edge):
    """Returns a point: its place on the axes, its rates in percent, its threshold."""
    return {
        "x": _deviate(accepted, edge),
        "y": _deviate(rejected, edge),
        "fa": short(accepted, 100),
        "fr": short(rejected, 100),
        "at": short(threshold),
    }


def _marked(rows, place):
    """Returns the layer of points with a name."""
    what = {"field": "what", "type": "nominal", "title": None}
    scheme = {"range": [color("strong"), color("good")]}
    return {
        "data": {"values": rows},
        "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
        "encoding": {
            **place,
            "color": {**what, "scale": scheme},
            "shape": {**what, "scale": {"range": ["circle", "diamond"]}},
            "tooltip": [{"field": "what", "title": "point"}, *TIPS],
        },
    }


def _edge(accepted, rejected):
    """Returns the lowest rate of the axes: half of the smallest step of a rate."""
    steps = [b for rates in (accepted, rejected) for b in rates if 0 < b < 1]
    steps += [1 - b for b in steps]
    return max(LEAST, min(0.02, min(steps, default=0.02) / 2))


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
    >>> rates = [i / 1000 for i in range(1001)]
    >>> kept = det_points(rates, rates[::-1], 50)
    >>> kept[0], kept[-1], len(kept) < 60
    (0, 1000, True)
    """
    if len(accepted) <= most:
        return list(range(len(accepted)))
    kept = {0, len(accepted) - 1, *_hull(accepted, rejected)}
    # Along the curve as it is drawn, so that its straight ends do not take all points.
    lengths, length = [0.0], 0.0
    deviates = [[_deviate(rate, LEAST) for rate in r] for r in (accepted, rejected)]
    for i in range(1, len(accepted)):
        length += math.hypot(*(d[i] - d[i - 1] for d in deviates))
        lengths.append(length)
    wanted = 0.0
    for i, along in enumerate(lengths):
        if along >= wanted:
            kept.add(i)
            wanted = along + length / most
    return sorted(kept)


def _deviate(rate: float, edge: float) -> float:
    """Returns the normal deviate of a rate, those near 0 and 1 moved to the edge."""
    return round(NormalDist().inv_cdf(min(max(rate, edge), 1 - edge)), 4)


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
    kinds = {name: [] for name in KINDS}
    for score, label in zip(scores, labels):
        kinds[KINDS[0] if label else KINDS[1]].append(score)
    low, high = min(scores), max(scores)
    rows = [
        row
        for name, own in kinds.items()
        for row in _bins(own, low, (high - low) / BINS or 1.0, name)
    ]
    shades = {"domain": list(KINDS), "range": [color("accent"), color("strong")]}
    bars = {
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
                "scale": shades,
            },
            "tooltip": [{"field": name} for name in rows[0]],
        },
    }
    line = {
        "data": {"values": [{"threshold": short(threshold)}]},
        "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1.5},
        "encoding": {"x": {"field": "threshold", "type": "quantitative"}},
    }
    means = [fmean(own) for own in kinds.values()]
    summary = (
        f"The scores of the same speaker have a mean of {means[0]:.5g}, those of "
        f"other speakers one of {means[1]:.5g}. The dashed line, at "
        f"{threshold:.5g}, is the threshold of the equal error rate."
    )
    return Chart(plain(rows, height=200, layer=[bars, line]), f"Scores{of}", summary)


def _bins(scores, low, width, name):
    """Returns the bins of a histogram that are not empty, with shares in percent."""
    counts = Counter(min(int((score - low) / width), BINS - 1) for score in scores)
    return [
        {
            "from": short(low + i * width),
            "to": short(low + (i + 1) * width),
            "share": short(counts[i] / len(scores), 100),
            "trials": counts[i],
            "kind": name,
        }
        for i in sorted(counts)
    ]
