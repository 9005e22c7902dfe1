"""Kaldi's data folders as tables.

=============  ====================================================================
``wav.scp``    ``<recording> <path of an audio file>``
``feats.scp``  ``<utterance> <path of an ark>:<offset>``
``segments``   ``<utterance> <recording> <start> <stop>``, in seconds; the stop -1 is
               the recording's end. Only for ``wav.scp``
``utt2spk``    ``<utterance> <speaker>``: column ``speaker``
``text``       ``<utterance> <transcription>``: column ``text``
``utt2…``      ``<utterance> <label>``: a column of that name, such as ``lang``
=============  ====================================================================

The table is the scp, wherever a CSV can be given: ``--train_csv data/train/wav.scp``.
The other files are found beside it. Lengths are those of audio and features, so
``utt2dur``, ``utt2num_frames`` and ``reco2dur`` are not read.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import os
import re
from pathlib import Path

from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import ark_names
from s3prl_sb.storage import arks

ENDING = ".scp"
#: Stops of a segment that mean the end of the recording.
ENDS = re.compile(r"-1(\.0*)?")
#: Files of lengths, which are known better from audio and features.
LENGTHS = ("utt2dur", "utt2num_frames")


def is_folder(path: str | Path) -> bool:
    """Returns whether a path is a data folder of Kaldi."""
    return any((Path(path) / name).is_file() for name in ("wav.scp", "feats.scp"))


def rows(path: str | Path) -> list[tuple[str, int, dict[str, str]]]:
    """Returns the (utterance, line, row) of each utterance of a data folder.

    Arguments
    ---------
    path : str
        Its ``wav.scp`` or ``feats.scp``. Relative paths in it start at the folder; if
        nothing is there, at the folders around it.

    Returns
    -------
    list of (str, int, dict)
        Rows have ``wav``, ``start`` and ``stop`` if there are segments, and a column
        for each of the other files. Lines are those of ``segments`` or of the scp.

    Raises
    ------
    ManifestError
        With the file and the line; also for an utterance that a file lacks.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, line in {
    ...         "wav.scp": "r a.wav", "segments": "u r 0 0.5", "text": "u an egg"
    ...     }.items():
    ...         _ = Path(folder, name).write_text(line)
    ...     utterance, line, row = rows(folder + "/wav.scp")[0]
    >>> utterance, row["start"], row["stop"], row["text"]
    ('u', '0', '0.5', 'an egg')
    """
    folder = Path(path).absolute().parent
    recordings = audio(path)
    segments = folder / "segments"
    is_features = any(ark_names.is_entry(name) for name, _ in recordings.values())
    if segments.is_file() and not is_features:
        utterances = _segments(segments, recordings, path)
    else:
        utterances = {
            name: ({"wav": wav}, place) for name, (wav, place) in recordings.items()
        }
    for column, file in _columns(folder).items():
        labels = table(file, 2)
        for name, (row, place) in utterances.items():
            if name not in labels:
                raise ManifestError(f"{place}: {file} lacks the utterance '{name}'.")
            row[column] = labels[name][0]
    return [
        (name, int(place.rpartition(":")[2]), row)
        for name, (row, place) in utterances.items()
    ]


def audio(path: str | Path) -> dict[str, tuple[str, str]]:
    """Reads a list of audio files or of features.

    Arguments
    ---------
    path : str
        ``wav.scp`` or ``feats.scp``.

    Returns
    -------
    dict
        ``{name: (absolute path or entry of an ark, "file:line")}``.
    """
    folder, names = Path(path).absolute().parent, {}
    for key, (name, place) in table(path, 2).items():
        check_no_command(key, name, place)
        names[key] = arks.located(name, folder), place
    if not names:
        raise ManifestError(f"{path}: names nothing. Get a sound copy of it.")
    return names


def check_no_command(key: str, name: str, place: str) -> None:
    """Raises ManifestError for a file that a command would make.

    Arguments
    ---------
    key : str
        The utterance or recording.
    name : str
        Its file.
    place : str
        "file:line" of it.
    """
    if name.endswith("|"):
        raise ManifestError(
            f"{place}: '{key}' is the output of a command, {name!r}. Run it, and name "
            "the file that it makes."
        )


def _segments(path, recordings, scp):
    utterances = {}
    for name, (recording, start, stop, place) in table(path, 4).items():
        if recording not in recordings:
            raise ManifestError(f"{place}: {scp} lacks the recording '{recording}'.")
        stop = "" if ENDS.fullmatch(stop) else stop
        row = {"wav": recordings[recording][0], "start": start, "stop": stop}
        utterances[name] = row, place
    return utterances


def _columns(folder):
    """Returns the files with a value for each utterance, by column."""
    files = {}
    for path in sorted(folder.glob("utt2*")):
        if path.is_file() and path.name not in LENGTHS:
            column = path.name.removeprefix("utt2")
            files["speaker" if column == "spk" else column] = path
    if (folder / "text").is_file():
        files["text"] = folder / "text"
    return files


def table(path: str | Path, columns: int) -> dict[str, tuple[str, ...]]:
    """Reads a file of a data folder.

    Arguments
    ---------
    path : str
        The file.
    columns : int
        Number of fields of a line; the last one may have spaces.

    Returns
    -------
    dict
        ``{first field: (other fields..., "file:line")}``.
    """
    table_rows: dict[str, tuple[str, ...]] = {}
    for place, line in manifest.lines(path):
        key, *fields = line.strip().split(None, columns - 1)
        if len(fields) != columns - 1:
            raise ManifestError(
                f"{place}: {len(fields) + 1} fields in {line.strip()!r}, not {columns}"
            )
        if key in table_rows:
            first = table_rows[key][-1]
            raise ManifestError(f"{place}: '{key}' again, first in {first}")
        table_rows[key] = (*fields, place)
    return table_rows


def digest(path: str | Path) -> str:
    """Returns the SHA-256 of a list and of the files beside it that :func:`rows` reads,
    in hexadecimal."""
    folder = Path(path).absolute().parent
    files = [Path(path), folder / "segments", *_columns(folder).values()]
    hashes = [manifest.digest(file) for file in files if os.path.isfile(file)]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()
