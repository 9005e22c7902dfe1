"""Annotation of scenes in files of other tools: SegLST, DESED's tsv, RTTM.

==================  ================================================================
``.seglst.json``    SegLST of meeteval and CHiME: a list of ``{"session_id":
                    recording, "speaker", "start_time", "end_time", "words"}``
``.tsv``            DESED: columns ``filename``, ``onset``, ``offset``,
                    ``event_label`` between tabs; a label may have spaces
``.rttm``           turns of speakers, see :mod:`s3prl_sb.dataio.rttm`
==================  ================================================================

Times are in seconds. :mod:`s3prl_sb.dataio.timeline` writes these formats.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import os
from typing import Any

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.dataio.rows import csv_cells
from s3prl_sb.dataio.scenes import Segment, Word
from s3prl_sb.dataio.segment_times import Column, read_time
from s3prl_sb.dataio.timeline import FORMATS, annotated_types, items_of
from s3prl_sb.errors import ManifestError
from s3prl_sb.storage.files import write_text
from s3prl_sb.terminal.messages import excerpt

HEADER = ("filename", "onset", "offset", "event_label")  # of DESED
SEGLST = ("session_id", "speaker", "start_time", "end_time", "words")


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

    Example
    -------
    >>> import tempfile
    >>> entry = dict(zip(SEGLST, ("a", "ann", 0.5, 2.0, "GOOD DAY")))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(folder + "/a.seglst.json", json.dumps([entry]))
    ...     read_seglst(folder + "/a.seglst.json")
    {'a': [('ann', 0.5, 2.0, 'GOOD DAY')]}
    """
    text = manifest.read_text(path)
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as fault:
        raise ManifestError(
            f"{path}:{fault.lineno}: not valid JSON: {fault.msg}. Export it again."
        ) from fault
    except (ValueError, RecursionError) as fault:  # of depth, or of digits
        raise ManifestError(
            f"{path}: not valid JSON: {fault}. Export it again."
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
        texts = [row[key] for key in SEGLST[:2]] + [row.get("words") or ""]
        if not all(isinstance(text, (str, int)) for text in texts):
            raise ManifestError(
                f"{place}: {excerpt(row)}: session_id, speaker and words are texts. "
                "Correct it."
            )
        name, speaker, words = map(str, texts)
        recordings.setdefault(name, []).append((speaker, start, stop, words))
    return recordings


def _number(value: Any, place: str) -> float:
    """Returns a time as a number; SegLST may have it as text."""
    time = read_time(value, Column("a time", "seconds", "start"), place)
    if time is None:
        raise ManifestError(f"{place}: no start_time or end_time. Fill it in.")
    return time


def read_event_tsv(path: str | os.PathLike) -> dict[str, list[Segment]]:
    """Reads DESED's tsv as ``{filename: [(label, start, stop), …]}``.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    dict
        Events in the order of the file; an empty list for a file whose row has no
        event.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = ("a.wav", "0.5", "2.0", "Running water"), ("b.wav", "", "", "")
    ...     lines = map("\\t".join, (HEADER, *rows))
    ...     write_text(folder + "/a.tsv", "\\n".join(lines))
    ...     read_event_tsv(folder + "/a.tsv")
    {'a.wav': [('Running water', 0.5, 2.0)], 'b.wav': []}
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


def write_truth(records: Records, stem: str) -> None:
    """Writes the annotation of scenes beside their manifest.

    Arguments
    ---------
    records : dict
        ``{id: record}``, see :mod:`s3prl_sb.dataio.scenes`. A record of which a kind is
        null is not in that kind's file.
    stem : str
        Path of the files without suffix: ``.rttm``, ``.seglst.json`` and ``.tsv``.
    """
    for kind, form, suffix in (
        ("speaker", "rttm", ".rttm"),
        ("word", "seglst", ".seglst.json"),
        ("event", "tsv", ".tsv"),
    ):
        timelines = {
            os.path.basename(record["wav"]) if kind == "event" else name: items_of(
                record
            )
            for name, record in sorted(records.items())
            if kind in annotated_types(record)
        }
        write_text(f"{stem}{suffix}", FORMATS[form](timelines))
