"""Records that are given in Python, not read from a manifest or a table.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

from s3prl_sb.audio.headers import durations
from s3prl_sb.dataio.manifest import Records, is_number, validate
from s3prl_sb.errors import ManifestError

NAME = "the records"


def completed(records: Records) -> dict[str, dict[str, Any]]:
    """Adds the keys of a manifest that records lack, and checks the records.

    Arguments
    ---------
    records : dict
        ``{id: record}``. A record with ``wav`` may lack ``start``, ``stop`` and
        ``duration``: the whole file is meant, or what is left of it after ``start``,
        and durations are read from the headers. Records without audio may have any
        keys.

    Returns
    -------
    dict
        ``{id: record}``; the argument is not changed.

    Raises
    ------
    ManifestError
        For anything but records, for missing or broken audio files, and for records
        of different keys.

    Example
    -------
    >>> completed({"a": {"text": "hello"}})
    {'a': {'text': 'hello'}}
    >>> completed(["a.wav"])
    Traceback (most recent call last):
    ...
    s3prl_sb.errors.ManifestError: the records: list instead of {id: {"wav": …, …}, …}
    """
    is_table = isinstance(records, Mapping) and all(
        isinstance(record, Mapping) for record in records.values()
    )
    if not is_table:
        kind = type(records).__name__
        raise ManifestError(f'{NAME}: {kind} instead of {{id: {{"wav": …, …}}, …}}')
    whole = {name: dict(record) for name, record in records.items()}
    if not any("wav" in record for record in whole.values()):
        return whole
    for record in whole.values():
        record.update(start=record.get("start"), stop=record.get("stop"))
    _add_durations([record for record in whole.values() if "wav" in record])
    validate(whole, NAME, required=(), lines={})
    return whole


def _add_durations(records):
    """Adds missing durations, and the stop of segments that last to the end."""
    unknown = [r for r in records if not _is_segment(r) and not _is_whole(r)]
    paths = list(dict.fromkeys(record["wav"] for record in unknown))
    lengths = dict(zip(paths, durations(paths)))
    for record in unknown:
        if record["start"] is not None:
            record["stop"] = lengths[record["wav"]]
        record["duration"] = lengths[record["wav"]] - (record["start"] or 0.0)
    for record in filter(_is_segment, records):
        # A stop before the start is left to the check, which names both.
        record.setdefault("duration", abs(record["stop"] - record["start"]))


def _is_segment(record):
    return is_number(record["start"]) and is_number(record["stop"])


def _is_whole(record):
    return record["start"] is record["stop"] is None and "duration" in record
