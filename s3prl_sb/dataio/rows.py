"""Rows of table files: CSV, TSV, JSON, or the lists of Kaldi's data folders.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
import os
import re

from s3prl_sb.dataio import kaldi_folders, manifest
from s3prl_sb.dataio.segment_times import time_columns
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity.locations import default_id, no_file

DELIMITERS = {".csv": ",", ".tsv": "\t"}
DELIMITER_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
ALIASES = {  # S3PRL's and SpeechBrain's column names
    "ID": "id",
    "wav_path": "wav",
    "transcription": "text",
    "spk": "speaker",
}


def rows(path):
    """Returns the (id, line, record) of each record of a table, uninterpreted."""
    ending = suffix(path)
    if ending == kaldi_folders.ENDING:
        return kaldi_folders.rows(path)
    if ending != ".json":
        return csv_rows(path)
    entries = manifest.json_rows(path)
    return [(name, line, _unfolded(r, f"{path}:{line}")) for name, line, r in entries]


def _unfolded(row, place):
    """Unfolds SpeechBrain's {file, start, stop}, which is in samples."""
    wav = row.get("wav") if isinstance(row, dict) else None
    if not isinstance(wav, dict) or "file" not in wav:
        return row
    if {"start", "stop"} & row.keys():
        raise ManifestError(
            f"{place}: start and stop stand beside wav and in it. Keep one of them."
        )
    times = {f"{k}_sample": wav[k] for k in ("start", "stop") if k in wav}
    return {**row, "wav": wav["file"], **times}


def records(path):
    """Returns the rows of a table as dicts, with any columns."""
    ending = suffix(path)
    if ending == kaldi_folders.ENDING:
        return [{"id": name, **row} for name, _, row in kaldi_folders.rows(path)]
    if ending != ".json":
        return [record for _, record in csv_cells(path, needed=())]
    return [
        {"id": name, **(row if isinstance(row, dict) else {"": row})}
        for name, _, row in manifest.json_rows(path)
    ]


def in_folder(wav, folder):
    """Replaces the placeholder of the data folder in the path of a cell."""
    wav = wav.replace("{data_root}", folder)
    return re.sub(r"\$(data_root\b|\{data_root\})", lambda _: folder, wav)


def suffix(path):
    """Returns ``.csv``, ``.tsv``, ``.json`` or ``.scp``; any other one is an error."""
    if not os.path.isfile(path):
        raise ManifestError(no_file(str(path)))
    ending = os.path.splitext(path)[1].lower()
    if ending not in (*DELIMITERS, ".json", kaldi_folders.ENDING):
        raise ManifestError(f"{path}: not a .csv, .tsv or .json file. Save it as one.")
    return ending


def locate(path):
    """Returns ``{id: line}`` of a table or manifest; empty if it is unreadable."""
    try:
        return {name: line for name, line, _ in rows(path)}
    except ManifestError:
        return {}


def places(path):
    """Returns ``{id: "file:line"}`` of a table or manifest."""
    lines = locate(path)
    file = line_file(path) if lines else path
    return {name: f"{file}:{line}" for name, line in lines.items()}


def line_file(path):
    """Returns the file whose lines :func:`rows` counts: the table, or of a data folder
    of Kaldi perhaps its segments."""
    if suffix(path) == kaldi_folders.ENDING:
        return kaldi_folders.utterance_list(path)
    return path


def also(key, aliases=ALIASES):
    """Returns a column name with its aliases, for errors."""
    return " or ".join([key, *(name for name, to in aliases.items() if to == key)])


def check_id(name, place):
    """Raises an error at ``place`` if an id does not fit in a line of text."""
    if "\t" in name or name.splitlines() not in ([], [name]):
        raise ManifestError(
            f"{place}: tab or line break in the id {name!r}. Give the record an id "
            "that fits in a line."
        )


