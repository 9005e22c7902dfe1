"""Plots of the curves of a benchmark: a panel for each metric of each task.

Authors
 * The s3prl_sb developers, 2026
"""

import math

from s3prl_sb.benchmark.row_names import PART
from s3prl_sb.brains.plots import finish, log_once
from s3prl_sb.errors import printable

#: Okabe and Ito's colours, which the colour-blind can distinguish, without yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
MARKERS = "os^Dvp*X"
DASHES = ("-", "--", ":")
WIDTH, HEIGHT = 2.9, 2.1  # inches of a panel's axes
LEFT, BETWEEN = 0.75, 0.8  # inches beside and between panels
TITLE, BELOW = 0.45, 0.42  # inches of the panels to the title and to the legend
MOST = 4  # panels side by side


def plot(curves, path):
    """Writes curves as PNG, if matplotlib is installed.

    The standard deviation over seeds is drawn as a bar.

    Arguments
    ---------
    curves : s3prl_sb.benchmark.curves.Curves
        The curves.
    path : pathlib.Path
        File to write.
    """
    panels = curves.panels
    axes = _axes(len(panels))
    if axes is None:
        return
    for (task, metric), each in zip(panels, axes):
        for number, (name, lines) in enumerate(curves.lines.items()):
            points = lines.get((task, metric.key))
            if points:
                _draw(each, curves, points, _style(number))
        _label(each, curves, task, metric)
    has_bars = any(
        point["spread"] is not None
        for lines in curves.lines.values()
        for points in lines.values()
        for point in points.values()
    )
    title = curves.title + (
        " (bars: standard deviation over seeds)" if has_bars else ""
    )
    _legend(axes[0].figure, list(curves.lines), title)
    finish(axes[0], path, axes[0].get_title(loc="left"))


def _axes(number):
    """Returns the axes of panels in rows, or None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        log_once("No plots: pip install 's3prl_sb[plots]'")
        return None
    columns = min(number, MOST)
    rows = math.ceil(number / columns)
    width = LEFT + columns * (WIDTH + BETWEEN)
    height = rows * (HEIGHT + BETWEEN)
    figure = Figure(figsize=(width, height))
    return [
        figure.add_axes(
            [
                (LEFT + i % columns * (WIDTH + BETWEEN)) / width,
                1 - (i // columns + 1) * (HEIGHT + BETWEEN) / height,
                WIDTH / width,
                HEIGHT / height,
            ]
        )
        for i in range(number)
    ]


def _style(number):
    """Returns colour, marker and dashes of a line, different for 168 of them."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": DASHES[number // len(COLOURS) % len(DASHES)],
    }


def _draw(axes, curves, points, style):
    """Draws a line, with a thin one to its clean point."""
    places = _places(curves)
    numbers = [
        point for point in curves.points if point in points and point is not None
    ]
    for group in (numbers, [point for point in points if point is None]):
        axes.errorbar(
            [places[point] for point in group],
            [points[point]["mean"] for point in group],
            yerr=[points[point]["spread"] or math.nan for point in group],
            capsize=2,
            markersize=4.5,
            linewidth=1.4,
            elinewidth=0.9,
            **style,
        )
    if numbers and None in points:
        ends = (max(numbers), None)
        axes.plot(
            [places[point] for point in ends],
            [points[point]["mean"] for point in ends],
            color=style["color"],
            linewidth=0.7,
            alpha=0.6,
        )


def _places(curves):
    """Returns the place of each point; the clean one is right of the numbers."""
    numbers = [point for point in curves.points if point is not None]
    beside = max(numbers) + max(5.0, (max(numbers) - min(numbers)) / 4)
    return {point: beside if point is None else point for point in curves.points}


def _label(axes, curves, task, metric):
    """Labels a panel, with the direction of better numbers."""
    places = _places(curves)
    if curves.key != "snr":
        axes.set_xscale("log")
        axes.minorticks_off()
        low, high = min(places.values()), max(places.values())
        axes.set_xlim(low / 1.25, high * 1.25)
    names = [
        curves.point_name(point).removesuffix(" dB").removesuffix(" h").split(" per")[0]
        for point in places
    ]
    axes.set_xticks(list(places.values()), names, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel(curves.axis, fontsize=8)
    unit = f", {metric.unit}" if metric.unit else ""
    better = "higher" if metric.higher else "lower"
    axes.set_ylabel(f"{metric.title}{unit} ({better} is better)", fontsize=8)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(task, loc="left", fontsize=10, fontweight="bold", pad=10)


def _legend(figure, names, title):
    """Adds the names of the lines below all panels, and the title above them."""
    from matplotlib.lines import Line2D

    names, shared = _without_shared(names)
    handles = [
        Line2D([], [], markersize=4.5, linewidth=1.4, label=printable(name), **style)
        for name, style in zip(names, map(_style, range(len(names))))
    ]
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(LEFT / width, -BELOW / height),
        frameon=False,
        fontsize=8,
        title=shared and printable(shared),
        title_fontsize=8,
        alignment="left",
        handlelength=3.2,
        ncols=1 if len(figure.axes) < 3 or max(map(len, names)) > 60 else 2,
    )
    figure.text(
        LEFT / width,
        1 - (BETWEEN - TITLE) / height,
        printable(title),
        fontsize=11,
        fontweight="bold",
        ha="left",
        va="bottom",
    )


def _without_shared(names):
    """Returns the names of lines without what all share, and a line that says it."""
    lines = [name.split(PART) for name in names]
    shared = [part for part in lines[0][1:] if all(part in line for line in lines)]
    if len(lines) < 2 or not shared:
        return names, None
    short = [PART.join(p for p in line if p not in shared) for line in lines]
    return short, f"all with {PART.join(shared)}"
