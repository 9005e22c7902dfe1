"""Kaldi's data folders as tables.

=============  ====================================================================
``wav.scp``    ``<recording> <path of an audio file>``
``feats.scp``  ``<utterance> <path of an ark>:<offset>``
``segments``   ``<utterance> <recording> <start> <stop>``, in seconds; the stop -1 is
               the recording's end, and so is one up to half a second after it, as for
               Kaldi's ``extract-segments``. Only for ``wav.scp``
``utt2spk``    ``<utterance> <speaker>``: column ``speaker``
``text``       ``<utterance> <transcription>``, which may be empty: column ``text``
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
from s3prl_sb.dataio.rttm import seconds
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import ark_names
from s3prl_sb.storage import ark_lists
from s3prl_sb.terminal.messages import excerpt

ENDING = ".scp"
#: Fields of a line of ``segments``.
SEGMENT = "utterance recording start stop"
#: Stops of a segment that mean the end of the recording.
ENDS = re.compile(r"-1(\.0*)?")
#: An entry of an ark with rows, and perhaps columns, of it.
RANGE = re.compile(r".+\.ark:\d+\[[\d:,]*\]")
#: Seconds after the end of the recording at which a segment may stop: Kaldi's default.
OVERSHOOT = 0.5
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
    if segments := _segments_file(path, recordings):
        utterances = _segments(segments, recordings, path)
    else:
        utterances = {
            name: ({"wav": wav}, place) for name, (wav, place) in recordings.items()
        }
    for column, file in _columns(folder).items():
        labels = table(file, f"utterance {column}", has_text=column == "text")
        for name, (row, place) in utterances.items():
            if name not in labels:
                raise ManifestError(
                    f"{place}: {file} lacks the utterance '{name}'. Add a line for it "
                    "there, or take it out here."
                )
            row[column] = labels[name][0]
    return [
        (name, int(place.rpartition(":")[2]), row)
        for name, (row, place) in utterances.items()
    ]


def utterance_list(path: str | Path) -> str:
    """Returns the file whose lines :func:`rows` counts: ``segments``, if there is one
    for this list, or the list.

    Arguments
    ---------
    path : str
        ``wav.scp`` or ``feats.scp``.

    Returns
    -------
    str
    """
    segments = _segments_file(path, audio(path))
    return str(segments or path)


def _segments_file(path, recordings):
    """Returns the path of the segments of a list of audio; None if it has none."""
    segments = Path(path).with_name("segments")
    is_features = any(ark_names.is_entry(name) for name, _ in recordings.values())
    return segments if segments.is_file() and not is_features else None


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
    for key, (name, place) in table(path, "name file", has_text=True).items():
        check_file(key, name, place)
        names[key] = ark_lists.located(name, folder), place
    if not names:
        raise ManifestError(f"{path}: names nothing. Get a sound copy of it.")
    return names


def check_file(key: str, name: str, place: str) -> None:
    """Raises ManifestError for what is neither a file nor an entry of an ark.

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
            f"{place}: '{key}' is the output of a command, {excerpt(name)}. Run it, "
            "and name the file that it makes."
        )
    if not name:
        raise ManifestError(f"{place}: '{key}' has no file. Name it after the key.")
    if RANGE.fullmatch(name):
        raise ManifestError(
            f"{place}: {excerpt(name)} is a part of an entry, and parts are not read. "
            "Write the features with copy-feats scp:feats.scp ark,scp:all.ark,all.scp."
        )


def _segments(path, recordings, scp):
    utterances = {}
    for name, (recording, start, stop, place) in table(path, SEGMENT).items():
        if recording not in recordings:
            raise ManifestError(
                f"{place}: {scp} lacks the recording '{recording}'. Add a line for it "
                "there, or take the segment out here."
            )
        stop = "" if ENDS.fullmatch(stop) else stop
        for text, limit in ((start, "start"), (stop or "0", "stop")):
            seconds(text, limit, place)  # in other tables, nan is an empty cell
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


def table(
    path: str | Path, fields: str, has_text: bool = False
) -> dict[str, tuple[str, ...]]:
    """Reads a file of a data folder.

    Arguments
    ---------
    path : str
        The file.
    fields : str
        Names of the fields of a line, separated by spaces.
    has_text : bool
        Whether the last one may have spaces, or be empty.

    Returns
    -------
    dict
        ``{first field: (other fields..., "file:line")}``.

    Raises
    ------
    ManifestError
        With the file and the line, for another number of fields or a repeated key.
    """
    table_rows: dict[str, tuple[str, ...]] = {}
    count = len(fields.split())
    for place, line in manifest.lines(path):
        words = line.strip().split(None, count - 1 if has_text else -1)
        if has_text and len(words) == count - 1:
            words.append("")
        if len(words) != count:
            raise ManifestError(
                f"{place}: {len(words)} fields in {excerpt(line.strip())}, not "
                f"{count}. A line is: {fields}, without spaces in them."
            )
        key, *others = words
        if key in table_rows:
            first = table_rows[key][-1]
            raise ManifestError(
                f"{place}: '{key}' again, first in {first}. Keep one of them."
            )
        table_rows[key] = (*others, place)
    return table_rows


def digest(path: str | Path) -> str:
    """Returns the SHA-256 of a list and of the files beside it that :func:`rows` reads,
    in hexadecimal."""
    folder = Path(path).absolute().parent
    files = [Path(path), folder / "segments", *_columns(folder).values()]
    hashes = [manifest.digest(file) for file in files if os.path.isfile(file)]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()
