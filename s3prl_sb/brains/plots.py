"""Plots that a run leaves behind. Without matplotlib there are none.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.parts import Part

logger = logging.getLogger(__name__)


def layer_weights(path, layers, weights):
    """Bars: how much of each hidden state the features are made of.

    Arguments
    ---------
    path : pathlib.Path
        PNG to write.
    layers : list of int
        Indices of the hidden states.
    weights : list of float
        The weight of each.
    """
    figure = figure_of_size(max(4.0, 0.35 * len(layers)), 3.0)
    if figure is None:
        return
    axes = figure.subplots()
    axes.bar(range(len(layers)), weights, color="#4472a8")
    axes.axhline(1 / len(layers), color="grey", linewidth=1, linestyle=":")
    axes.set_xticks(range(len(layers)), layers)
    axes.set_xlabel("hidden state (0: the input of the first layer)")
    axes.set_ylabel("weight")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def confusion_matrix(path, counts, labels):
    """A matrix of true against predicted labels, rows summing to one.

    Arguments
    ---------
    path : pathlib.Path
        PNG to write.
    counts : torch.Tensor
        [labels, labels]: true by predicted.
    labels : list of str
        Their names, drawn up to 60 of them.
    """
    size = min(14.0, 3.0 + 0.25 * len(labels))
    figure = figure_of_size(size + 1, size)
    if figure is None:
        return
    axes = figure.subplots()
    rates = counts / counts.sum(1, keepdim=True).clamp_min(1)
    image = axes.imshow(rates.numpy(), vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, ax=axes, fraction=0.046, label="share of the true label")
    if len(labels) <= 60:
        axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
        axes.set_yticks(range(len(labels)), labels, fontsize=7)
    if len(labels) <= 16:
        for row, line in enumerate(counts.tolist()):
            for column, count in enumerate(line):
                if count:
                    dark = rates[row, column] > 0.5
                    axes.text(
                        column,
                        row,
                        int(count),
                        ha="center",
                        va="center",
                        fontsize=7,
                        color="white" if dark else "black",
                    )
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    save(figure, path)


def figure_of_size(width, height):
    """An empty figure.

    Arguments
    ---------
    width, height : float
        Inches.

    Returns
    -------
    matplotlib.figure.Figure
        None without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        logger.info("No plots: pip install 's3prl_sb[plots]'")
        return None
    return Figure(figsize=(width, height), layout="constrained")


def save(figure, path):
    """Writes a figure as PNG, whole or not at all.

    Arguments
    ---------
    figure : matplotlib.figure.Figure
        What to write.
    path : pathlib.Path
        PNG to write.
    """
    with Part(path) as part:
        figure.savefig(part.path, dpi=120, format="png")
        part.publish()
