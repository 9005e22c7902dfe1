"""Scenes: recordings with speakers, words and sound events, each with its times.

A scene manifest is a manifest, ``{id: record}``, see :mod:`s3prl_sb.dataio.manifest`.
Times are in seconds from the beginning of the file. A record has, besides ``wav``,
``duration``, ``start`` and ``stop`` (both null):

==============  ====================================================================
``speakers``    names in the order of their first turn
``segments``    turns, ``[[speaker, start, stop], …]``, sorted by start; null: not
                annotated
``regions``     annotated parts, ``[[start, stop], …]``; null: the whole recording
``words``       ``[[speaker, start, stop, word], …]``; null: not annotated
``word_times``  "exact", or "estimated": a turn's words are spread over it by their
                characters
``events``      ``[[label, start, stop], …]``; null: not annotated
``scene``       optional: id that matched twins share
``twin``        optional: "both", "speech" (the same without sounds) or "sounds"
``snr``         optional: level of active speech above that of an event, dB, mean over
                the events; null without events
==============  ====================================================================

A kind that was not annotated is null. An empty list says that there was nothing.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.scene_checks import WORD_TIMES, check_scenes
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import locations
from s3prl_sb.terminal.messages import excerpt

INSTANT = 0.01  # seconds of a word that has none, as rounding makes them
DERIVED = ("speakers", "start", "stop")  # keys whose values follow from the others
KEYS = ("speakers", "segments", "regions", "words", "word_times", "events")

Segment = tuple[str, float, float]
Word = tuple[str, float, float, str]


def scene_record(
    wav: str,
    duration: float,
    segments: Iterable[Sequence[Any]] | None = None,
    words: Iterable[Sequence[Any]] | None = None,
    events: Iterable[Sequence[Any]] | None = None,
    regions: Iterable[Sequence[float]] | None = None,
    word_times: str = "exact",
    **further: Any,
) -> dict[str, Any]:
    """Returns the record of a scene: sorted, cut to the audio, times to a microsecond.

    Arguments
    ---------
    wav : str
        The audio file.
    duration : float
        Its length, seconds.
    segments, words, events, regions : list, optional
        See the top of this module; None: not annotated. Without segments, the words of
        a speaker are its turns.
    word_times : str
        "exact" or "estimated".
    **further
        ``scene``, ``twin``, ``snr``.

    Returns
    -------
    dict

    Example
    -------
    >>> record = scene_record("a.wav", 2.0, words=[("ann", 0.5, 0.9, "YES")], events=[])
    >>> record["segments"], record["speakers"], record["events"]
    ([['ann', 0.5, 0.9]], ['ann'], [])
    """
    if segments is None and words is not None:
        words = list(words)
        segments = [word[:3] for word in words]
    turns = _entries(segments, duration)
    return {
        "wav": wav,
        "duration": duration,
        "start": None,
        "stop": None,
        "speakers": list(dict.fromkeys(turn[0] for turn in turns or ())),
        "segments": turns,
        "regions": _regions(regions, duration),
        "words": _entries(words, duration),
        "word_times": word_times,
        "events": _entries(events, duration),
        **further,
    }


def _entries(entries, duration):
    """Returns sorted entries that end with the audio; None stays None."""
    if entries is None:
        return None
    rows = [
        [name, round(start, 6), round(min(stop, duration), 6), *rest]
        for name, start, stop, *rest in entries
    ]
    rows = [row for row in rows if row[1] < round(duration, 6)]
    return sorted(rows, key=lambda row: (row[1], row[2], row[0], *row[3:]))


def _regions(regions, duration):
    """Returns regions that end with the audio; None stays None."""
    if regions is None:
        return None
    return [[start, min(stop, duration)] for start, stop in regions if start < duration]


def read_scenes(path: str, audio: bool = True) -> dict[str, dict[str, Any]]:
    """Reads a scene manifest, and checks every record.

    Arguments
    ---------
    path : str
        The JSON file. A relative ``wav`` starts at its folder.
    audio : bool
        Whether to check that the audio files exist.

    Returns
    -------
    dict
        ``{id: record}``; missing keys of records are added, as null. Without segments,
        the words of a speaker are its turns.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scene = scene_record("a.wav", 2.0, [("ann", 0.5, 1.0)])
    ...     manifest.write({"a": scene}, folder + "/test.json")
    ...     read_scenes(folder + "/test.json", audio=False)["a"]["events"] is None
    True
    """
    folder = os.path.dirname(os.path.abspath(path))
    rows = manifest.unique(manifest.json_rows(path), path)
    lines = {name: line for name, line, _ in rows}
    records = {}
    used = {key for _, _, row in rows if isinstance(row, dict) for key in row}
    defaults = dict.fromkeys([*KEYS, *(used & {"scene", "twin", "snr"})])
    for name, line, row in rows:
        if not isinstance(row, dict) or not isinstance(row.get("wav"), str):
            raise ManifestError(
                f"{path}:{line}: '{name}' is no record of a scene: {excerpt(row)}. "
                "It needs wav and duration, see docs/scenes.md."
            )
        record = {"start": None, "stop": None, **defaults, **row}
        record["wav"] = locations.in_folder(record["wav"], folder)
        record["word_times"] = record["word_times"] or WORD_TIMES[0]
        records[name] = record
    manifest.validate(records, path, required=(), audio=audio, lines=lines)
    check_scenes(records, {name: f"{path}:{line}" for name, line in lines.items()})
    return {name: _in_order(record) for name, record in records.items()}


def _in_order(record):
    """Returns a checked record with sorted entries; speakers by their first turn."""
    names = ("wav", "duration", "segments", "words", "events", "regions", "word_times")
    further = {key: record[key] for key in record if key not in (*names, *DERIVED)}
    return scene_record(*(record[name] for name in names), **further)


def turns_of(times: Iterable[Sequence[Any]], pause: float) -> list[tuple[float, float]]:
    """Joins intervals that no pause separates.

    Arguments
    ---------
    times : list
        Intervals that begin with (start, stop), in seconds, sorted by start.
    pause : float
        Seconds of the shortest pause between two turns.

    Returns
    -------
    list of (float, float)

    Example
    -------
    >>> turns_of([(0.1, 0.4, "good"), (0.5, 0.8, "day"), (1.5, 1.8, "sir")], 0.2)
    [(0.1, 0.8), (1.5, 1.8)]
    """
    turns: list[tuple[float, float]] = []
    for start, stop, *_ in times:
        if turns and start - turns[-1][1] < pause:
            start, last = turns.pop()
            stop = max(stop, last)
        turns.append((start, stop))
    return turns


def spread(words: Sequence[str], spans: Sequence[Sequence[float]]) -> list[list]:
    """Spreads words over spans of time in proportion to their characters.

    Arguments
    ---------
    words : list of str
        Words in their order.
    spans : list of (float, float)
        Start and stop of the parts with speech, seconds, sorted and disjoint.

    Returns
    -------
    list of [float, float, str]
        Start, stop and word. A word may extend over a pause.

    Example
    -------
    >>> spread(["GO", "AWAY"], [(0.0, 0.4), (1.0, 1.2)])
    [[0.0, 0.2, 'GO'], [0.2, 1.2, 'AWAY']]
    """
    total, letters = sum(b - a for a, b in spans), sum(map(len, words))
    timed, done = [], 0
    for word in words:
        first, done = done, done + len(word)
        start = _moment(spans, total * first / letters, first=True)
        stop = _moment(spans, total * done / letters, first=False)
        timed.append([start, stop, word])
    return timed


def _moment(spans, amount, first):
    """Returns when an amount of the time in spans has passed; at the border of two, the
    start of the later one if ``first``."""
    for start, stop in spans:
        length = stop - start
        if amount < length - 1e-9 or (not first and amount <= length + 1e-9):
            return round(start + min(amount, length), 6)
        amount = max(0.0, amount - length)
    return round(spans[-1][1], 6)
