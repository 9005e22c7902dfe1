"""Timelines that a run left beside its predictions.

===========  ==========================================================
speakers     ``ref.rttm`` and ``hyp.rttm``
events       ``ref.tsv`` and ``hyp.tsv``, as DESED's tables
frames       ``ref.ctm`` and ``hyp.ctm``
scenes       ``ref.jsonl`` and ``hyp.jsonl``, an item a line
===========  ==========================================================

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.dataio.ctm import ctm_rows
from s3prl_sb.dataio.rttm import field, read_rttm
from s3prl_sb.dataio.timeline import TYPES, Item, Timeline, from_json, segments_of
from s3prl_sb.report.gathered import Run
from s3prl_sb.report.lanes import Lane, labelled, rows_of
from s3prl_sb.storage.files import naming, read_text

SIDES = ("ref", "hyp")


def rows_for(run: Run, kind: str, name: str) -> list[Lane]:
    """Returns the timeline of a recording.

    Arguments
    ---------
    run : Run
        The run; it gets a note about a file that cannot be read.
    kind : str
        "speakers", "events", "frames" or "scenes".
    name : str
        Id of the recording.

    Returns
    -------
    list of Lane
        Empty if the run left none.
    """
    ending, read, key = FILES[kind]
    files = [run.once(f"{side}.{ending}", read) or {} for side in SIDES]
    true, found = (timelines.get(key(name), []) for timelines in files)
    if kind == "frames":
        return labelled(segments_of(true, "event"), segments_of(found, "event"))
    return rows_of(true, found)


def _rttm(path):
    return {
        name: [Item("speaker", *segment) for segment in segments]
        for name, segments in read_rttm(path).items()
    }


def _ctm(path):
    found: dict[str, Timeline] = {}
    for name, label, start, stop, _ in ctm_rows(path):
        found.setdefault(name, []).append(Item("event", label, start, stop))
    return found


def _tsv(path):
    found: dict[str, Timeline] = {}
    with naming(path, "the events of a run"):
        for row in csv.DictReader(read_text(path).splitlines(), delimiter="\t"):
            times = _times(row["onset"], row["offset"])
            event = Item("event", row["event_label"], *times)
            found.setdefault(row["filename"], []).append(event)
    return found


def _jsonl(path):
    found: dict[str, Timeline] = {}
    with naming(path, "the timelines of a run"):
        for line in read_text(path).splitlines():
            values = json.loads(line)
            item = from_json(values)
            times = _times(item.start, item.stop)
            item = Item(item.type, str(item.label), *times, str(item.speaker))
            if item.type not in TYPES:
                raise ValueError(f"type {item.type!r}")
            found.setdefault(str(values["recording"]), []).append(item)
    return found


def _times(start, stop):
    times = float(start), float(stop)
    if not 0 <= times[0] <= times[1] < math.inf:
        raise ValueError(f"{start} to {stop} s is not a part of a recording")
    return times


def _wav(name):
    name = " ".join(name.split())
    return name if is_audio(name) else f"{name}.wav"


#: Ending of the files of a kind, what reads them, and the id of a recording in them.
FILES: dict[str, tuple[str, Callable[[Path], dict], Callable[[str], str]]] = {
    "speakers": ("rttm", _rttm, field),
    "events": ("tsv", _tsv, _wav),
    "frames": ("ctm", _ctm, str),
    "scenes": ("jsonl", _jsonl, str),
}
