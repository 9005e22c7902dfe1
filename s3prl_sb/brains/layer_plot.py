"""Figure of the probes of all hidden states: scores, beside the learned weights.

Authors
 * The s3prl_sb developers, 2026
"""

import math

from s3prl_sb.brains import plots
from s3prl_sb.brains.layer_intervals import limits_of
from s3prl_sb.terminal import quantities


def write(path, found, metric, title=""):
    """Draws the score of each hidden state, and its weight in the weighted sum.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    found : dict
        Content of ``layers.json``.
    metric : str
        Name of the metric of the test set.
    title : str
        Title of the figure.
    """
    weights, summed = found["weights"], found["weighted_sum"]
    number = len(found["layers"])
    axes = plots.axes_of_size(max(3.4, 0.3 * number), 2.8, 2 if weights else 1)
    if axes is None:
        return
    scores, *others = axes if weights else [axes]
    layers = [row["layer"] for row in found["layers"]]
    scale, unit = (100, ", %") if quantities.is_share(metric) else (1, "")
    chosen = found["chosen_by"]["metric"]
    drawn = (("test", metric, plots.BLUE), ("valid", chosen, plots.RED))
    for split, name, color in drawn:
        if quantities.is_share(name) != quantities.is_share(metric):
            continue  # such as the step, where nothing is validated
        values = [(row[split] or {}).get(name, math.nan) for row in found["layers"]]
        if all(map(math.isnan, values)):
            continue
        label = split if name == metric else f"{split}, {name}"
        # A probe that diverged is a gap, not a line from its neighbour to the next
        points = layers, [scale * value for value in values]
        scores.plot(*points, marker="o", color=color, label=label)
    _whiskers(scores, found["layers"], metric, scale)
    if summed and summed["test"]:
        level = scale * summed["test"][metric]
        style = {"color": plots.GREY, "linewidth": 1.2, "linestyle": ":"}
        scores.axhline(level, label="test, weighted sum", **style)
        if limits := limits_of(summed, metric):
            ends = (scale * end for end in limits)
            scores.axhspan(*ends, color=plots.GREY, alpha=0.15, linewidth=0)
    scores.set_ylabel(f"{metric}{unit}")
    # Below the axes, as the weights are beside them.
    beneath = {"loc": "upper left", "bbox_to_anchor": (0, -0.2), "ncols": 3}
    plots.legend(scores, **beneath)
    for each in others:
        values = [100 * weight for weight in weights["weights"]]
        each.bar(weights["layers"], values, color=plots.BLUE)
        equal = 100 / len(values)
        style = {"color": plots.GREY, "linewidth": 1.2, "linestyle": ":"}
        each.axhline(equal, label="all equal", **style)
        each.set_ylabel("weight in the weighted sum, %")
        plots.legend(each, **beneath)
    for each in (scores, *others):
        each.set_xticks(layers)
        each.set_xlabel("hidden state (0: the input of the first layer)")
    plots.finish(scores, path, title)


def _whiskers(axes, rows, metric, scale):
    """Draws the intervals of the test of each hidden state."""
    limits = [(row["layer"], limits_of(row, metric)) for row in rows]
    limits = [(layer, *ends) for layer, ends in limits if ends]
    if not limits:
        return
    layers, low, high = zip(*limits)
    ends = ([scale * end for end in side] for side in (low, high))
    axes.vlines(layers, *ends, color=plots.BLUE, linewidth=1.2, alpha=0.6)
