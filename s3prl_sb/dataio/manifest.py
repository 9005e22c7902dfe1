"""The manifest: the common format of all corpora and of users' own data.

A manifest is SpeechBrain's JSON, ``{id: {wav, duration, start, stop, labels...}}``:

* ``wav``: path of the audio file, a URL, or the name ``a.tar:1536:32044`` of a member
  of a tar, see :mod:`s3prl_sb.identity.locations`; or the name ``feats.ark:1234`` of
  features, see :mod:`s3prl_sb.lobes.upstreams.features_from_ark`;
* ``duration``: length of the utterance (the segment, if only a segment is read), in
  seconds;
* ``start``, ``stop``: limits of the segment in seconds, both null for the whole file.
  They are always present, since a ``DynamicItemDataset`` needs equal keys everywhere;
* labels: any other keys, the same ones in every record.

Load it with ``DynamicItemDataset(manifest.read(path))``: SpeechBrain's ``from_json``
interprets a brace in a path or a label as a placeholder, and fails.
"""

import hashlib
import json
import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import presence
from s3prl_sb.identity.locations import no_file
from s3prl_sb.storage.files import decoded, read_json, write_json, write_text

logger = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
KEYS = ("wav", "duration", "start", "stop")
STAMP = "prepare.json"  # written last: it marks a finished preparation
TOLERANCE = 1e-3  # seconds: users' tables are often rounded to a millisecond
SAME = 10_000  # texts of which one copy is kept while a manifest is read
_ENDS = re.compile(r"\r\n|\r|\n")  # of lines
SHAPE = 'A manifest is one object: {"id": {"wav": "path", "label": "..."}, ...}'


class Record(TypedDict):
    """One utterance of a manifest: the keys that every record has."""

    wav: str
    duration: float
    start: float | None
    stop: float | None


class LabelRecord(Record):
    """An utterance with one label, of classification tasks."""

    label: str


class TextRecord(Record):
    """An utterance with a transcription."""

    text: str


#: ``{id: record}``, whatever labels the records have.
Records: TypeAlias = Mapping[str, Mapping[str, Any]]


def whole_file(wav: str, **labels: Any) -> dict[str, Any]:
    """Returns the record of a whole audio file, before its duration is known."""
    return {"wav": wav, "start": None, "stop": None, **labels}


def write(records: Records, path: str | PathLike) -> None:
    """Writes a manifest atomically. Equal content gives equal bytes.

    Arguments
    ---------
    records : dict
        ``{id: record}``; ``start`` and ``stop`` are added as null where absent.
    path : str
        The JSON file: sorted by id, one record a line (it greps and diffs well).

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = folder + "/train.json"
    ...     write({"a": {"wav": "a.wav", "duration": 1.5, "label": "yes"}}, path)
    ...     read(path)["a"]["stop"] is None
    True
    """
    lines = []
    for name in sorted(records):
        record = {"start": None, "stop": None, **records[name]}
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, sort_keys=True)
        line = f"{json.dumps(name, ensure_ascii=False)}: {text}"
        # File names need not be UTF-8: other bytes are written as \udc..
        lines.append(line.encode("utf-8", "backslashreplace").decode())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read(path: str | PathLike) -> dict[str, dict[str, Any]]:
    """Reads a manifest without checking its records, see :func:`validate`.

    Arguments
    ---------
    path : str
        The JSON file.

    Returns
    -------
    dict
        ``{id: record}``.

    Raises
    ------
    ManifestError
        For a missing file, invalid JSON or a repeated id, with the line.
    """
    records = _line_records(path)
    if records is None:
        rows = unique(json_rows(path), path)
        records = {name: record for name, _, record in rows}
    return records


def _line_records(path):
    """Returns the records of a file with one a line, as :func:`write` makes it; None
    for any other file, be it valid or not. It takes a third of the memory and time."""
    decode, records, more = json.JSONDecoder().raw_decode, {}, True
    same = {}  # equal texts, such as paths and labels: once in memory
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            if file.readline() != "{\n":
                return None
            for count, line in enumerate(file):
                if line == "}\n" and not more:
                    is_whole = len(records) == count and not next(file, "")
                    return records if is_whole else None
                name, end = decode(line)
                if not (more and isinstance(name, str) and line[end : end + 2] == ": "):
                    return None
                record, end = decode(line, end + 2)
                more = line[end:] == ",\n"
                if not (more or line[end:] == "\n") or not isinstance(record, dict):
                    return None
                if len(same) > SAME:
                    same.clear()
                keys = same.setdefault(tuple(record), tuple(record))
                values = [
                    same.setdefault(value, value) if isinstance(value, str) else value
                    for value in record.values()
                ]
                records[name] = dict(zip(keys, values))
    except (ValueError, RecursionError, OSError):
        pass
    return None


