"""Layout of a picture: panels over one time axis, squares below them.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from s3prl_sb.brains.plots import finish
from s3prl_sb.errors import MissingExtra

WIDTH = 9.0  # inches of the time axis
GAP = 0.26  # inches between two panels, for a title
SIDE = 2.1  # inches of a square
BESIDE, BELOW = 1.35, 0.65  # inches between two squares, for bars and ticks
ACROSS = 3  # squares in a row
PADDING = 0.2  # inches around the picture, see finish()

Draw = Callable[[Any], None]


class Sheet:
    """A picture of an excerpt of audio.

    Arguments
    ---------
    start, stop : float
        Limits of the time axis, seconds.
    width : float
        Inches of the time axis.

    Example
    -------
    >>> sheet = Sheet(0.0, 2.0)
    >>> sheet.panel(1.0, lambda axes: axes.plot([0, 2], [1, 3]))
    >>> # sheet.save("a.png", "A line")
    """

    def __init__(self, start: float, stop: float, width: float = WIDTH):
        self.start, self.stop, self.width = start, stop, width
        self._panels: list[tuple[float, Draw, bool]] = []
        self._squares: list[Draw] = []

    def panel(self, height: float, draw: Draw, has_time: bool = True) -> None:
        """Adds a panel below the others.

        Arguments
        ---------
        height : float
            Inches.
        draw : callable
            Function of the axes.
        has_time : bool
            Whether its horizontal axis is the time.
        """
        self._panels.append((height, draw, has_time))

    def square(self, draw: Draw) -> None:
        """Adds a square to the rows of squares below the panels; ``draw`` is a function
        of the axes."""
        self._squares.append(draw)

    def save(self, path: str | Path, title: str) -> tuple[float, float]:
        """Writes the picture as PNG, atomically.

        Arguments
        ---------
        path : str
            File to write.
        title : str
            Title of the picture.

        Returns
        -------
        left, width : float
            Place of the time axis, as shares of the width of the picture.

        Raises
        ------
        MissingExtra
            Without matplotlib.
        """
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise MissingExtra(
                "Pictures need matplotlib: pip install 's3prl_sb[plots]'"
            ) from error
        rows = -(-len(self._squares) // ACROSS)
        is_timed = [has_time for _, _, has_time in self._panels]
        gaps = [GAP if all(pair) else BELOW for pair in zip(is_timed, is_timed[1:])]
        gaps.append(BELOW)
        height = sum(tall for tall, _, _ in self._panels) + sum(gaps)
        height += rows * (SIDE + BELOW)
        figure = Figure(figsize=(self.width, height))
        top, axes = height, []
        for (tall, draw, has_time), gap in zip(self._panels, gaps):
            top -= tall
            axes.append(figure.add_axes((0, top / height, 1, tall / height)))
            draw(axes[-1])
            if has_time:
                axes[-1].set_xlim(self.start, self.stop)
            top -= gap
        timed = [each for each, panel in zip(axes, self._panels) if panel[2]]
        for each in timed[:-1]:
            each.tick_params(labelbottom=False)
        for each in timed[-1:]:
            each.set_xlabel("seconds", fontsize=8)
            each.tick_params(axis="x", labelbottom=True, labelsize=8)
        for number, draw in enumerate(self._squares):
            row, column = divmod(number, ACROSS)
            bottom = top - SIDE - row * (SIDE + BELOW)
            left = column * (SIDE + BESIDE)
            place = (
                left / self.width,
                bottom / height,
                SIDE / self.width,
                SIDE / height,
            )
            axes.append(figure.add_axes(place))
            draw(axes[-1])
        finish(axes[0], Path(path), title, bare=False)
        box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
        whole = box.width + 2 * PADDING
        return (PADDING - box.x0) / whole, self.width / whole