def csv_rows(path):
    """Returns the (id, line, record) of each row of a CSV or TSV, cells as text."""
    cells = csv_cells(path)
    named = time_columns(cells[0][1] if cells else (), f"{path}:1")
    keys = [named[key].name for key in ("start", "stop") if key in named]
    if "stop" not in named and "start" in named and "duration" in named:
        keys.append(named["duration"].name)
    return [
        (record.pop("id", None) or _id(record, keys), line, record)
        for line, record in cells
    ]


def _id(record, times):
    """Makes an id of the path and the segment."""
    segment = [record[key] for key in times if record.get(key)]
    return "_".join([default_id(record["wav"]), *segment])


def csv_cells(path, needed=("wav",), aliases=ALIASES):
    """Returns the (line, {column: cell}) of each non-blank row of a CSV or TSV.

    Arguments
    ---------
    path : str
        File in UTF-8; its extension determines the delimiter, comma or tab.
    needed : tuple of str
        Required columns.
    aliases : dict
        Alternative column names to the standard ones.

    Returns
    -------
    list of (int, dict)
        Cells are text, stripped of white space.

    Raises
    ------
    ManifestError
        With the file, the line and the fix.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("wav_path, label\\na.wav, yes\\n,\\n")
    ...     file.flush()
    ...     csv_cells(file.name)
    [(2, {'wav': 'a.wav', 'label': 'yes'})]
    """
    delimiter = DELIMITERS.get(os.path.splitext(path)[1].lower(), ",")
    text = io.StringIO(manifest.read_text(path), newline="")
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
    names, rows_read, line = None, [], 1
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if names is None and any(cells):
                names = _columns(path, line, cells, delimiter, needed, aliases)
            elif any(cells):
                _check_row(f"{path}:{line}", cells, delimiter, len(names))
                # pandas writes its row numbers into a column without a name
                record = {name: cell for name, cell in zip(names, cells) if name}
                rows_read.append((line, record))
            line = reader.line_num + 1  # a quoted cell may span lines
    except csv.Error as fault:
        raise ManifestError(
            f"{path}:{line}: not valid CSV: {fault}. Check the quotes."
        ) from fault
    return rows_read


def _columns(path, line, cells, delimiter, needed, aliases):
    """Returns the standard column names."""
    names = [aliases.get(cell, cell) for cell in cells]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ManifestError(
            f"{path}:{line}: two columns for {', '.join(twice)}. Keep one of them."
        )
    missing = [key for key in needed if key not in names]
    if missing:
        way_out = "The first line must name the columns."
        for other in DELIMITER_NAMES:
            parts = [part.strip(' "') for part in delimiter.join(cells).split(other)]
            if other != delimiter and set(needed) <= {aliases.get(p, p) for p in parts}:
                way_out = (
                    f"The cells seem to be separated by {DELIMITER_NAMES[other]}; in "
                    f"a {os.path.splitext(path)[1]} file they are by "
                    f"{DELIMITER_NAMES[delimiter]}. Save it so."
                )
        wanted = ", ".join(also(key, aliases) for key in missing)
        raise ManifestError(
            f"{path}:{line}: no column {wanted}; found {', '.join(cells)}. {way_out}"
        )
    return names


def _check_row(place, cells, delimiter, columns):
    for cell in cells:
        _, *others = re.split(r"\r\n?|\n", cell)
        if delimiter == "\t":
            swallowed = others and "\t" in cell
        else:
            swallowed = columns > 1 and any(
                line.count(delimiter) == columns - 1 for line in others
            )
        if swallowed:
            raise ManifestError(
                f"{place}: a cell that goes on for {len(others) + 1} lines seems to "
                f"hold other rows: {cell[:40]!r}… A stray quote? Double the quotes in "
                "a text and put it between quotes; write a text of several lines in "
                "one."
            )
    if len(cells) != columns:
        raise ManifestError(
            f"{place}: {len(cells)} cells, but the header has {columns}. Quote a cell "
            "that holds the delimiter."
        )