def json_rows(path: str | PathLike) -> list[tuple[str, int, Any]]:
    """Returns the (id, line, record) of each record of a JSON manifest, in order."""
    text = read_text(path)
    try:
        content = json.loads(text)
    except RecursionError as fault:
        raise ManifestError(f"{path}: nested too deeply. {SHAPE}") from fault
    except json.JSONDecodeError as fault:
        message = f"{path}:{fault.lineno}: column {fault.colno}: not valid JSON: "
        raise ManifestError(f"{message}{fault.msg}. {SHAPE}") from fault
    except ValueError as fault:  # a number of thousands of digits
        raise ManifestError(f"{path}: not valid JSON: {fault}. {SHAPE}") from fault
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ManifestError(f"{path}:1: {kind} instead of an object. {SHAPE}")
    # A second pass, because json reports neither lines nor repeated keys.
    decode, token = json.JSONDecoder().raw_decode, re.compile(r"[^\s,:]")
    starts = token.finditer  # of the next value after white space, commas and colons
    rows, line, seen = [], 1, 0
    at = next(starts(text, text.index("{") + 1)).start()
    while text[at] != "}":
        line, seen = line + text.count("\n", seen, at), at
        name, at = decode(text, at)
        record, at = decode(text, next(starts(text, at)).start())
        rows.append((name, line, record))
        at = next(starts(text, at)).start()
    return rows


def read_text(path: str | PathLike) -> str:
    """Returns the content of a text file, with or without BOM, plain or gzipped."""
    try:
        return decoded(Path(path).read_bytes())
    except FileNotFoundError as fault:
        raise ManifestError(no_file(str(path))) from fault
    except ValueError as fault:
        raise ManifestError(f"{path}: {fault}. Save the file as UTF-8.") from fault


def lines(path: str | PathLike) -> Iterator[tuple[str, str]]:
    """Yields the ("file:line", line) of each line of a text file that is not blank.

    Only CR and LF end a line, as in an editor: texts of many languages have the other
    characters that ``str.splitlines`` takes for ends, such as U+2028 and U+0085.
    """
    for number, line in enumerate(_ENDS.split(read_text(path)), 1):
        if line.strip():
            yield f"{path}:{number}", line


def unique(rows: list, path: str | PathLike) -> list:
    """Returns ``rows`` of (id, line, record); a repeated id is an error."""
    lines = {}
    for name, line, _ in rows:
        if name in lines:
            raise ManifestError(
                f"{path}:{line}: duplicated id '{name}', first in line {lines[name]}. "
                "Give every record its own id."
            )
        lines[name] = line
    return rows


def validate(
    records: Records,
    path: str | PathLike,
    required: Sequence[str] = ("label",),
    audio: bool = True,
    lines: Mapping[str, int] | None = None,
) -> Records:
    """Checks every record; an error says what is wrong, in which line, and the fix.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    path : str
        The file that they were read from.
    required : tuple of str
        Labels that every record needs.
    audio : bool
        Whether to check that the audio files exist.
    lines : dict, optional
        Line of each id. Default: looked up in ``path``, if it is JSON.

    Returns
    -------
    dict
        ``records``, unchanged.

    Example
    -------
    >>> record = {"wav": "a.wav", "duration": 2.0, "start": 1.5, "stop": 0.5}
    >>> validate({"a": record}, "train.json", required=())
    Traceback (most recent call last):
    ...
    s3prl_sb.dataio.manifest.ManifestError: train.json: 'a': stop 0.5 <= start 1.5
    Give both in seconds, 0 <= start < stop; or null for the whole file.
    """
    if not records:
        raise ManifestError(f"{path}: the manifest is empty. Add a record or more.")
    used = [key for r in records.values() if isinstance(r, dict) for key in r]
    keys = [key for key in dict.fromkeys([*KEYS, *required, *used]) if key != "id"]
    faults_of: dict[str, list[tuple[str, str]]] = {}  # way out -> (id, fault)
    sound = []
    for name, record in records.items():
        fault, way_out = _fault(record, keys, required)
        if fault:
            faults_of.setdefault(way_out, []).append((name, fault))
        else:
            sound.append(name)
    if audio:
        missing = presence.faults(records[name]["wav"] for name in sound)
        for name in sound if missing else ():
            if fault := missing.get(records[name]["wav"]):
                way_out = "Correct the paths, or leave these files out."
                faults_of.setdefault(way_out, []).append((name, fault))
    for way_out, faults in faults_of.items():  # the first kind of fault is enough
        lines = _lines(path) if lines is None else lines
        places = [f"{path}:{lines[n]}" if n in lines else path for n, _ in faults]
        texts = [f"{p}: '{n}': {fault}" for p, (n, fault) in zip(places, faults)]
        raise ManifestError.listing(texts, way_out, len(records))
    return records


