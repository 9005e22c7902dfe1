"""Plot of predicted against true numbers.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.brains import plots

INCHES = 3.6  # side of the square
OPAQUE = 300  # number of points up to which they are drawn opaque


def scatter_plot(path, predicted, true, title="", name="value", systems=None):
    """Plots utterances as points, and systems as rings around their means.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    predicted, true : torch.Tensor
        [utterances].
    title : str
        Title of the plot.
    name : str
        Name of the number.
    systems : (torch.Tensor, torch.Tensor), optional
        Predicted and true numbers of systems.
    """
    axes = plots.axes_of_size(INCHES, INCHES)
    if axes is None:
        return
    opacity = max(0.1, min(1.0, OPAQUE / max(1, len(true))))
    axes.scatter(
        true.tolist(),
        predicted.tolist(),
        s=12,
        color=plots.BLUE,
        alpha=opacity,
        linewidths=0,
        label="utterance",
    )
    if systems is not None:
        means, truth = systems
        axes.scatter(
            truth.tolist(),
            means.tolist(),
            s=36,
            facecolors="none",
            edgecolors=plots.RED,
            linewidths=1.4,
            label="system",
        )
    low = min(axes.get_xlim()[0], axes.get_ylim()[0])
    high = max(axes.get_xlim()[1], axes.get_ylim()[1])
    line = {"color": plots.GREY, "linewidth": 1.2, "linestyle": ":", "zorder": 0}
    axes.plot([low, high], [low, high], label="equal", **line)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_xlabel(f"true {name}")
    axes.set_ylabel(f"predicted {name}")
    plots.legend(axes)
    plots.finish(axes, path, title)
