"""Rows of a timeline: what is true, what a model found, and when they differ.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from s3prl_sb.brains.timeline_plot import HEADINGS, in_lane, lanes, renamed
from s3prl_sb.dataio.timeline import Item, Timeline
from s3prl_sb.metrics.timeline_score import speaker_mapping

LONGEST = 60.0  # seconds of a timeline
ROWS, BOXES = 30, 300  # most rows, and boxes of a side of a row, that are shown
KINDS = "missed", "false alarm", "confusion"

Spans = list[tuple[str, float, float]]


class Lane(NamedTuple):
    """Row of a timeline.

    Arguments
    ---------
    name : str
        Name of the row.
    true, found : list of (str, float, float)
        Texts of the boxes, starts and stops in seconds.
    kind : str
        "speaker", "word", "event", or "error" of a row with the errors of the others.
    """

    name: str
    true: Spans
    found: Spans
    kind: str = "event"


def rows_of(true: Timeline, found: Timeline) -> list[Lane]:
    """Returns the rows of a timeline and of what a model found.

    Arguments
    ---------
    true, found : list of Item
        Timelines. Speakers that were found get the names of the true ones that they
        are mapped to.

    Returns
    -------
    list of Lane
        A row for each speaker, for the words of each, and for each event; of speakers
        also one with the errors.

    Example
    -------
    >>> true = [Item("speaker", "ann", 0.0, 2.0)]
    >>> found = [Item("speaker", "1", 0.5, 2.0)]
    >>> [(row.name, row.found) for row in rows_of(true, found)]
    [('ann', [('', 0.5, 2.0)]), ('errors', [('missed', 0.0, 0.5)])]
    """
    names = speaker_mapping(found, true)
    found = [renamed(item, names) for item in found]
    rows = []
    for kind, name in lanes([*true, *found]):
        ours, theirs = (
            [
                (item.label if kind == "word" else "", item.start, item.stop)
                for item in in_lane(items, (kind, name))
            ]
            for items in (true, found)
        )
        rows.append(Lane(HEADINGS[kind] + (name or "unknown"), ours, theirs, kind))
    if any(item.type == "speaker" for item in [*true, *found]):
        wrong = errors(_turns(true), _turns(found))
        last = sum(row.kind == "speaker" for row in rows)
        rows.insert(last, Lane("errors", [], wrong, "error"))
    return rows


def labelled(true: Spans, found: Spans, name: str = "labels") -> list[Lane]:
    """Returns one row of labels that follow each other, or a row for each label.

    Arguments
    ---------
    true, found : list of (str, float, float)
        Labels, starts and stops in seconds.
    name : str
        Name of the only row.

    Returns
    -------
    list of Lane

    Example
    -------
    >>> labelled([("a", 0.0, 1.0), ("b", 1.0, 2.0)], [])[0].kind
    'word'
    >>> [row.name for row in labelled([("a", 0.0, 1.0), ("b", 0.5, 2.0)], [])]
    ['a', 'b']
    """
    if not (_overlaps(true) or _overlaps(found)):
        return [Lane(name, true, found, "word")]
    sides = ([Item("event", *span) for span in spans] for spans in (true, found))
    return rows_of(*sides)


def errors(true: Spans, found: Spans) -> Spans:
    """Returns when the speakers of two sides differ, and how.

    Arguments
    ---------
    true, found : list of (str, float, float)
        Speakers, starts and stops in seconds; the names are those of the true ones.

    Returns
    -------
    list of (str, float, float)
        "missed" while fewer speakers are found than there are, "false alarm" while
        more are, and "confusion" while as many others are; with start and stop.

    Example
    -------
    >>> errors([("a", 0.0, 2.0)], [("b", 1.0, 3.0)])
    [('missed', 0.0, 1.0), ('confusion', 1.0, 2.0), ('false alarm', 2.0, 3.0)]
    """
    changes: dict[float, list[tuple[int, str, int]]] = {}
    for side, spans in enumerate((true, found)):
        for name, start, stop in spans:
            changes.setdefault(start, []).append((side, name, 1))
            changes.setdefault(stop, []).append((side, name, -1))
    active: tuple[dict[str, int], dict[str, int]] = ({}, {})
    spans, times = [], sorted(changes)
    for time, after in zip(times, times[1:]):
        for side, name, change in changes[time]:
            active[side][name] = active[side].get(name, 0) + change
        is_true, is_found = ({n for n, c in side.items() if c > 0} for side in active)
        if is_true == is_found:
            continue
        more = len(is_found) - len(is_true)
        kind = KINDS[0] if more < 0 else KINDS[1] if more > 0 else KINDS[2]
        if spans and spans[-1][0] == kind and spans[-1][2] == time:
            spans[-1] = (kind, spans[-1][1], after)
        else:
            spans.append((kind, time, after))
    return spans


def worst_window(
    rows: Sequence[Lane], seconds: float, longest: float = LONGEST
) -> tuple[float, float]:
    """Returns the limits of the part of a recording that is shown.

    Arguments
    ---------
    rows : list of Lane
        Rows of the whole recording.
    seconds : float
        Its length.
    longest : float
        Most seconds that are shown.

    Returns
    -------
    (float, float)
        Start and stop; for a long recording, those of the part in which the two
        sides differ longest.

    Example
    -------
    >>> rows = [Lane("ann", [("", 100.0, 110.0)], [])]
    >>> worst_window(rows, 300.0), worst_window(rows, 30.0)
    ((60.0, 120.0), (0.0, 30.0))
    """
    if seconds <= longest:
        return 0.0, seconds
    wrong = [
        span
        for row in rows
        if row.kind != "error"
        for span in errors(_unnamed(row.true), _unnamed(row.found))
    ]
    count = math.ceil(2 * seconds / longest) - 1
    starts = [min(n * longest / 2, seconds - longest) for n in range(count)]

    def share(first):
        ends = ((max(a, first), min(b, first + longest)) for _, a, b in wrong)
        return sum(max(stop - start, 0.0) for start, stop in ends)

    first = max(starts, key=share)
    return first, first + longest


def within(rows: Iterable[Lane], start: float, stop: float) -> list[Lane]:
    """Returns rows with what is between two times only.

    Arguments
    ---------
    rows : list of Lane
        Rows.
    start, stop : float
        Seconds.

    Returns
    -------
    list of Lane
        Without those that are empty then. Of more than can be read the first ones, with
        a row or a name that says so.

    Example
    -------
    >>> within([Lane("ann", [("", 0.0, 1.0)], [])], 2.0, 3.0)
    []
    """

    def keep(spans):
        return [span for span in spans if span[1] < stop and span[2] > start]

    cut = [row._replace(true=keep(row.true), found=keep(row.found)) for row in rows]
    cut = [row for row in cut if row.true or row.found]
    kept = [_readable(row) for row in cut[:ROWS]]
    if len(cut) > ROWS:
        kept.append(Lane(f"{len(cut) - ROWS} more rows are left out", [], []))
    return kept


def _readable(row):
    """Returns a row with as many boxes as can be read."""
    most = max(len(row.true), len(row.found))
    if most <= BOXES:
        return row
    name = f"{row.name} (the first {BOXES} of {most})"
    return row._replace(name=name, true=row.true[:BOXES], found=row.found[:BOXES])


def _turns(items):
    return [(i.label, i.start, i.stop) for i in items if i.type == "speaker"]


def _unnamed(spans):
    """Returns spans whose texts do not matter, only when they are."""
    return [("", start, stop) for _, start, stop in spans]


def _overlaps(spans):
    times = sorted((start, stop) for _, start, stop in spans)
    return any(b[0] < a[1] - 1e-6 for a, b in zip(times, times[1:]))
