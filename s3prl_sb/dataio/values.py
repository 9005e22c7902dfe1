"""Normalization and checks of the values in users' records.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import math
import os

from s3prl_sb.errors import ManifestError


def make_texts(records, keys, places):
    """Converts the values of some keys to text, in place.

    Then 1 in a JSON file is the same class as "1" in JSON or CSV.

    Arguments
    ---------
    records : dict
        ``{id: record}``. Numbers and booleans become text; empty values stay.
    keys : tuple of str
        Keys to convert.
    places : callable
        Returns ``{id: "file:line"}``; only called for an error.

    Raises
    ------
    ManifestError
        For lists, objects and non-finite numbers.

    Example
    -------
    >>> records = {"a": {"label": True}, "b": {"label": 1}, "c": {"label": 0.5}}
    >>> make_texts(records, ("label",), dict)
    >>> [record["label"] for record in records.values()]
    ['true', '1', '0.5']
    """
    faults = []
    for name, record in records.items():
        for key in keys:
            value = record.get(key)
            if isinstance(value, bool):
                record[key] = str(value).lower()
            elif isinstance(value, int):
                record[key] = str(value)
            elif isinstance(value, float) and math.isfinite(value):
                record[key] = repr(value)
            elif not isinstance(value, str) and value not in (None, []):
                faults.append((name, f"{key} {value!r} is neither text nor a number"))
    if faults:
        spots = places()
        texts = [f"{spots.get(n, '')}: '{n}': {fault}" for n, fault in faults]
        way_out = 'Write a text: "a b" in place of ["a", "b"].'
        raise ManifestError.listing(texts, way_out, len(records))


def check_values(name, record, place):
    """Raises an error at ``place`` for values that a manifest cannot represent.

    File names may have any bytes, in Python's surrogate escapes.
    """
    wav = record.get("wav")
    rest = {key: value for key, value in record.items() if key != "wav"}
    if _writable([name, rest]) and (_writable(wav) or _names_a_file(wav)):
        return
    wrong = [key for key, value in rest.items() if not _writable([key, value])]
    wrong = wrong or ["wav"] * (not _writable(wav))
    shown = f"{wrong[0]} {record[wrong[0]]!r}" if wrong else "id"
    raise ManifestError(
        f"{place}: {name!r}: {shown} is not finite, or not valid Unicode. Correct it, "
        "or write null."
    )


def _names_a_file(path):
    try:
        return isinstance(path, str) and bool(os.fsencode(path))
    except ValueError:
        return False


def _writable(value):
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return False
    return True
