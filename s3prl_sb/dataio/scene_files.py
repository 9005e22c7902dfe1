"""Files of scenes in the formats of other tools: SegLST, DESED's tsv, Audacity, RTTM.

==================  ================================================================
``.seglst.json``    SegLST of meeteval and CHiME: a list of ``{"session_id":
                    recording, "speaker", "start_time", "end_time", "words"}``
``.tsv``            DESED: columns ``filename``, ``onset``, ``offset``,
                    ``event_label`` between tabs; a label may have spaces
``.txt``            Audacity's label track: start, stop and label between tabs
``.rttm``           turns of speakers, see :mod:`s3prl_sb.dataio.rttm`
==================  ================================================================

Times are in seconds.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.rows import csv_cells
from s3prl_sb.dataio.rttm import write_rttm
from s3prl_sb.dataio.scenes import Segment, Word
from s3prl_sb.dataio.segment_times import Column, read_time
from s3prl_sb.errors import ManifestError
from s3prl_sb.storage.files import write_text
from s3prl_sb.terminal.messages import excerpt

HEADER = ("filename", "onset", "offset", "event_label")  # of DESED
#: Columns of DESED's tsv, which a file without rows names all the same.
EVENTS = {"filename", "event_label"}
SEGLST = ("session_id", "speaker", "start_time", "end_time", "words")


def write_seglst(
    recordings: Mapping[str, Iterable[Word]], path: str | os.PathLike
) -> None:
    """Writes ``{recording: [(speaker, start, stop, words), …]}`` as SegLST.

    Arguments
    ---------
    recordings : dict
        Words, or turns with all their words.
    path : str
        The JSON file.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_seglst({"a": [("ann", 0.5, 2.0, "GOOD DAY")]}, folder + "/a.json")
    ...     read_seglst(folder + "/a.json")
    {'a': [('ann', 0.5, 2.0, 'GOOD DAY')]}
    """
    rows = [
        dict(zip(SEGLST, (recording, speaker, round(a, 3), round(b, 3), words)))
        for recording, entries in recordings.items()
        for speaker, a, b, words in entries
    ]
    lines = ",\n".join(f" {json.dumps(row, ensure_ascii=False)}" for row in rows)
    write_text(path, f"[\n{lines}\n]\n" if rows else "[]\n")


def read_seglst(path: str | os.PathLike) -> dict[str, list[Word]]:
    """Reads SegLST as ``{recording: [(speaker, start, stop, words), …]}``.

    Arguments
    ---------
    path : str
        The JSON file.

    Returns
    -------
    dict
        Entries in the order of the file; one without words has "".

    Raises
    ------
    ManifestError
        With the file, the number of the entry and the fix.
    """
    try:
        rows = json.loads(manifest.read_text(path))
    except json.JSONDecodeError as fault:
        raise ManifestError(
            f"{path}:{fault.lineno}: not valid JSON: {fault.msg}. Export it again."
        ) from fault
    if not isinstance(rows, list):
        raise ManifestError(f"{path}: SegLST is a list of entries. Export it again.")
    recordings: dict[str, list[Word]] = {}
    for number, row in enumerate(rows, 1):
        place = f"{path}: entry {number}"
        if not isinstance(row, dict) or not set(SEGLST[:4]) <= row.keys():
            raise ManifestError(
                f"{place}: {excerpt(row)}. It needs {', '.join(SEGLST)}. Correct it."
            )
        start, stop = (_number(row[key], place) for key in SEGLST[2:4])
        if not 0 <= start <= stop:
            raise ManifestError(
                f"{place}: from {start} to {stop} s. Times are 0 <= start <= stop."
            )
        words = str(row.get("words") or "")
        entry = (str(row["speaker"]), start, stop, words)
        recordings.setdefault(str(row["session_id"]), []).append(entry)
    return recordings


def _number(value: Any, place: str) -> float:
    """Returns a time as a number; SegLST may have it as text."""
    time = read_time(value, Column("a time", "seconds", "start"), place)
    if time is None:
        raise ManifestError(f"{place}: no start_time or end_time. Fill it in.")
    return time


def write_event_tsv(
    recordings: Mapping[str, Iterable[Sequence[Any]]], path: str | os.PathLike
) -> None:
    """Writes ``{filename: [(label, start, stop), …]}`` as DESED's tsv.

    Arguments
    ---------
    recordings : dict
        Events of each file; one without events gets a row with empty cells.
    path : str
        The file.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     events = {"a.wav": [("Running water", 0.5, 2.0)], "b.wav": []}
    ...     write_event_tsv(events, folder + "/a.tsv")
    ...     read_event_tsv(folder + "/a.tsv")
    {'a.wav': [('Running water', 0.5, 2.0)], 'b.wav': []}
    """
    lines = ["\t".join(HEADER)]
    for name, events in recordings.items():
        rows = [f"{name}\t{a:.3f}\t{b:.3f}\t{label}" for label, a, b in events]
        lines += rows or [f"{name}\t\t\t"]
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_event_tsv(path: str | os.PathLike) -> dict[str, list[Segment]]:
    """Reads DESED's tsv as ``{filename: [(label, start, stop), …]}``.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    dict
        Events in the order of the file.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.
    """
    recordings: dict[str, list[Segment]] = {}
    for line, row in csv_cells(path, needed=HEADER):
        place, name = f"{path}:{line}", row["filename"]
        events = recordings.setdefault(name, [])
        if not (row["onset"] or row["offset"] or row["event_label"]):
            continue
        start, stop = (_number(row[key], place) for key in ("onset", "offset"))
        if not 0 <= start <= stop or not row["event_label"]:
            raise ManifestError(
                f"{place}: {excerpt(row['event_label'])} from {start} to {stop} s. An "
                "event has a label, and 0 <= onset <= offset."
            )
        events.append((row["event_label"], start, stop))
    return recordings


def write_audacity(entries: Iterable[Sequence[Any]], path: str | os.PathLike) -> None:
    """Writes the (label, start, stop) of one recording as Audacity's labels.

    Arguments
    ---------
    entries : list
        Entries of the label track.
    path : str
        The file.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_audacity([("dog", 0.5, 2.0)], folder + "/a.txt")
    ...     label_files.read(folder + "/a.txt")
    {'a': [('dog', 0.5, 2.0)]}
    """
    lines = [f"{a:.6f}\t{b:.6f}\t{' '.join(name.split())}" for name, a, b in entries]
    write_text(path, "".join(f"{line}\n" for line in lines))


def write_truth(records: Records, stem: str) -> None:
    """Writes the annotation of scenes beside their manifest.

    Arguments
    ---------
    records : dict
        ``{id: record}``, see :mod:`s3prl_sb.dataio.scenes`. A kind that is null in a
        record is left out of that kind's file.
    stem : str
        Path of the files without suffix: ``.rttm``, ``.seglst.json`` and ``.tsv``. A
        space in a name is an underscore in RTTM, which has no spaces.
    """
    names = sorted(records)
    write_rttm(
        {
            name: [
                ("_".join(speaker.split()), start, stop)
                for speaker, start, stop in records[name]["segments"]
            ]
            for name in names
            if records[name]["segments"] is not None
        },
        f"{stem}.rttm",
    )
    words = {n: records[n]["words"] for n in names if records[n]["words"] is not None}
    write_seglst(words, f"{stem}.seglst.json")
    events = {
        os.path.basename(records[name]["wav"]): records[name]["events"]
        for name in names
        if records[name]["events"] is not None
    }
    write_event_tsv(events, f"{stem}.tsv")
