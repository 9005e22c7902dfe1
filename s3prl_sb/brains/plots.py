"""Plots of a run. Without matplotlib there are none.

The size of a plot is that of its axes; the space around them grows with names, titles
and legends, so that nothing is cut off.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging

from s3prl_sb.errors import printable
from s3prl_sb.runs.suite_tasks import metrics_of
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal import quantities

logger = logging.getLogger(__name__)

BLUE, RED, GREY = "#33658a", "#b04a3a", "#6b6b6b"
NAMED = 60  # largest number of labels whose names are drawn
COUNTED = 16  # largest number of labels with counts in the cells
LONGEST = 28  # characters of a name
#: Names of system fonts for scripts that matplotlib's font lacks.
FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "WenQuanYi Zen Hei",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
)


def heading(brain, measures=None):
    """Returns the title of a plot: task, upstream and score.

    Arguments
    ---------
    brain : speechbrain.Brain
        Brain with ``task``, ``metric`` and ``hparams.upstream_name``.
    measures : dict, optional
        Names to numbers. Default: SUPERB's metric of the task on the test set, from
        ``brain.tested``; the metric that chooses the checkpoint may be another one,
        and stands for it where a run of the recipe does not measure SUPERB's.

    Returns
    -------
    str
    """
    if measures is None:
        tested = getattr(brain, "tested", {})
        names = [*(metric.key for metric in metrics_of(brain.task)), brain.metric]
        measured = [name for name in names if name in tested]
        measures = {name: tested[name] for name in measured[:1]}
    name = getattr(brain.hparams, "upstream_name", None)
    score = quantities.measures(measures)
    return " · ".join(str(word) for word in (brain.task, name, score) if word)


def layer_weights(path, layers, weights, title=""):
    """Plots the weight of each hidden state as bars.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    layers : list of int
        Indices of the hidden states.
    weights : list of float
        The weight of each.
    title : str
        Title of the plot.
    """
    axes = _axes_over_layers(len(layers))
    if axes is None:
        return
    axes.bar(range(len(layers)), [100 * weight for weight in weights], color=BLUE)
    axes.axhline(
        100 / len(layers), color=GREY, linewidth=1.2, linestyle=":", label="all equal"
    )
    axes.set_xticks(range(len(layers)), layers)
    axes.set_ylabel("weight, %")
    legend(axes)
    finish(axes, path, title)


def layer_scores(path, layers, lines, chosen, title=""):
    """Plots the search performance of each hidden state as lines.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    layers : list of int
        Indices of the hidden states.
    lines : dict
        Names to the MTWV of each hidden state.
    chosen : int
        The chosen hidden state.
    title : str
        Title of the plot.
    """
    axes = _axes_over_layers(len(layers))
    if axes is None:
        return
    for (name, values), color in zip(lines.items(), (BLUE, RED)):
        axes.plot(layers, values, marker="o", color=color, label=name)
    axes.axvline(chosen, color=GREY, linewidth=1.2, linestyle=":", label="best on dev")
    axes.set_xticks(layers)
    axes.set_ylabel("MTWV")
    legend(axes)
    finish(axes, path, title)


def _axes_over_layers(number):
    axes = axes_of_size(max(4.5, 0.35 * number), 2.8)
    if axes is not None:
        axes.set_xlabel("hidden state (0: the input of the first layer)")
    return axes


def confusion_matrix(path, counts, labels, title=""):
    """Plots a matrix of true against predicted labels, whose rows sum to one.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    counts : torch.Tensor
        [true labels, predicted labels].
    labels : list of str
        Names of the labels, drawn if there are at most 60.
    title : str
        Title of the plot.
    """
    number = len(labels)
    cell = 0.42 if number <= COUNTED else 0.24
    size = min(9.0, max(2.4, cell * number))
    axes = axes_of_size(size, size)
    if axes is None:
        return
    rates = 100 * counts / counts.sum(1, keepdim=True).clamp_min(1)
    image = axes.imshow(rates.numpy(), vmin=0, vmax=100, cmap="Blues", aspect="auto")
    bar = axes.inset_axes([1 + 0.15 / size, 0, 0.18 / size, 1])
    axes.figure.colorbar(image, cax=bar, label="% of the true label")
    if number <= NAMED:
        names = shown(labels)
        room = 10 * size / number  # characters that fit side by side
        turned = 90 if any(len(name) > room for name in names) else 0
        axes.set_xticks(range(number), names, rotation=turned, fontsize=8)
        axes.set_yticks(range(number), names, fontsize=8)
    if number <= COUNTED:
        for row, line in enumerate(counts.tolist()):
            for column, count in enumerate(line):
                if count:
                    color = "white" if rates[row, column] > 50 else "black"
                    axes.text(
                        column,
                        row,
                        f"{count:.0f}" if count < 10_000 else quantities.count(count),
                        ha="center",
                        va="center",
                        fontsize=7,
                        color=color,
                    )
    of = "" if number <= NAMED else " (numbers of the labels)"
    axes.set_xlabel(f"predicted{of}")
    axes.set_ylabel(f"true{of}")
    finish(axes, path, title, bare=False)


def axes_of_size(width, height, columns=1):
    """Returns axes of an empty figure.

    Arguments
    ---------
    width, height : float
        Size of each axes in inches.
    columns : int
        Number of axes side by side.

    Returns
    -------
    matplotlib.axes.Axes or list of them
        None without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log_once("No plots: pip install 's3prl_sb[plots]'")
        return None
    gap = 0.9  # inches between two
    whole = columns * width + (columns - 1) * gap
    figure = Figure(figsize=(whole, height))
    axes = [
        figure.add_axes([i * (width + gap) / whole, 0, width / whole, 1])
        for i in range(columns)
    ]
    return axes[0] if columns == 1 else axes


