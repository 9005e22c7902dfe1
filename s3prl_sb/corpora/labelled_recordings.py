"""Rows of user tables that name a file with the labels of a recording.

A table of segments may have a row a recording instead of a row a segment. Its column
``label_file`` is the path of a file of any format of
:mod:`s3prl_sb.dataio.label_files`, such as a TextGrid; a relative path starts at the
table's folder. Files that name their recordings (CTM, RTTM, a table) may have others
too: the segments are found by ``record_id``. The column ``tier`` chooses a tier of a
TextGrid.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from s3prl_sb.audio import headers
from s3prl_sb.dataio import label_files, manifest
from s3prl_sb.dataio.rows import rows
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal.messages import few

COLUMN, TIER = "label_file", "tier"
NEAR = 0.1  # seconds from the last label to the end of the audio


def segments_of(
    row: Mapping[str, str], name: str, wav: str, folder: str, place: str
) -> list[label_files.Row]:
    """Reads the segments of a recording from the file that its row names.

    Arguments
    ---------
    row : dict
        Row of the table.
    name : str
        Id of the recording.
    wav : str
        Its audio file, whose sample rate is that of labels in samples.
    folder : str
        Folder of the table.
    place : str
        "file:line" of the row.

    Returns
    -------
    list of (str, str, float, float, str)
        Recording, label, start and stop in seconds, "file:line"; empty for a recording
        without labels.

    Raises
    ------
    ManifestError
        With the file and the line, if the labels cannot be read or are of other
        recordings.
    """
    if not row[COLUMN]:
        return []
    path = os.path.join(folder, row[COLUMN])
    if not os.path.isfile(path):
        raise ManifestError(
            f"{place}: '{name}': no such file of labels: {path}. Correct {COLUMN}, or "
            "leave it empty for a recording without labels."
        )
    rate, samples, _ = headers.audio_info(wav)
    found: dict[str, list[label_files.Row]] = {}
    for segment in label_files.rows(path, name, row.get(TIER) or None, rate):
        found.setdefault(segment[0], []).append(segment)
    if name not in found and Path(wav).name in found:  # DESED's tables name files
        found[name] = [(name, *segment[1:]) for segment in found[Path(wav).name]]
    if found and name not in found:
        raise ManifestError(
            f"{place}: {path} has no labels of '{name}'; its recordings are "
            f"{few(found)}. Correct record_id or {COLUMN}."
        )
    segments = [segment for segment in found.get(name, []) if segment[2] < segment[3]]
    if Path(path).suffix.lower() in label_files.IN_SAMPLES and segments:
        _check_samples(segments[-1], wav, rate, samples)
    return segments


def _check_samples(last, wav, rate, samples):
    """Checks that labels in samples are not in those of TIMIT's audio, where the audio
    is a copy of it at another rate."""
    _, _, _, stop, place = last
    length, original = samples / rate, stop * rate / label_files.TIMIT_RATE
    if abs(stop - length) > NEAR >= abs(original - length):
        raise ManifestError(
            f"{place}: the labels end at sample {stop * rate:.0f}, which is the end of "
            f"{wav} at {label_files.TIMIT_RATE} Hz, but the file has {rate} Hz, and "
            "its labels are in its own samples. Give seconds instead (CTM), or the "
            "original audio."
        )


def digests(tables: Iterable[str]) -> dict[str, str]:
    """Returns the hashes of all files of labels that tables name.

    Arguments
    ---------
    tables : iterable of str
        Paths of the tables.

    Returns
    -------
    dict
        Paths to hashes; without those that do not exist.
    """
    found: dict[str, Any] = {}
    for table in tables:
        folder = os.path.dirname(os.path.abspath(table))
        for _, _, row in rows(table):
            path = row.get(COLUMN) if isinstance(row, dict) else None
            path = os.path.join(folder, str(path)) if path else ""
            if path and path not in found and os.path.isfile(path):
                found[path] = manifest.digest(path)
    return found
