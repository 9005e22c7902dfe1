"""Scores of each label of sound events, as bars.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.brains.plots import BLUE, GREY, RED, axes_of_size, finish, legend, shown

COLORS = {"segment": GREY, "onset": BLUE, "event": RED}  # of kinds of scores
MOST = 100  # labels


def label_scores(path, scores, title=""):
    """Plots the F1 scores of labels, the highest at the top.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    scores : dict
        Labels to F1 scores by kind: "segment", "onset" and "event".
    title : str
        Title of the plot.
    """
    order = sorted(scores, key=lambda label: (-scores[label]["onset"], label))[:MOST]
    axes = axes_of_size(5.0, max(1.2, 0.36 * len(order)))
    if axes is None:
        return
    for number, (kind, color) in enumerate(COLORS.items()):
        places = [row + 0.26 * (number - 1) for row in range(len(order))]
        values = [100 * scores[label][kind] for label in order]
        axes.barh(places, values, height=0.24, color=color, label=f"{kind} F1")
    axes.set_yticks(range(len(order)), shown(order), fontsize=8)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("%")
    legend(axes)
    finish(axes, path, title)
