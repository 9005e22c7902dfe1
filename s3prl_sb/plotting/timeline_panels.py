"""Panels of a picture with the rows of a timeline: turns, words, events.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.brains.plots import BLUE
from s3prl_sb.brains.timeline_plot import COLORS, boxes, in_lane, label_rows


def items(axes, timeline, rows, people, sheet):
    """Draws rows of a timeline.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    timeline : list of Item
        Turns, words and events.
    rows : list of (str, str)
        Type and name of each row, see :func:`~s3prl_sb.brains.timeline_plot.lanes`.
    people : list of str
        Names of all speakers, in the order of their colours.
    sheet : s3prl_sb.plotting.sheet.Sheet
        Picture that the axes are in.
    """
    scale = sheet.width / (sheet.stop - sheet.start)
    for row, lane in enumerate(rows):
        number = people.index(lane[1]) if lane[0] != "event" else None
        color = BLUE if number is None else COLORS[number % len(COLORS)]
        boxes(axes, in_lane(timeline, lane), row - 0.4, 0.8, color, scale)
    label_rows(axes, rows)
    axes.grid(axis="x", linewidth=0.3)
    axes.set_axisbelow(True)
