"""Further audio of records: keys besides ``wav`` that name audio files.

An utterance may have more than one recording: the clean sources of a mixture, the
utterance of a target speaker. The value of such a key is a name of audio, see
:mod:`s3prl_sb.identity.locations`, a list of names, or None. A data pipe that reads
them says so by its attribute ``reads``.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: Keys of further audio in the manifests of all corpora.
KEYS = ("sources", "target", "enroll")


def names(record: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """Returns the names of further audio in a record.

    Arguments
    ---------
    record : dict
        Record of a manifest.
    keys : iterable of str
        Keys of the further audio, which the record may lack.

    Returns
    -------
    list of str

    Example
    -------
    >>> names({"wav": "a", "target": "b", "enroll": ["c", "d"]}, ("target", "enroll"))
    ['b', 'c', 'd']
    """
    result: list[str] = []
    for key in keys:
        value = record.get(key)
        result += [value] if isinstance(value, str) else value or ()
    return result


def replaced(
    record: Mapping[str, Any], keys: Iterable[str], rename: Callable[[str], Any]
) -> dict[str, Any]:
    """Returns a record with other names of its further audio.

    Arguments
    ---------
    record : dict
        Record of a manifest.
    keys : iterable of str
        Keys of the further audio, which the record may lack.
    rename : callable
        Function of a name.

    Returns
    -------
    dict
        A new record; None and missing keys stay.

    Example
    -------
    >>> record = {"target": None, "enroll": ["c", "d"]}
    >>> replaced(record, ("target", "enroll", "sources"), str.upper)
    {'target': None, 'enroll': ['C', 'D']}
    """
    result = dict(record)
    for key in keys:
        value = record.get(key)
        if isinstance(value, str):
            result[key] = rename(value)
        elif value is not None:
            result[key] = [rename(name) for name in value]
    return result


def keys_read(pipes: Iterable[Any]) -> tuple[str, ...]:
    """Returns the keys of further audio that pipes read.

    Arguments
    ---------
    pipes : iterable of callable
        Pipes of a dataset; a plain function reads none.

    Returns
    -------
    tuple of str
    """
    keys = (key for pipe in pipes for key in getattr(pipe, "reads", ()))
    return tuple(dict.fromkeys(keys))
