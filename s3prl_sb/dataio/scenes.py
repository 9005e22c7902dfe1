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
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import Records, is_number
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import locations
from s3prl_sb.terminal.messages import excerpt

TWINS = ("both", "speech", "sounds")
WORD_TIMES = ("exact", "estimated")
TOLERANCE = 0.1  # seconds by which an annotation may exceed the audio
#: The entries of each annotated kind, for errors.
FORMS = {
    "segments": "[speaker, start, stop]",
    "words": "[speaker, start, stop, word]",
    "events": "[label, start, stop]",
}
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
        "regions": None if regions is None else [list(each) for each in regions],
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
        if start < duration
    ]
    return sorted(rows, key=lambda row: (row[1], row[2], row[0], *row[3:]))


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
        if record["speakers"] is None:
            entries = record["segments"]
            turns = entries if isinstance(entries, list) else []
            turns = [turn for turn in turns if _is_entry(turn, 3)]
            record["speakers"] = list(dict.fromkeys(turn[0] for turn in turns))
        records[name] = record
    manifest.validate(records, path, required=(), audio=audio, lines=lines)
    check_scenes(records, {name: f"{path}:{line}" for name, line in lines.items()})
    for record in records.values():
        if record["segments"] is None and record["words"] is not None:
            record["segments"] = _entries(
                [word[:3] for word in record["words"]], record["duration"]
            )
            names = dict.fromkeys(turn[0] for turn in record["segments"])
            record["speakers"] = list(names)
    return records


def check_scenes(records: Records, places: Mapping[str, str]) -> None:
    """Checks the annotation of scenes.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    places : dict
        ``{id: "file:line"}``, for errors.

    Raises
    ------
    ManifestError
        With the place and the fix.

    Example
    -------
    >>> scene = scene_record("a.wav", 2.0, events=[("dog", 0.5, 1.0)])
    >>> check_scenes({"a": {**scene, "events": [["dog", 1.5, 1.0]]}}, {"a": "a.json:2"})
    Traceback (most recent call last):
    ...
    s3prl_sb.errors.ManifestError: a.json:2: 'a': events: ['dog', 1.5, 1.0] is not …
    """
    for name, record in records.items():
        fault = next(_faults(record), None)
        if fault:
            raise ManifestError(f"{places.get(name, 'scenes')}: '{name}': {fault}")


def _faults(record):
    """Yields what is wrong with the annotation of a scene."""
    length = record["duration"]
    for kind, form in FORMS.items():
        entries = record.get(kind)
        if entries is None:
            continue
        if not isinstance(entries, list):
            yield f"{kind}: {excerpt(entries)}. Give a list of {form}, or null."
            return
        for entry in entries:
            if not _is_entry(entry, len(form.split())):
                yield (
                    f"{kind}: {excerpt(entry)} is not {form}, seconds with 0 <= start "
                    "< stop. Correct it."
                )
            elif entry[2] > length + TOLERANCE:
                yield (
                    f"{kind}: {excerpt(entry)} ends after the audio, {length} s. Is it "
                    "of another file?"
                )
    yield from _faulty_names(record)


def _is_entry(entry, size):
    """Returns whether an entry has a name, times, and a word if its size is 4."""
    if not isinstance(entry, (list, tuple)) or len(entry) != size:
        return False
    texts = [entry[0], *entry[3:]]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return False
    return all(map(is_number, entry[1:3])) and 0 <= entry[1] < entry[2]


def _faulty_names(record):
    """Yields faults of the speakers, the twin and the kind of word times."""
    turns = record.get("segments")
    people = {turn[0] for turn in turns or ()}
    if turns is not None and people != set(record["speakers"]):
        yield f"speakers {record['speakers']}, but the segments have {sorted(people)}."
    unknown = {word[0] for word in record.get("words") or ()} - people
    if turns is not None and unknown:
        yield (
            f"words of {sorted(unknown)}, who have no segments. Add their turns, or "
            "correct the names."
        )
    for key, choices in (("twin", TWINS), ("word_times", WORD_TIMES)):
        if record.get(key) is not None and record[key] not in choices:
            yield f"{key}: {excerpt(record[key])}. There are: {', '.join(choices)}."


def check_kinds(splits: Mapping[str, Records], sources: Mapping[str, str]) -> None:
    """Checks that each set has something to learn or to measure.

    Arguments
    ---------
    splits : dict
        ``{split: {id: record}}``.
    sources : dict
        ``{split: file}``, for errors.

    Raises
    ------
    ManifestError
        If a set has no turn, word or event at all.

    Example
    -------
    >>> scene = scene_record("a.wav", 2.0, events=[("dog", 0.5, 1.0)])
    >>> check_kinds({"train": {"a": scene}}, {"train": "train.json"})
    """
    kinds = {
        split: {k for k in FORMS for record in records.values() if record[k]}
        for split, records in splits.items()
    }
    for split, found in kinds.items():
        if not found:
            raise ManifestError(
                f"{sources[split]}: nothing happens in any of the "
                f"{len(splits[split])} scenes of the {split} set. Add turns, words or "
                "events."
            )


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
