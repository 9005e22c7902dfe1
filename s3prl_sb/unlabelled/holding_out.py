"""Division of a list into a part to learn from and a part that is held out.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import hashlib
import logging
import os

import numpy

from s3prl_sb.unlabelled.index import AudioIndex
from s3prl_sb.unlabelled.remote import is_url

logger = logging.getLogger(__name__)

#: Smallest number of groups that are divided; otherwise their parts are.
ENOUGH_GROUPS = 10


def held_out(index: AudioIndex, share: float) -> numpy.ndarray:
    """Chooses the rows that are held out.

    Whole groups of each folder of the data are held out. The groups are the first
    level of folders below it with ten or more, which are the speakers in most corpora;
    otherwise single files, so that no segments of one file are on both sides. The
    choice depends on the names of the groups alone, so that neither a seed nor a new
    file in another group changes it much.

    Arguments
    ---------
    index : AudioIndex
        The list.
    share : float
        Share of the audio to hold out, above 0 and below 1.

    Returns
    -------
    numpy.ndarray
        [rows], bool. At least one row is true and one is false, if there are two
        files.
    """
    seconds = index.columns["samples"] / index.columns["rates"]
    chosen = numpy.zeros(len(index), bool)
    wanted = held = 0.0
    for place in numpy.unique(index.columns["places"]):
        rows = numpy.flatnonzero(index.columns["places"] == place)
        wanted += share * seconds[rows].sum()
        members, audio, order = _groups(index, rows, seconds)
        for group in order[: len(order) - 1]:
            if held + audio[group] / 2 > wanted:
                break
            held += audio[group]
            chosen[rows[members == group]] = True
    if not chosen.any():  # each folder has one group, or the share is small
        rows = numpy.arange(len(index))
        members, audio, order = _files(index, rows, seconds)
        chosen[members == order[0]] = len(order) > 1
    logger.info(
        "Held out: %d rows, %.2g %% of the audio",
        chosen.sum(),
        100 * seconds[chosen].sum() / seconds.sum(),
    )
    return chosen


def apart(index: AudioIndex, other: AudioIndex) -> numpy.ndarray:
    """Chooses the rows of a list that share no audio with another list.

    Files are compared by their paths, members of shards by their names, and segments
    by their limits.

    Arguments
    ---------
    index : AudioIndex
        The list to choose from.
    other : AudioIndex
        The other list.

    Returns
    -------
    numpy.ndarray
        [rows], bool.
    """
    spans: dict[str, list] = {}
    for key, start, stop in _spans(other):
        spans.setdefault(key, []).append((start, stop))
    chosen = numpy.ones(len(index), bool)
    for row, (key, start, stop) in enumerate(_spans(index)):
        others = spans.get(key, ())
        if any(start < last and first < stop for first, last in others):
            chosen[row] = False
    return chosen


def _spans(index):
    """Yields (file, first sample, end) of each row, with links to folders resolved."""
    columns = index.columns
    starts = columns.get("starts")
    real = functools.lru_cache(1 << 12)(os.path.realpath)
    for row, number in enumerate(columns["places"]):
        place, path = index.places[number], columns["paths"][row]
        if not (os.path.isabs(path) or is_url(path)):
            path = f"{place.path}/{path}"
        if not is_url(path) and not place.is_shard:
            folder, name = os.path.split(path)
            path = f"{real(folder)}/{name}"
        start = int(starts[row]) if starts is not None else 0
        yield path, start, start + int(columns["samples"][row])


def _groups(index, rows, seconds):
    """Groups some rows; see :func:`_ordered`."""
    folders, member = _numbered(os.path.dirname(index.path(row)) for row in rows)
    deepest = max(folder.count("/") for folder in folders) + 1
    for depth in range(1, deepest + 1):
        names, numbers = _numbered("/".join(f.split("/")[:depth]) for f in folders)
        if len(names) >= ENOUGH_GROUPS:
            return _ordered(names, numbers[member], seconds[rows])
    return _files(index, rows, seconds)


def _files(index, rows, seconds):
    """Makes a group of each file; see :func:`_ordered`."""
    names, members = _numbered(index.path(row) for row in rows)
    return _ordered(names, members, seconds[rows])


def _ordered(names, members, seconds):
    """Returns the group of each row, the audio of each group, and their order."""
    order = sorted(range(len(names)), key=lambda number: _hash(names[number]))
    return members, numpy.bincount(members, seconds), order


def _numbered(texts):
    """Returns the distinct texts, and the number of each text."""
    numbers = {}
    members = [numbers.setdefault(text, len(numbers)) for text in texts]
    return list(numbers), numpy.array(members)


def _hash(name):
    return hashlib.blake2b(os.fsencode(name)).digest()
