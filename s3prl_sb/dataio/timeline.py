"""Timelines: who speaks, what is said and which sounds happen, and when.

A timeline is a list of :class:`Item`, sorted by start, stop, type and label. Models
predict one, and :func:`items_of` returns the true one of a scene.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.dataio.rttm import rttm_lines
from s3prl_sb.storage.file_names import file_stem

TYPES = ("speaker", "word", "event")


class Item(NamedTuple):
    """A turn of a speaker, a word, or a sound event.

    Arguments
    ---------
    type : str
        "speaker", "word" or "event".
    label : str
        Name of the speaker, the word, or the label of the event.
    start, stop : float
        Seconds.
    speaker : str
        Speaker of a word; "" otherwise, or if it is unknown.
    score : float, optional
        Confidence from 0 to 1.
    """

    type: str
    label: str
    start: float
    stop: float
    speaker: str = ""
    score: float | None = None


Timeline = list[Item]
Timelines = Mapping[str, Timeline]


def ordered(items: Iterable[Item]) -> Timeline:
    """Returns items in the order of a timeline.

    Arguments
    ---------
    items : iterable of Item
        In any order.

    Returns
    -------
    list of Item

    Example
    -------
    >>> items = [Item("word", "hi", 0.5, 0.8, "ann"), Item("speaker", "ann", 0.2, 1.0)]
    >>> [item.type for item in ordered(items)]
    ['speaker', 'word']
    """
    return sorted(
        items, key=lambda each: (each.start, each.stop, each.type, each.label)
    )


def items_of(record: Mapping[str, Any]) -> Timeline:
    """Returns the timeline of the record of a scene.

    Arguments
    ---------
    record : dict
        ``segments`` [[speaker, start, stop], …], ``words`` [[speaker, start, stop,
        word], …] and ``events`` [[label, start, stop], …]. A key that is missing or
        null has no items.

    Returns
    -------
    list of Item

    Example
    -------
    >>> items_of({"segments": [["ann", 0, 1]], "words": None, "events": []})
    [Item(type='speaker', label='ann', start=0, stop=1, speaker='', score=None)]
    """
    turns = [Item("speaker", *segment) for segment in record.get("segments") or ()]
    events = [Item("event", *event) for event in record.get("events") or ()]
    words = [
        Item("word", word, start, stop, speaker)
        for speaker, start, stop, word in record.get("words") or ()
    ]
    return ordered([*turns, *words, *events])


def annotated_types(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the types of items that the record of a scene annotates.

    Arguments
    ---------
    record : dict
        See :func:`items_of`; null or missing is not annotated, an empty list is.

    Returns
    -------
    tuple of str

    Example
    -------
    >>> annotated_types({"segments": [["ann", 0, 1]], "words": None, "events": []})
    ('speaker', 'event')
    """
    keys = {"speaker": "segments", "word": "words", "event": "events"}
    return tuple(kind for kind in TYPES if record.get(keys[kind]) is not None)


def segments_of(items: Iterable[Item], kind: str) -> list[tuple[str, float, float]]:
    """Returns the items of one type as segments.

    Arguments
    ---------
    items : iterable of Item
        A timeline.
    kind : str
        "speaker", "word" or "event".

    Returns
    -------
    list of (str, float, float)
        Label, start and stop, in the order of the items.

    Example
    -------
    >>> items = [Item("event", "dog", 0.0, 1.0), Item("speaker", "ann", 2.0, 3.0)]
    >>> segments_of(items, "event")
    [('dog', 0.0, 1.0)]
    """
    return [(each.label, each.start, each.stop) for each in items if each.type == kind]


def words_of(items: Iterable[Item]) -> list[tuple[str, float, float, str]]:
    """Returns the words of a timeline, as the metrics take them.

    Arguments
    ---------
    items : iterable of Item
        A timeline.

    Returns
    -------
    list of (str, float, float, str)
        Speaker, start, stop and word; see :mod:`s3prl_sb.metrics.word_attribution`.
    """
    words = [each for each in items if each.type == "word"]
    return [(each.speaker, each.start, each.stop, each.label) for each in words]


def as_json(item: Item) -> dict[str, Any]:
    """Returns an item as JSON values, without the parts that it does not have.

    Example
    -------
    >>> as_json(Item("event", "dog", 0.5, 1.0))
    {'type': 'event', 'label': 'dog', 'start': 0.5, 'stop': 1.0}
    """
    values = {
        "type": item.type,
        "label": item.label,
        "start": round(float(item.start), 3),
        "stop": round(float(item.stop), 3),
    }
    if item.type == "word":
        values["speaker"] = item.speaker
    if item.score is not None:
        values["score"] = round(float(item.score), 4)
    return values


def from_json(values: Mapping[str, Any]) -> Item:
    """Returns the item of :func:`as_json`.

    Example
    -------
    >>> from_json({"type": "event", "label": "dog", "start": 0.5, "stop": 1.0})[:4]
    ('event', 'dog', 0.5, 1.0)
    """
    return Item(**{key: values[key] for key in Item._fields if key in values})


