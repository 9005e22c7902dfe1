"""Manifests and tables as sources of audio: one row for each segment.

Labels are ignored. A table of a million rows is read once: afterwards the list of the
run is opened instead.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from typing import NamedTuple

import numpy

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.rows import ALIASES, check_id, csv_cells, in_folder, rows, suffix
from s3prl_sb.dataio.segment_times import (
    Column,
    check_alike,
    read_time,
    settle,
    time_columns,
)
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity.locations import default_id, locate
from s3prl_sb.unlabelled import remote, walking
from s3prl_sb.unlabelled.headers import scan
from s3prl_sb.unlabelled.index import AudioIndex, Place
from s3prl_sb.unlabelled.texts import Texts

NAMES = {**ALIASES, "path": "wav", "audio": "wav", "file": "wav", "file_name": "wav"}


class _Row(NamedTuple):
    name: str
    place: str  # "file:line", for errors
    wav: str
    cells: dict  # times


def read_table(path: str, prefix: str = "") -> tuple[AudioIndex, list]:
    """Reads a table and the headers of its files.

    Arguments
    ---------
    path : str
        CSV, TSV or JSON in UTF-8.
    prefix : str
        Beginning of the names of the rows, before their ids.

    Returns
    -------
    index : AudioIndex
        The readable rows, in the order of the table.
    faults : list of (str, str)
        Names of the others, and why.

    Raises
    ------
    ManifestError
        For a fault in the table, with the line.

    Example
    -------
    >>> import tempfile, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(16000), 16000)
    ...     _ = Path(folder, "my.csv").write_text("path,start\\na.wav,0.25\\n")
    ...     index, faults = read_table(folder + "/my.csv")
    ...     index.location(0).start, index.location(0).samples, faults
    (4000, 12000, [])
    """
    folder = os.path.dirname(os.path.abspath(path))
    table, times = _rows(path, folder)
    wavs = sorted({row.wav for row in table}, key=os.fsencode)
    listing, states = walking.Listing(), {}
    for wav in wavs:
        file = locate(wav).path  # the tar of a member
        if file not in states:
            path = file if remote.is_url(file) else os.path.join(folder, file)
            states[file] = walking.state(path)
        listing.add(wav, *states[file])
    headers = scan(folder, listing, ["table", walking.identity(path)])
    numbers = {wav: number for number, wav in enumerate(wavs)}
    chosen, faults = [], []
    for row in table:
        number = numbers[row.wav]
        samples, rate = int(headers.samples[number]), int(headers.rates[number])
        if not samples:
            faults.append((prefix + row.name, headers.reasons[number]))
            continue
        start, length = _segment(row, times, samples, rate)
        chosen.append((prefix + row.name, row.wav, start, length, rate))
    names, paths, starts, lengths, rates = zip(*chosen) if chosen else [()] * 5
    columns = {
        "names": Texts.of(names),
        "paths": Texts.of(paths),
        "starts": starts,
        "samples": lengths,
        "rates": rates,
        "places": numpy.zeros(len(chosen)),
    }
    return AudioIndex(columns, [Place(folder, prefix)]), faults


def _rows(path, folder):
    """Returns the rows of a table, and its columns of times."""
    if suffix(path) == ".json":
        entries = rows(path)
    else:
        entries = [
            (cells.pop("id", None), line, cells)
            for line, cells in csv_cells(path, aliases=NAMES)
        ]
    if not entries:
        raise ManifestError(f"{path}: has no rows. Add one or more.")
    for name, line, cells in entries:
        if not isinstance(cells, dict):
            raise ManifestError(f"{path}:{line}: '{name}': {cells!r} is not an object")
    keys = {key: None for _, _, cells in entries for key in cells}
    times = time_columns(keys, f"{path}:1")
    check_alike([cells for *_, cells in entries], times, set(NAMES), f"{path}:1")
    table = []
    for name, line, cells in entries:
        place = f"{path}:{line}"
        wav = next((cells[k] for k in ("wav", *NAMES) if k in cells and _is_wav(k)), "")
        if not isinstance(wav, str) or not wav:
            raise ManifestError(
                f"{place}: missing key wav (found {', '.join(cells)}). Give the path "
                "of an audio file."
            )
        spans = {key: cells.get(column.name) for key, column in times.items()}
        if name is None:
            given = [
                str(spans[k]) for k in ("start", "stop", "duration") if spans.get(k)
            ]
            name = "_".join([default_id(wav), *given])
        check_id(name, place)
        table.append(_Row(name, place, _path(wav, folder), spans))
    entries = [(row.name, row.place.rpartition(":")[2], row) for row in table]
    manifest.unique(entries, path)
    return table, times


def _is_wav(key):
    return NAMES.get(key, key) == "wav"


def _path(wav, folder):
    if remote.is_url(wav):
        return wav
    path = os.path.normpath(os.path.join(folder, in_folder(wav, folder)))
    return path.removeprefix(f"{folder}/")


def _segment(row, times: dict[str, Column], samples, rate):
    """Returns the first sample and the number of samples of a row."""
    record = {"wav": row.wav, "start": None, "stop": None, "duration": None}
    for key, column in times.items():
        value = read_time(row.cells[key], column, row.place)
        if value is not None and column.unit == "samples":
            value = round(value / rate, 9)
        record[key] = value
    if record["start"] is record["stop"] is record["duration"] is None:
        return 0, samples
    place = f"{row.place}: '{row.name}'"
    settle(record, samples / rate, place)
    start, stop = record["start"], record["stop"]
    if start is stop is None:
        return 0, samples
    if start is None or start < 0 or stop is None or stop <= start:
        raise ManifestError(f"{place}: {start} to {stop} s is no segment.")
    first, last = round(start * rate), min(round(stop * rate), samples)
    return first, max(last - first, 1)