def legend(axes, **options):
    """Adds a legend next to the axes, where it covers nothing.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes with labelled lines.
    **options
        Options of ``Axes.legend``.
    """
    beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
    axes.legend(**{"frameon": False, "fontsize": 8, **beside, **options})


def finish(axes, path, title, bare=True):
    """Adds the title to a plot, and writes it as PNG atomically.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes of the figure, below the title.
    path : pathlib.Path
        PNG file to write.
    title : str
        Title of the plot.
    bare : bool
        Whether to omit the frame at the top and on the right.
    """
    from matplotlib.text import Text

    figure = axes.figure
    axes.set_title(printable(title), loc="left", fontsize=10, fontweight="bold", pad=10)
    for each in figure.axes if bare else ():
        each.spines[["top", "right"]].set_visible(False)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a $ in a name begins no formula
        text.set_fontfamily(_families())
    with Part(path) as part:
        figure.savefig(
            part.path, dpi=130, format="png", bbox_inches="tight", pad_inches=0.2
        )
        part.publish()


def shown(names):
    """Makes names drawable.

    Arguments
    ---------
    names : list of str
        Names of labels, in any script.

    Returns
    -------
    list of str
        Long names are cut, and right-to-left ones reversed, as matplotlib draws all
        from left to right. A name with letters that no font has is replaced by its
        index.

    Example
    -------
    >>> shown(["up", "down" * 20])
    ['up', 'downdowndowndowndowndowndow…']
    """
    return [_shown(str(name), number) for number, name in enumerate(names)]


def _shown(name, number):
    import unicodedata

    name = printable(name)
    if any(ord(character) not in _letters() for character in name):
        return f"#{number}"
    name = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    ways = {unicodedata.bidirectional(character) for character in name}
    return name[::-1] if ways & {"R", "AL"} and not ways & {"L"} else name


@functools.cache
def _families():
    """Returns matplotlib's font, then the system's fonts for other scripts."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in FONTS if name in installed)]


@functools.cache
def _letters():
    """Returns all characters that a font can draw."""
    from matplotlib import font_manager

    characters = set()
    for name in _families():
        path = font_manager.findfont(name, fallback_to_default=True)
        characters |= set(font_manager.get_font(path).get_charmap())
    return characters


@functools.cache
def log_once(text):
    """Logs a message, unless this process has logged it before."""
    logger.info("%s", text)
