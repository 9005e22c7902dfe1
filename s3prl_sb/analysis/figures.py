"""Figures of the analyses. Without matplotlib there are none.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy

from s3prl_sb.brains.plots import BLUE, GREY, RED, axes_of_size, finish, legend

CELL = 0.34  # inches
LETTER = 0.07  # inches of a label; long names must not meet in the corner
WRITTEN = 16  # hidden states up to which the numbers are in the cells


def similarities(
    path: str | os.PathLike,
    values: numpy.ndarray,
    rows: Sequence[int],
    columns: Sequence[int],
    names: tuple[str, str],
    title: str,
) -> None:
    """Plots similarities of hidden states as a heat map.

    Arguments
    ---------
    path : str
        PNG file to write.
    values : numpy.ndarray
        [rows, columns], from 0 to 1.
    rows, columns : list of int
        Numbers of the hidden states.
    names : tuple of str
        Upstreams of the rows and of the columns.
    title : str
        Title of the figure.
    """
    labels = [f"hidden state of {name}" for name in names]
    height, width = (
        max(1.6, CELL * len(states), LETTER * len(label))
        for states, label in zip((rows, columns), labels)
    )
    axes = axes_of_size(width, height)
    if axes is None:
        return
    image = axes.imshow(values, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    bar = axes.inset_axes([1 + 0.15 / width, 0, 0.15 / width, 1])
    axes.figure.colorbar(image, cax=bar, label="linear CKA")
    every = [max(1, n // 24) for n in (len(columns), len(rows))]
    axes.set_xticks(range(0, len(columns), every[0]), columns[:: every[0]], fontsize=8)
    axes.set_yticks(range(0, len(rows), every[1]), rows[:: every[1]], fontsize=8)
    if max(len(rows), len(columns)) <= WRITTEN:
        for (row, column), value in numpy.ndenumerate(values):
            color = "black" if value > 0.6 else "white"
            text = f"{value:.2f}".replace("0.", ".", 1)
            place = {"ha": "center", "va": "center"}
            axes.text(column, row, text, fontsize=6.5, color=color, **place)
    axes.set_ylabel(labels[0], fontsize=9)
    axes.set_xlabel(labels[1], fontsize=9)
    finish(axes, Path(path), title, bare=False)


def errors(
    path: str | os.PathLike,
    layers: Sequence[int],
    lines: Mapping[str, Sequence[float]],
    title: str,
) -> None:
    """Plots ABX errors over hidden states.

    Arguments
    ---------
    path : str
        PNG file to write.
    layers : list of int
        Numbers of the hidden states.
    lines : dict
        Tasks to errors of each hidden state, from 0 to 1.
    title : str
        Title of the figure.
    """
    axes = axes_of_size(max(4.0, 0.35 * len(layers)), 2.8)
    if axes is None:
        return
    for (task, values), color in zip(lines.items(), (BLUE, RED)):
        percent = [100 * value for value in values]
        axes.plot(
            range(len(layers)),
            percent,
            marker="o",
            color=color,
            label=f"{task} speakers, best {min(percent):.1f} %",
        )
    axes.set_xticks(range(len(layers)), layers)
    axes.set_ylim(0, 108 * max(max(values) for values in lines.values()) or 1)
    axes.grid(axis="y", color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_xlabel("hidden state (0: the input of the first layer)")
    axes.set_ylabel("ABX error, % (50: chance)")
    legend(axes)
    finish(axes, Path(path), title)
