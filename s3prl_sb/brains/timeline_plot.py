"""Timelines of segments: reference and hypothesis.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from s3prl_sb.brains.plots import BLUE, GREY, RED, axes_of_size, finish, legend, shown
from s3prl_sb.dataio.timeline import Item, Timeline
from s3prl_sb.metrics.timeline_score import speaker_mapping

COLORS = "#4472a8", "#d1733c", "#589a5a", "#a85a96", "#8a6f4d", "#5f9ea0"
CHARACTER = 0.055  # inches of a letter of a word
#: Inches of a picture of a scene: per second, and limits of its width.
SECOND, NARROW, WIDE = 0.8, 9.0, 18.0
HEADINGS = {"speaker": "", "word": "words of ", "event": ""}

Lane = tuple[str, str]


def timeline(path, reference, hypothesis, duration, title="", regions=None):
    """Plots the reference above the hypothesis, with a bar for every speaker.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    reference, hypothesis : list
        (speaker, start, stop), in seconds.
    duration : float
        Seconds of the recording.
    title : str
        Title of the plot.
    regions : list, optional
        (start, stop) of the scored regions; the rest is shaded.
    """
    segments = {"reference": reference, "hypothesis": hypothesis}
    speakers = {
        kind: sorted({speaker for speaker, _, _ in turns})
        for kind, turns in segments.items()
    }
    rows = [(kind, speaker) for kind in speakers for speaker in speakers[kind]]
    axes = axes_of_size(9.0, 0.35 * max(len(rows), 2))
    if axes is None:
        return
    for height, (kind, speaker) in enumerate(rows):
        turns = [turn for turn in segments[kind] if turn[0] == speaker]
        spans = [(start, stop - start) for _, start, stop in turns]
        color = COLORS[speakers[kind].index(speaker) % len(COLORS)]
        axes.broken_barh(spans, (height - 0.35, 0.7), color=color)
    if all(speakers.values()):
        axes.axhline(len(speakers["reference"]) - 0.5, color=GREY, linewidth=1)
    for number, (start, stop) in enumerate(_gaps(regions, duration)):
        label = None if number else "not scored"
        axes.axvspan(start, stop, color="lightgrey", label=label)
    drawable = shown(speaker for _, speaker in rows)
    names = [f"{kind} {name}" for (kind, _), name in zip(rows, drawable)]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)  # the first at the top
    axes.set_xlim(0, duration)
    axes.set_xlabel("seconds")
    if axes.get_legend_handles_labels()[0]:
        legend(axes)
    finish(axes, path, title)


def _gaps(regions, duration):
    """Returns the gaps between the regions."""
    last, gaps = 0.0, []
    for start, stop in sorted(regions) if regions is not None else [(0.0, duration)]:
        if start > last:
            gaps.append((last, start))
        last = max(last, stop)
    return [*gaps, (last, duration)] if last < duration else gaps


def label_timeline(path, reference, hypothesis, duration, title=""):
    """Plots the segments of labels with a row for every label: the reference in the
    upper half of a row, the hypothesis in the lower half.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    reference, hypothesis : list
        (label, start, stop), in seconds.
    duration : float
        Seconds of the utterance.
    title : str
        Title of the plot.
    """
    labels = sorted({label for label, _, _ in [*reference, *hypothesis]})
    axes = axes_of_size(9.0, 0.25 * max(len(labels), 4))
    if axes is None:
        return
    kinds = (("reference", reference, -0.4, BLUE), ("hypothesis", hypothesis, 0.0, RED))
    for kind, segments, top, color in kinds:
        for number, label in enumerate(labels):
            spans = [
                (start, stop - start) for name, start, stop in segments if name == label
            ]
            named = kind if number == 0 else None
            axes.broken_barh(spans, (number + top, 0.4), color=color, label=named)
    axes.set_yticks(range(len(labels)), shown(labels), fontsize=8)
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)  # the first at the top
    axes.set_xlim(0, duration)
    axes.set_xlabel("seconds")
    axes.grid(axis="y", linewidth=0.3)
    axes.set_axisbelow(True)
    legend(axes)
    finish(axes, path, title)


def scene_timeline(
    path: str | Path,
    reference: Timeline,
    hypothesis: Timeline,
    duration: float,
    title: str = "",
) -> None:
    """Plots the timeline of a scene: a row for every speaker, for the words of each,
    and for every event; the reference in the upper half of a row, the hypothesis in the
    lower half.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    reference, hypothesis : list of Item
        Timelines. Speakers of the hypothesis get the names of those of the reference
        that they are mapped to, see
        :func:`~s3prl_sb.metrics.timeline_score.speaker_mapping`.
    duration : float
        Seconds of the scene.
    title : str
        Title of the plot.
    """
    names = speaker_mapping(hypothesis, reference)
    hypothesis = [renamed(item, names) for item in hypothesis]
    rows = lanes([*reference, *hypothesis])
    width = min(max(NARROW, SECOND * duration), WIDE)
    axes = axes_of_size(width, 0.34 * max(len(rows), 3))
    if axes is None:
        return
    sides = (("reference", reference, -0.4, BLUE), ("hypothesis", hypothesis, 0.0, RED))
    for side, items, top, color in sides:
        axes.broken_barh([], (0, 0), color=color, label=side)
        for row, lane in enumerate(rows):
            boxes(axes, in_lane(items, lane), row + top, 0.4, color, width / duration)
    label_rows(axes, rows)
    axes.set_xlim(0, duration)
    axes.set_xlabel("seconds")
    legend(axes)
    finish(axes, path, title)


def renamed(item: Item, names: dict[str, str]) -> Item:
    """Returns an item with other names of speakers, those that are in ``names``."""
    if item.type == "speaker":
        return item._replace(label=names.get(item.label, item.label))
    return item._replace(speaker=names.get(item.speaker, item.speaker))


def lanes(items: Iterable[Item]) -> list[Lane]:
    """Returns the rows of a timeline.

    Arguments
    ---------
    items : iterable of Item
        Items of one timeline or more.

    Returns
    -------
    list of (str, str)
        Type and name: speakers in the order in which they first speak, their words, and
        events by name.

    Example
    -------
    >>> lanes([Item("event", "dog", 0, 1), Item("word", "hi", 1, 2, "ann")])
    [('word', 'ann'), ('event', 'dog')]
    """
    ordered = sorted(items, key=lambda item: item.start)
    people = dict.fromkeys(
        item.label if item.type == "speaker" else item.speaker
        for item in ordered
        if item.type != "event"
    )
    rows = dict.fromkeys(_lane(item) for item in ordered)
    speech = [(kind, name) for kind in ("speaker", "word") for name in people]
    return [lane for lane in speech if lane in rows] + sorted(
        lane for lane in rows if lane[0] == "event"
    )


def in_lane(items: Iterable[Item], lane: Lane) -> Timeline:
    """Returns the items of one row."""
    return [item for item in items if _lane(item) == lane]


def _lane(item):
    return item.type, item.speaker if item.type == "word" else item.label


def boxes(
    axes: Any,
    items: Sequence[Item],
    top: float,
    height: float,
    color: str,
    scale: float,
) -> None:
    """Draws the items of a row: turns and events as bars, words as boxes with their
    texts, where there is room between the words before and after.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes to draw on; they end where the items end or later.
    items : list of Item
        Items of one row.
    top, height : float
        Place in the axes.
    color : str
        Color of the bars, or of the text.
    scale : float
        Inches per second.
    """
    words = [item for item in items if item.type == "word"]
    spans = [(item.start, item.stop - item.start) for item in items]
    if not words:
        axes.broken_barh(spans, (top, height), color=color)
        return
    style = {"facecolor": "#f4f4f4", "edgecolor": color, "linewidth": 0.5}
    axes.broken_barh(spans, (top, height), **style)
    # Of the gap between two words each may take a half
    gaps = [max(b.start - a.stop, 0.0) for a, b in zip(words, words[1:])]
    texts = shown([item.label for item in words])
    for item, text, *around in zip(words, texts, [1.0, *gaps], [*gaps, 1.0]):
        middle = (item.start + item.stop) / 2
        room = item.stop - item.start + min(around)
        if room * scale >= CHARACTER * len(text):
            place = {"ha": "center", "va": "center", "clip_on": True}
            axes.text(middle, top + height / 2, text, fontsize=6, color=color, **place)


def label_rows(axes: Any, rows: Sequence[Lane]) -> None:
    """Writes the names of rows, the first at the top, and draws lines between types.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes with a row at each whole number from 0.
    rows : list of (str, str)
        See :func:`lanes`.
    """
    names = shown([name or "unknown" for _, name in rows])
    texts = [HEADINGS[kind] + name for (kind, _), name in zip(rows, names)]
    axes.set_yticks(range(len(rows)), texts, fontsize=8)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    for row in range(1, len(rows)):
        if rows[row][0] != rows[row - 1][0]:
            axes.axhline(row - 0.5, color=GREY, linewidth=0.8)
