"""Plots that a run leaves behind. Without matplotlib there are none.

The size of a plot is that of its axes; whatever stands around them (names, titles,
legends) gets the room that it takes, so that nothing is cut.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging

from s3prl_sb.errors import printable
from s3prl_sb.runs.tasks import metrics_of
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal import quantities

logger = logging.getLogger(__name__)

BLUE, RED, GREY = "#33658a", "#b04a3a", "#6b6b6b"
NAMED = 60  # labels: of more only the numbers are drawn
COUNTED = 16  # labels: of more the numbers in the cells are too small
LONGEST = 28  # characters of a name
#: Fonts for scripts that matplotlib's own lacks, as systems call them.
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
    """What a plot is of: the task, the upstream, the score.

    Arguments
    ---------
    brain : speechbrain.Brain
        With ``task``, ``metric`` and ``hparams.upstream_name``.
    measures : dict, optional
        Names to numbers. Default: of the test, ``brain.tested``, what stands for the
        task in SUPERB, which may be another one than chooses the checkpoint.

    Returns
    -------
    str
    """
    if measures is None:
        found = getattr(brain, "tested", {})
        names = [metric.key for metric in metrics_of(brain.task)] or [brain.metric]
        measures = {name: found[name] for name in names[:1] if name in found}
    name = getattr(brain.hparams, "upstream_name", None)
    said = quantities.measures(measures)
    return " · ".join(str(word) for word in (brain.task, name, said) if word)


def layer_weights(path, layers, weights, title=""):
    """Bars: how much of each hidden state the features are made of.

    Arguments
    ---------
    path : pathlib.Path
        PNG to write.
    layers : list of int
        Indices of the hidden states.
    weights : list of float
        The weight of each.
    title : str
        What it is of.
    """
    axes = axes_of_size(max(4.5, 0.35 * len(layers)), 2.8)
    if axes is None:
        return
    axes.bar(range(len(layers)), [100 * weight for weight in weights], color=BLUE)
    axes.axhline(
        100 / len(layers), color=GREY, linewidth=1.2, linestyle=":", label="all equal"
    )
    axes.set_xticks(range(len(layers)), layers)
    axes.set_xlabel("hidden state (0: the input of the first layer)")
    axes.set_ylabel("weight, %")
    legend(axes)
    finish(axes, path, title)


def layer_scores(path, layers, lines, chosen, title=""):
    """Lines: how well each hidden state searches.

    Arguments
    ---------
    path : pathlib.Path
        PNG to write.
    layers : list of int
        Indices of the hidden states.
    lines : dict
        Names to the MTWV of each.
    chosen : int
        The hidden state that is taken.
    title : str
        What it is of.
    """
    axes = axes_of_size(max(4.5, 0.35 * len(layers)), 2.8)
    if axes is None:
        return
    for (name, values), color in zip(lines.items(), (BLUE, RED)):
        axes.plot(layers, values, marker="o", color=color, label=name)
    axes.axvline(chosen, color=GREY, linewidth=1.2, linestyle=":", label="best on dev")
    axes.set_xticks(layers)
    axes.set_xlabel("hidden state (0: the input of the first layer)")
    axes.set_ylabel("MTWV")
    legend(axes)
    finish(axes, path, title)


def confusion_matrix(path, counts, labels, title=""):
    """A matrix of true against predicted labels, rows summing to one.

    Arguments
    ---------
    path : pathlib.Path
        PNG to write.
    counts : torch.Tensor
        [labels, labels]: true by predicted.
    labels : list of str
        Their names, drawn up to 60 of them.
    title : str
        What it is of.
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
        room = 10 * size / number  # characters beside each other
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
    """Axes of an empty figure.

    Arguments
    ---------
    width, height : float
        Of each axes, in inches.
    columns : int
        How many stand side by side.

    Returns
    -------
    matplotlib.axes.Axes or list of them
        None without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        _say_once("No plots: pip install 's3prl_sb[plots]'")
        return None
    gap = 0.9  # inches between two
    whole = columns * width + (columns - 1) * gap
    figure = Figure(figsize=(whole, height))
    found = [
        figure.add_axes([i * (width + gap) / whole, 0, width / whole, 1])
        for i in range(columns)
    ]
    return found[0] if columns == 1 else found


def legend(axes, **options):
    """Says what lines and colours mean, where they cover nothing.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        With labelled lines.
    **options
        Of ``Axes.legend``.
    """
    below = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
    axes.legend(**{"frameon": False, "fontsize": 8, **below, **options})


def finish(axes, path, title, bare=True):
    """Gives a plot its title, and writes it as PNG, whole or not at all.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Of the figure to write; the title stands above them.
    path : pathlib.Path
        PNG to write.
    title : str
        What it is of.
    bare : bool
        Whether to leave the frame out at the top and at the right.
    """
    from matplotlib.text import Text

    figure = axes.figure
    axes.set_title(printable(title), loc="left", fontsize=10, fontweight="bold", pad=10)
    for each in figure.axes if bare else ():
        each.spines[["top", "right"]].set_visible(False)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a $ in a name is a $
        text.set_fontfamily(_families())
    with Part(path) as part:
        figure.savefig(
            part.path, dpi=130, format="png", bbox_inches="tight", pad_inches=0.2
        )
        part.publish()


def shown(names):
    """Names as they can be drawn.

    Arguments
    ---------
    names : list of str
        Of labels, in any script.

    Returns
    -------
    list of str
        Long ones are cut, those from right to left turned round, which matplotlib
        does not do; one whose letters no font here has is its number in the list.

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
    """matplotlib's own font, then those of the system for other scripts."""
    from matplotlib import font_manager

    there = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(name for name in FONTS if name in there)]


@functools.cache
def _letters():
    """The characters that some font here can draw."""
    from matplotlib import font_manager

    found = set()
    for name in _families():
        path = font_manager.findfont(name, fallback_to_default=True)
        found |= set(font_manager.get_font(path).get_charmap())
    return found


@functools.cache
def _say_once(text):
    logger.info("%s", text)
