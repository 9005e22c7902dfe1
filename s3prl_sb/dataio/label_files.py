"""Files with labels in time, of any tool: one reader for all formats.

==================  ================================================================
``.rttm``           RTTM, see :mod:`s3prl_sb.dataio.rttm`
``.ctm``            CTM, see :mod:`s3prl_sb.dataio.ctm`
``.TextGrid``       Praat's text files, see :mod:`s3prl_sb.dataio.textgrid`
``.txt``            Audacity's labels: start, stop and label between tabs
``.phn``, ``.wrd``  TIMIT's: first sample, last sample, label
``.csv``, ``.tsv``  a row a segment: columns of the recording (``record_id``,
                    ``recording``, ``filename``, ``wav`` or ``id``), of the label
                    (``label``, ``event_label``, ``phone``, ``word`` or ``speaker``) and
                    of times, see :mod:`s3prl_sb.dataio.segment_times`
``.json``           such rows, ``{"row": {…}}``; or a record a recording,
                    ``{"id": {"segments": [[label, start, stop], …]}}``
==================  ================================================================

A file of another suffix is read by its content if it is RTTM or a TextGrid.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.ctm import ctm_rows
from s3prl_sb.dataio.rows import csv_cells, suffix
from s3prl_sb.dataio.rttm import rttm_rows
from s3prl_sb.dataio.segment_times import read_time, time_columns
from s3prl_sb.dataio.textgrid import textgrid_rows
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal.messages import excerpt

OVERLAP = 1e-3  # seconds by which segments may overlap: times are often rounded
TIMIT_RATE = 16000  # Hz, of the sample numbers in TIMIT's files
IN_SAMPLES = (".phn", ".wrd")  # suffixes of TIMIT's files
RECORDINGS = ("record_id", "recording", "utterance", "filename", "wav", "id")
LABELS = ("label", "event_label", "phone", "word", "speaker")
LISTS = ("segments", "phones", "words")  # keys of records of recordings

#: (recording, label, start, stop, "file:line")
Row = tuple[str, str, float, float, str]
Segments = dict[str, list[tuple[str, float, float]]]


def read(
    path: str | os.PathLike,
    tier: str | None = None,
    rate: int = TIMIT_RATE,
    kind: str | None = None,
) -> Segments:
    """Reads the labels of recordings, from a file or from all files of a folder.

    Arguments
    ---------
    path : str
        A file, see the top of this module; or a folder, searched with its subfolders.
    tier : str, optional
        Tier of TextGrid files, or key of the segments in a JSON file. Default: the only
        tier; the first of "segments", "phones" and "words".
    rate : int
        Hz of the sample numbers in .phn and .wrd files, and of the columns of tables
        that are in samples.
    kind : str, optional
        Suffix of the files in a folder, such as ".phn". Default: the only one, where
        .txt counts if there is no other.

    Returns
    -------
    dict
        ``{recording: [(label, start, stop), …]}``, seconds, sorted by start. Where a
        file has one recording, its id is the name of the file without suffix, in a
        folder the path from there. A recording without labels has an empty list.
        Segments without duration are left out.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "SA1.PHN")
    ...     _ = path.write_text("0 1600 h#\\n1600 3200 ix\\n")
    ...     read(path), list(read(folder))
    ({'SA1': [('h#', 0.0, 0.1), ('ix', 0.1, 0.2)]}, ['SA1'])
    """
    path, recordings = Path(path), {}
    files = _files(path, kind) if path.is_dir() else [path]
    for file in files:
        name = file.relative_to(path) if path.is_dir() else Path(path.name)
        stem = name.with_suffix("").as_posix()
        for recording, label, start, stop, _ in rows(file, stem, tier, rate):
            segments = recordings.setdefault(recording, [])
            if start < stop:
                segments.append((label, start, stop))
    for segments in recordings.values():
        segments.sort(key=lambda segment: (segment[1], segment[2], segment[0]))
    return recordings


def rows(
    path: str | os.PathLike,
    name: str | None = None,
    tier: str | None = None,
    rate: int = TIMIT_RATE,
) -> Iterator[Row]:
    """Yields the segments of a file in its order, with the places of their lines.

    Arguments
    ---------
    path : str
        A file, see the top of this module.
    name : str, optional
        Id of the recording of a file that has one. Default: its name without suffix.
    tier, rate
        See :func:`read`.

    Yields
    ------
    recording, label : str
        The label is "" in a row that only names a recording; such a row has no
        duration.
    start, stop : float
        Seconds.
    place : str
        "file:line".

    Raises
    ------
    ManifestError
        With the file, the line and the fix.
    """
    path = Path(path)
    name = path.stem if name is None else name
    for recording, label, start, stop, place in _rows(path, name, tier, rate):
        if not 0 <= start <= stop < float("inf"):
            raise ManifestError(
                f"{place}: a segment of {excerpt(label)} from {start} to {stop} s. "
                "Times are 0 <= start <= stop."
            )
        if start < stop and not (label and recording):
            lacks = "label" if recording else "recording"
            raise ManifestError(
                f"{place}: a segment from {start} to {stop} s without a {lacks}. Fill "
                "it in, or remove the segment."
            )
        yield recording, label, start, stop, place


def _files(folder: Path, kind: str | None) -> list[Path]:
    """Returns the files of one kind in a folder."""
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in READERS and file.is_file():
            found.setdefault(file.suffix.lower(), []).append(file)
    if kind is not None:
        return found.get(kind.lower(), [])
    kinds = [each for each in found if each != ".txt"] or list(found)
    if len(kinds) > 1:
        raise ManifestError(
            f"'{folder}' has files of several kinds: {', '.join(sorted(kinds))}. "
            "Choose one, kind=…, or move the others."
        )
    return found[kinds[0]] if kinds else []


def _rows(path: Path, name: str, tier: str | None, rate: int) -> Iterable[Row]:
    """Returns the rows of a file; ``name`` is the recording of a file that has one."""
    ending = path.suffix.lower()
    if ending not in READERS:
        start = manifest.read_text(path)[:4096].lstrip()
        if "ooTextFile" in start[:40]:
            ending = ".textgrid"
        elif start.startswith(("SPEAKER ", ";;")):
            ending = ".rttm"
        else:
            raise ManifestError(
                f"{path}: what kind of labels? Give it the suffix of its format: "
                f"{', '.join(READERS)}."
            )
    return READERS[ending](path, name, tier, rate)


# ------------------------------------------------------------------------- formats
def _rttm(path, name, tier, rate) -> Iterator[Row]:
    for recording, label, start, stop, line in rttm_rows(path):
        yield recording, label, start, stop, f"{path}:{line}"


def _ctm(path, name, tier, rate) -> Iterator[Row]:
    for recording, label, start, stop, line in ctm_rows(path):
        yield recording, label, start, stop, f"{path}:{line}"


def _textgrid(path, name, tier, rate) -> Iterator[Row]:
    yield _silent(name, path)
    for label, start, stop, line in textgrid_rows(path, tier):
        yield name, label, start, stop, f"{path}:{line}"


def _silent(name, place) -> Row:
    """Returns a row without duration, for a recording that may have no other."""
    return name, "", 0.0, 0.0, f"{place}"


def _timit(path, name, tier, rate) -> Iterator[Row]:
    yield _silent(name, path)
    for place, line in manifest.lines(path):
        try:
            first, last, label = line.split()
            start, stop = int(first) / rate, int(last) / rate
        except (ValueError, OverflowError):
            raise ManifestError(
                f"{place}: {excerpt(line)} in the place of: first sample, last sample, "
                "label. Correct the line."
            ) from None
        yield name, label, start, stop, place


def _audacity(path, name, tier, rate) -> Iterator[Row]:
    yield _silent(name, path)
    for place, line in manifest.lines(path):
        if line.startswith("\\"):  # frequencies of the label before
            continue
        cells = line.split("\t")
        try:
            start, stop = float(cells[0]), float(cells[1])
            label, *others = (cell.strip() for cell in cells[2:])
            if any(others):
                raise ValueError(others)
        except (IndexError, ValueError):
            raise ManifestError(
                f"{place}: {excerpt(line)} is no label of Audacity: start, stop and "
                "label between tabs, times in seconds. Export the labels again."
            ) from None
        if label:
            yield name, label, start, stop, place


def _table(path, name, tier, rate) -> Iterator[Row]:
    if suffix(path) == ".json":
        seen: dict[str, int] = {}
        for key, line, record in manifest.json_rows(path):
            if key in seen:
                raise ManifestError(
                    f"{path}:{line}: '{key}' again, first in line {seen[key]}. Keep "
                    "one of them."
                )
            seen[key] = line
            if not isinstance(record, Mapping):
                record = {"segments": record}
            if not set(RECORDINGS[:3]) & set(record):  # a record a recording
                yield from _of_record(key, record, tier, f"{path}:{line}")
                continue
            yield from _of_row(record, list(record), rate, f"{path}:{line}")
        return
    cells = csv_cells(path, needed=())
    for line, record in cells:
        yield from _of_row(record, list(record), rate, f"{path}:{line}")


def _of_record(name, record, tier, place) -> Iterator[Row]:
    """Yields the segments of a record, [label, start, stop] or [start, stop, label]."""
    keys = (tier, "segments") if tier else LISTS
    key = next((key for key in keys if key in record), None)
    if key is None:
        raise ManifestError(
            f"{place}: '{name}' has no {tier or 'segments'}; found "
            f"{', '.join(map(str, record)) or 'nothing'}. Give it a list of [label, "
            "start, stop]."
        )
    yield _silent(name, place)
    listed = record[key] if isinstance(record[key], list) else [record[key]]
    for segment in listed:
        try:
            first, second, third = segment
            is_first = isinstance(first, str) and not isinstance(third, str)
            label, start, stop = segment if is_first else (third, first, second)
            label = "" if label is None else str(label)
            yield name, label, float(start), float(stop), place
        except (TypeError, ValueError, OverflowError):
            raise ManifestError(
                f"{place}: '{name}' has other segments than [label, start, stop] or "
                f"[start, stop, label], in seconds: {excerpt(segment)}."
            ) from None


def _of_row(record, names, rate, place) -> Iterator[Row]:
    """Yields the segment of a row, if it has times."""
    header = f"{place.rpartition(':')[0]}:1"
    times = time_columns(names, header)
    recording = next((key for key in RECORDINGS if key in record), None)
    label = next((key for key in LABELS if key in record), None)
    last = times.get("stop") or times.get("duration")
    if None in (recording, label, last) or "start" not in times:
        raise ManifestError(
            f"{header}: needed are columns of the recording ({', '.join(RECORDINGS)}), "
            f"the label ({', '.join(LABELS)}), start, and stop or duration; found "
            f"{', '.join(map(str, names))}. Rename them."
        )
    start, stop = (
        read_time(record[column.name], column, place)
        for column in (times["start"], last)
    )
    if start is None and stop is None and not record[label]:
        yield _silent(str(record[recording]), place)
        return
    if start is None or stop is None:
        raise ManifestError(f"{place}: a segment without times. Fill them in.")
    scale = [rate if c.unit == "samples" else 1 for c in (times["start"], last)]
    start, stop = start / scale[0], stop / scale[1]
    stop = round(start + stop, 6) if "stop" not in times else stop
    yield str(record[recording]), str(record[label]), start, stop, place


Reader = Callable[[Any, str, str | None, int], Iterable[Row]]
READERS: dict[str, Reader] = {
    ".rttm": _rttm,
    ".ctm": _ctm,
    ".textgrid": _textgrid,
    ".txt": _audacity,
    ".phn": _timit,
    ".wrd": _timit,
    ".csv": _table,
    ".tsv": _table,
    ".json": _table,
}