def jsonl(recordings: Timelines) -> str:
    """Returns timelines as lines of JSON, one per item, with its ``recording``.

    Example
    -------
    >>> jsonl({"a": [Item("event", "dog", 0.5, 1.0)]})
    '{"recording": "a", "type": "event", "label": "dog", "start": 0.5, "stop": 1.0}\\n'
    """
    return _text(
        json.dumps({"recording": name, **as_json(item)}, ensure_ascii=False)
        for name, items in recordings.items()
        for item in items
    )


def rttm(recordings: Timelines) -> str:
    """Returns the turns of speakers as RTTM; words and events have no place in it.

    Example
    -------
    >>> rttm({"a 1": [Item("speaker", "ann b", 0.5, 1.0)]})
    'SPEAKER a_1 1 0.500 0.500 <NA> <NA> ann_b <NA> <NA>\\n'
    """
    return _text(
        line
        for name, items in recordings.items()
        for line in rttm_lines(
            "_".join(name.split()), _joined(segments_of(items, "speaker"))
        )
    )


def seglst(recordings: Timelines) -> str:
    """Returns the words as SegLST, the JSON that ``meeteval`` reads: a segment a word,
    so that times are kept.

    Example
    -------
    >>> json.loads(seglst({"a": [Item("word", "hi", 0.5, 1.0, "ann")]}))[0]["words"]
    'hi'
    """
    rows = [
        {
            "session_id": name,
            "speaker": speaker,
            "start_time": round(float(start), 3),
            "end_time": round(float(stop), 3),
            "words": word,
        }
        for name, items in recordings.items()
        for speaker, start, stop, word in words_of(items)
    ]
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return f"[\n{lines}\n]\n" if rows else "[]\n"


def audacity(recordings: Timelines) -> str:
    """Returns timelines as labels of Audacity: start, stop and a text, between tabs.

    The format has no recordings; give one.

    Example
    -------
    >>> audacity({"a": [Item("word", "hi", 0.5, 1.0, "ann")]})
    '0.500000\\t1.000000\\tann: hi\\n'
    """
    return _text(
        f"{item.start:.6f}\t{item.stop:.6f}\t{_flat(shown(item))}"
        for items in recordings.values()
        for item in items
    )


def tsv(recordings: Timelines) -> str:
    """Returns events as DESED's table: filename, onset, offset and label.

    DESED's files are named as wavs, and programs that score pair them by name.

    Example
    -------
    >>> tsv({"a": [Item("event", "dog", 0.5, 1.0)]})
    'filename\\tonset\\toffset\\tevent_label\\na.wav\\t0.500\\t1.000\\tdog\\n'
    """
    files = {name: name if is_audio(name) else f"{name}.wav" for name in recordings}
    rows = [
        [_flat(files[name]), f"{start:.3f}", f"{stop:.3f}", _flat(label)]
        for name, items in recordings.items()
        for label, start, stop in segments_of(items, "event")
    ]
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerows([["filename", "onset", "offset", "event_label"], *rows])
    return text.getvalue()


def readable(recordings: Timelines) -> str:
    """Returns timelines for people, in columns.

    Example
    -------
    >>> print(readable({"a": [Item("word", "hi", 0.5, 1.0, "ann")]}), end="")
    a      0.50     1.00  word     ann: hi
    """
    return _text(
        f"{name}  {item.start:7.2f}  {item.stop:7.2f}  {item.type:<7}  "
        f"{_flat(shown(item))}"
        for name, items in recordings.items()
        for item in items
    )


def shown(item: Item) -> str:
    """Returns the label of an item, of a word with its speaker."""
    return f"{item.speaker}: {item.label}" if item.speaker else item.label


Writer = Callable[[Timelines], str]

#: Functions of ``{recording: timeline}`` that return a text, by the name of a format.
FORMATS: dict[str, Writer] = {
    "text": readable,
    "jsonl": jsonl,
    "rttm": rttm,
    "seglst": seglst,
    "audacity": audacity,
    "tsv": tsv,
}


#: Names of the files of predictions, by format.
ENDINGS = {"jsonl": "jsonl", "rttm": "rttm", "seglst": "seglst.json", "tsv": "tsv"}


def prediction_files(
    recordings: Timelines, formats: Iterable[str] = tuple(ENDINGS)
) -> dict[str, str]:
    """Returns files of predicted timelines.

    Arguments
    ---------
    recordings : dict
        Recording ids to timelines.
    formats : list of str
        Among :data:`ENDINGS`.

    Returns
    -------
    dict
        Names to texts: ``hyp`` with the ending of each format, and a file of labels of
        Audacity for each recording.

    Example
    -------
    >>> list(prediction_files({"a": []}, ["tsv"]))
    ['hyp.tsv', 'a.audacity.txt']
    """
    texts = {f"hyp.{ENDINGS[kind]}": FORMATS[kind](recordings) for kind in formats}
    labels = {
        f"{file_stem(name)}.audacity.txt": audacity({name: items})
        for name, items in recordings.items()
    }
    return {**texts, **labels}


def _text(lines):
    return "".join(f"{line}\n" for line in lines)


def _flat(text):
    """Returns a text without tabs and ends of lines, which separate columns."""
    return " ".join(str(text).split())


def _joined(segments):
    """Replaces white space in labels, which formats between spaces cannot hold."""
    return [("_".join(name.split()), start, stop) for name, start, stop in segments]