def _lines(path):
    """Returns ``{id: line}`` of a JSON manifest; empty for other files."""
    try:
        return {name: line for name, line, _ in json_rows(path)}
    except ManifestError:
        return {}


def _fault(record, keys, required):
    """Returns what is wrong with a record, and the fix; (None, None) if it is valid."""
    if not isinstance(record, dict):
        return f"{record!r} is not an object", "A record is {wav, duration, labels...}"
    empty = [k for k in ("wav", *required) if record.get(k, 0) in (None, "", [])]
    if empty:
        return f"{', '.join(empty)} is empty", "Fill it in, or drop the record."
    missing = [key for key in keys if key not in record]
    if missing:
        way_out = "Every record needs the same keys: fill it in, or drop the record."
        return f"missing key {', '.join(missing)} (found {', '.join(record)})", way_out
    if "id" in record:
        return "key 'id' inside the record", "SpeechBrain reserves it: rename that key."
    duration, start, stop = (record[key] for key in KEYS[1:])
    if not is_number(duration) or duration <= 0:
        return f"duration {duration!r} is not positive", "Give seconds, or omit it."
    if start is None and stop is None:
        return None, None
    way_out = "Give both in seconds, 0 <= start < stop; or null for the whole file."
    if not is_number(start) or not is_number(stop) or start < 0:
        return f"start {start!r}, stop {stop!r} are not a segment", way_out
    if stop <= start:
        return f"stop {stop} <= start {start}", way_out
    if abs(stop - start - duration) > TOLERANCE:
        fault = f"segment {start} to {stop} has not the duration {duration}"
        return fault, "The duration is that of the segment, all in seconds."
    return None, None


def is_number(value: Any) -> bool:
    """Returns whether a value is a finite number; a boolean is none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def paths_in(
    save_folder: str | PathLike, splits: Iterable[str] = SPLITS
) -> dict[str, str]:
    """Returns ``{split: path}`` of the manifests of a preparation."""
    return {name: str(Path(save_folder) / f"{name}.json") for name in splits}


def digest(path: str | PathLike) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError as fault:
        raise ManifestError(no_file(str(path))) from fault


def finished(
    save_folder: str | PathLike, arguments: Mapping[str, Any]
) -> dict[str, str] | None:
    """Returns ``{split: path}`` if :func:`finish` has run with these arguments."""
    try:
        stamp = read_json(Path(save_folder) / STAMP, "a stamp", kind=dict)
        paths = paths_in(save_folder, stamp["sha256"])
        same = stamp["arguments"] == json.loads(json.dumps(arguments))
        same = same and stamp["sha256"] == {n: digest(p) for n, p in paths.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent or damaged: prepare again
    return paths if same else None


def finish(
    splits: Mapping[str, Records],
    save_folder: str | PathLike,
    arguments: Mapping[str, Any],
    required: Sequence[str] = ("label",),
) -> dict[str, str]:
    """Writes the manifest of every split, then the stamp of a finished preparation.

    Arguments
    ---------
    splits : dict
        ``{split: {id: record}}``.
    save_folder : str
        Folder of ``<split>.json``.
    arguments : dict
        JSON values that identify the corpus, the protocol and its version:
        :func:`finished` compares them to skip the preparation.
    required : tuple of str
        Labels that every record needs.

    Returns
    -------
    dict
        ``{split: path}``.
    """
    for name, records in splits.items():
        validate(records, f"split {name}", required, audio=False)
    paths = paths_in(save_folder, splits)
    stamp: dict[str, Any] = {"arguments": arguments, "records": {}, "sha256": {}}
    for name, path in paths.items():
        write(splits[name], path)
        stamp["sha256"][name] = digest(path)
        stamp["records"][name] = len(splits[name])
        logger.debug("%s: %d records", path, len(splits[name]))
    write_json(Path(save_folder) / STAMP, stamp)
    return paths
