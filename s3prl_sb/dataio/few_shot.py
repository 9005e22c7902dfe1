"""Subsets of a training set: amounts of data.

Ids are ranked by a hash of the seed and the id, so subsets are nested: with the same
seed, a smaller one is part of every larger one of the same kind.

Authors
 * The s3prl_sb developers, 2026
"""

import bisect
import hashlib
import itertools
import math
from collections.abc import Callable
from typing import TypeAlias

from s3prl_sb.dataio.manifest import Records, is_number
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal import quantities

#: Ids of each class.
Classes: TypeAlias = dict[str, list[str]]

ROUNDING = 1e-9  # relative error of a sum of durations


def subset(
    records: Records,
    fraction: float | None = None,
    per_class: int | None = None,
    hours: float | None = None,
    seed: int = 0,
    key: str | None = "label",
) -> Records:
    """Draws a few-shot subset that has every class; it is the same at every call.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    fraction : float, optional
        Share of each class, in (0, 1]; at least one record of each class.
    per_class : int, optional
        Records of each class.
    hours : float, optional
        Hours of audio by the ``duration`` of the records: one record of each class,
        then a second one of each, and so on until the hours are reached. Give one of
        ``fraction``, ``per_class`` and ``hours``. None of them: all records.
    seed : int
        Seed of the choice.
    key : str, optional
        Label that holds the class; None for records without classes.

    Returns
    -------
    dict
        Part of ``records``, in the same order.

    Raises
    ------
    ManifestError
        For an invalid amount, one that is larger than the records, hours that are
        too few for every class, and records without class or duration.

    Example
    -------
    >>> records = {f"{n}": {"label": "ab"[n % 2], "duration": 9} for n in range(20)}
    >>> few = subset(records, per_class=2)
    >>> len(few), set(few) < set(subset(records, fraction=0.5))
    (4, True)
    >>> len(subset(records, hours=0.01))
    4
    """
    amounts = [value for value in (fraction, per_class, hours) if value is not None]
    if not amounts:
        return dict(records)
    if len(amounts) > 1:
        raise ManifestError("give a fraction, a number per class or hours, only one")
    classes = _ranked(records, seed, key)
    chosen: set[str] = set()
    if fraction is not None:
        chosen = _share(classes, fraction)
    if per_class is not None:
        chosen = _first(classes, per_class, key)
    if hours is not None:
        chosen = _lasting(records, classes, hours, seed)
    return {name: record for name, record in records.items() if name in chosen}


def described(part: Records, whole: Records) -> str:
    """Describes a subset by its utterances, and by its audio if durations are known.

    Arguments
    ---------
    part : dict
        Subset from :func:`subset`.
    whole : dict
        Records that it was drawn from.

    Returns
    -------
    str

    Example
    -------
    >>> whole = {"a": {"duration": 7200}, "b": {"duration": 5}, "c": {"duration": 1}}
    >>> described({"a": whole["a"]}, whole)
    '1 of 3 utterances, 2.0 h of 2.0 h'
    """
    text = f"{len(part)} of {len(whole)} utterances"
    if not all(is_number(record.get("duration")) for record in whole.values()):
        return text
    kept, total = (
        quantities.audio(math.fsum(record["duration"] for record in records.values()))
        for records in (part, whole)
    )
    return f"{text}, {kept} of {total}"


def _ranked(records: Records, seed: int, key: str | None) -> Classes:
    """Returns the ids of each class in the order in which they are drawn."""
    classes: Classes = {}
    for name, record in records.items():
        if key is not None and key not in record:
            raise ManifestError(f"'{name}' has no '{key}' to draw a subset by")
        classes.setdefault("" if key is None else str(record[key]), []).append(name)
    for names in classes.values():
        names.sort(key=lambda name: _rank(seed, name))
    return classes


def _rank(seed: int, name: str) -> bytes:
    return hashlib.sha1(f"{seed}|{name}".encode()).digest()


def _share(classes: Classes, fraction: float) -> set[str]:
    """Returns the ids of a share of each class."""
    if not (is_number(fraction) and 0 < fraction <= 1):
        raise ManifestError(f"train_fraction {fraction!r} is outside (0, 1]")
    chosen: set[str] = set()
    for names in classes.values():
        chosen.update(names[: max(1, int(fraction * len(names) + 0.5))])
    return chosen


def _first(classes: Classes, count: int, key: str | None) -> set[str]:
    """Returns the ids of the first records of each class."""
    if not isinstance(count, int) or count < 1:
        raise ManifestError(f"train_per_class {count!r} is not a positive whole number")
    small = {
        c: len(names) for c, names in sorted(classes.items()) if len(names) < count
    }
    if small:
        most = min(small.values())
        if key is None:
            raise ManifestError(f"train_per_class {count}: there are only {most}")
        counts = [f"class '{label}' has only {size}" for label, size in small.items()]
        way_out = f"Ask for at most {most} per class, not {count}."
        raise ManifestError.listing(counts, way_out)
    return {name for names in classes.values() for name in names[:count]}


def _lasting(records: Records, classes: Classes, hours: float, seed: int) -> set[str]:
    """Returns the ids of the first records that last some hours, class by class."""
    if not is_number(hours) or hours <= 0:
        raise ManifestError(f"train_hours {hours!r} is not a positive number")
    for name, record in records.items():
        if not is_number(record.get("duration")):
            raise ManifestError(f"train_hours: '{name}' has no duration")
    turns = {
        name: turn for names in classes.values() for turn, name in enumerate(names)
    }
    order = sorted(turns, key=lambda name: (turns[name], _rank(seed, name)))
    ends = list(
        itertools.accumulate(records[name]["duration"] / 3600 for name in order)
    )
    least, most = ends[len(classes) - 1], ends[-1]
    if hours > most * (1 + ROUNDING):
        raise ManifestError(
            f"train_hours {hours}: the training set lasts {_digits(most, math.floor)} "
            "hours. Ask for at most that."
        )
    if len(classes) > 1 and hours < least * (1 - ROUNDING):
        raise ManifestError(
            f"train_hours {hours}: one utterance of each of the {len(classes)} classes "
            f"takes {_digits(least, math.ceil)} hours. Ask for at least that."
        )
    return set(order[: bisect.bisect_left(ends, hours) + 1])


def _digits(number: float, rounded: Callable[[float], int]) -> str:
    """Formats four digits of a positive number, rounded down or up."""
    places = 3 - math.floor(math.log10(number))
    return f"{rounded(number * 10**places) / 10**places:.{max(places, 0)}f}"
