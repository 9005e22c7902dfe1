"""Names of rows, by which units and people find them: no two are alike.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy

from s3prl_sb.unlabelled.index import AudioIndex
from s3prl_sb.unlabelled.texts import Texts


def distinct(index: AudioIndex, beside: AudioIndex | None = None) -> AudioIndex:
    """Gives a number to each name that occurred before.

    Ids of two tables may be alike, and the paths of a shard and of a folder into which
    it was unpacked.

    Arguments
    ---------
    index : AudioIndex
        The list.
    beside : AudioIndex, optional
        Another list, whose names come before.

    Returns
    -------
    AudioIndex
        The list itself, if its names differ.

    Example
    -------
    >>> from s3prl_sb.unlabelled.index import Place
    >>> columns = {"paths": Texts.of(["a.wav"] * 2), "places": [0, 1]}
    >>> columns |= {"samples": [1, 1], "rates": [8000, 8000]}
    >>> index = distinct(AudioIndex(columns, [Place("/data", "data/")] * 2))
    >>> [index.name(row) for row in range(2)]
    ['data/a.wav', 'data/a.wav~2']
    """
    if beside is None and _is_folder(index):
        return index
    lists = [each for each in (beside, index) if each is not None]
    hashes = numpy.fromiter((hash(n) for n in _names(lists)), numpy.int64)
    if len(numpy.unique(hashes)) == len(hashes):  # without a million texts in memory
        return index
    taken, names = set(), []
    for name in _names(lists):
        new, number = name, 1
        while new in taken:
            number += 1
            new = f"{name}~{number}"
        taken.add(new)
        names.append(new)
    columns = {**index.columns, "names": Texts.of(names[len(names) - len(index) :])}
    return AudioIndex(columns, index.places, index.shares)


def _is_folder(index):
    """Returns whether the rows are files below one folder, with names in ASCII."""
    is_one = "names" not in index.columns and len(index.places) == 1
    return is_one and index.columns["paths"].blob.max(initial=0) < 128


def _names(lists):
    return (each.name(row) for each in lists for row in range(len(each)))
