"""Columns of users' tables that name further audio: clean speech, sources, targets.

See :mod:`s3prl_sb.identity.further_audio`. The cells are names of audio like ``wav``: a
relative path starts at the folder of the table, ``{data_root}`` is a placeholder, URLs
and members of tars are allowed.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from s3prl_sb.audio.headers import durations
from s3prl_sb.dataio.rows import in_folder
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import further_audio, locations, presence

#: Columns of tables, and keys of manifests, that may name further audio, and those of
#: them that hold several names.
COLUMNS = re.compile(rf"(clean|source_\d+|{'|'.join(further_audio.KEYS)})\Z", re.ASCII)
LISTS = ("sources", "enroll")
#: Text between the names in one cell of a CSV.
BETWEEN = "|"
#: Seconds by which the audio of an utterance may differ in length: formats with loss.
TOLERANCE = 0.05


def resolve(
    records: Mapping[str, dict[str, Any]],
    columns: Mapping[str, bool],
    folder: str,
    places: Mapping[str, str],
) -> None:
    """Makes the names in columns of further audio absolute, in place, and checks that
    the files exist.

    Arguments
    ---------
    records : dict
        ``{id: record}``, as :func:`s3prl_sb.dataio.tables.load_table` returns it.
    columns : dict
        Keys to whether they hold several names: a list in JSON, in a CSV names
        with ``|`` between them. An empty value becomes None, or an empty list.
    folder : str
        Absolute path, where relative paths start.
    places : dict
        ``{id: "file:line"}``, for errors; it may be empty.

    Raises
    ------
    ManifestError
        For values that are not names, and for missing files.

    Example
    -------
    >>> import tempfile
    >>> from pathlib import Path
    >>> records = {"a": {"wav": "/a.wav", "clean": "b.wav", "enroll": ""}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "b.wav").touch()
    ...     resolve(records, {"clean": False, "enroll": True}, folder, {})
    >>> records["a"]["clean"].endswith("/b.wav"), records["a"]["enroll"]
    (True, [])
    """
    faults = []
    for name, record in records.items():
        for key, several in columns.items():
            if key not in record:
                continue
            value = _parsed(record[key], several)
            if isinstance(value, Exception):
                faults.append(f"{_spot(name, places)}: {key} {value}")
                continue
            record[key] = value
        named = _sound(record, columns)
        record.update(
            further_audio.replaced(record, named, lambda n: _absolute(n, folder))
        )
    if faults:
        raise ManifestError.listing(faults, "Give paths of audio.", len(records))
    _check_presence(records, columns, places)


def _absolute(name, folder):
    return locations.in_folder(in_folder(name, folder), folder)


def _spot(name, places):
    return f"{places[name]}: '{name}'" if name in places else f"'{name}'"


def _parsed(value, several):
    """Returns the value of a cell, or an exception that says what is wrong."""
    if value is None or value == "" or value == []:
        return [] if several else None
    if not several:
        is_name = isinstance(value, str)
        return value if is_name else ValueError(f"is {value!r}, not the name of a file")
    if isinstance(value, str):
        value = [name.strip() for name in value.split(BETWEEN)]
    if not isinstance(value, list) or not all(isinstance(n, str) and n for n in value):
        return ValueError(f"is {value!r}, not a list of names of files")
    return value


def _sound(record, columns):
    """Returns the keys whose values are names."""
    return [
        key
        for key in columns
        if isinstance(value := record.get(key), str)
        or (isinstance(value, list) and all(isinstance(n, str) for n in value))
    ]


def _check_presence(records, columns, places):
    missing = presence.faults(
        dict.fromkeys(
            name
            for record in records.values()
            for name in further_audio.names(record, columns)
        )
    )
    if not missing:
        return
    faults = [
        f"{_spot(name, places)}: {missing[audio]}"
        for name, record in records.items()
        for audio in further_audio.names(record, columns)
        if audio in missing
    ]
    way_out = "Correct the paths, or leave these rows out."
    raise ManifestError.listing(faults, way_out, len(records))


def complete(records: Mapping[str, dict[str, Any]], folder: str) -> None:
    """Makes the names of further audio in a table or manifest absolute, in place.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    folder : str
        Absolute path, where relative paths start. A column whose audio is not there is
        left as it is: a label may have such a name too.
    """
    for key in _columns(records.values()):
        parsed = {
            name: {key: _parsed(record[key], key in LISTS)}
            for name, record in records.items()
            if key in record
        }
        if any(isinstance(value[key], Exception) for value in parsed.values()):
            continue
        named = {
            name: further_audio.replaced(value, [key], lambda n: _absolute(n, folder))
            for name, value in parsed.items()
        }
        names = [
            n for value in named.values() for n in further_audio.names(value, [key])
        ]
        if len(presence.faults(dict.fromkeys(names))) < len({*names}):
            for name, value in named.items():
                records[name].update(value)


def keys_in(splits: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[str, ...]:
    """Returns the keys of further audio in manifests.

    Arguments
    ---------
    splits : dict
        ``{split: {id: record}}``, with absolute names.

    Returns
    -------
    tuple of str
        Keys that match :data:`COLUMNS`, and whose values are audio: a label may have
        such a name too.

    Raises
    ------
    ManifestError
        If a part of the audio is missing.
    """
    records = [record for split in splits.values() for record in split.values()]
    keys = []
    for key in _columns(records):
        values = (record.get(key) for record in records)
        named = [v if isinstance(v, list) else [v] for v in values if v is not None]
        names = dict.fromkeys(str(name) for value in named for name in value)
        missing = presence.faults(names)
        if len(missing) < len(names):
            if missing:
                way_out = "Correct the paths, or leave these rows out."
                faults = [f"{key}: {fault}" for fault in missing.values()]
                raise ManifestError.listing(faults, way_out, len(names))
            keys.append(key)
    return tuple(keys)


def _columns(records):
    """Returns the keys of records that may name further audio."""
    return sorted({key for record in records for key in record if COLUMNS.match(key)})


def check_lengths(
    records: Mapping[str, Mapping[str, Any]],
    keys: Iterable[str],
    places: Mapping[str, str],
    tolerance: float = TOLERANCE,
) -> None:
    """Checks that further audio is as long as the file ``wav``.

    Arguments
    ---------
    records : dict
        ``{id: record}`` with absolute names.
    keys : iterable of str
        Keys of the audio that belongs to each sample of ``wav``.
    places : dict
        ``{id: "file:line"}``, for errors; it may be empty.
    tolerance : float
        Seconds.

    Raises
    ------
    ManifestError
        For a file of another length.
    """
    keys, paths = list(keys), {}
    for name, record in records.items():
        for path in (record["wav"], *further_audio.names(record, keys)):
            paths.setdefault(path, places.get(name, f"'{name}'"))
    lengths = dict(zip(paths, durations(list(paths), list(paths.values()))))
    faults = [
        f"{_spot(name, places)}: {other} has {lengths[other]:.3f} s, "
        f"{record['wav']} has {lengths[record['wav']]:.3f} s"
        for name, record in records.items()
        for other in further_audio.names(record, keys)
        if abs(lengths[other] - lengths[record["wav"]]) > tolerance
    ]
    if faults:
        way_out = (
            "They must be the same recording, sample by sample: correct the pairs, or "
            "leave them out."
        )
        raise ManifestError.listing(faults, way_out, len(records))
