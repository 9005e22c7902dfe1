"""Division of a list into a part to learn from and a part that is held out.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import logging
import os

import numpy

from s3prl_sb.unlabelled.index import AudioIndex

logger = logging.getLogger(__name__)

#: Smallest number of groups that are divided; otherwise their parts are.
ENOUGH_GROUPS = 10


def held_out(index: AudioIndex, share: float) -> numpy.ndarray:
    """Chooses the rows that are held out.

    Whole groups are held out where the paths have groups: those of the first level of
    folders with ten groups or more, which are the speakers in most corpora. The choice
    depends on the names of the groups alone, so that neither a seed nor a new file in
    another group changes it much.

    Arguments
    ---------
    index : AudioIndex
        The list.
    share : float
        Share of the audio to hold out, above 0 and below 1.

    Returns
    -------
    numpy.ndarray
        [rows], bool. At least one row is true and one is false, if there are two.
    """
    groups, kind = _groups(index)
    names = list(dict.fromkeys(groups))
    numbers = {name: number for number, name in enumerate(names)}
    member = numpy.array([numbers[name] for name in groups])
    audio = numpy.bincount(member, index.columns["samples"] / index.columns["rates"])
    order = sorted(range(len(names)), key=lambda number: _hash(names[number]))
    wanted, held, chosen = share * audio.sum(), 0.0, []
    for number in order[: len(names) - 1]:
        if chosen and held + audio[number] / 2 > wanted:
            break
        chosen.append(number)
        held += audio[number]
    logger.info(
        "Held out: %d of %d %s, %.2g %% of the audio",
        len(chosen),
        len(names),
        kind,
        100 * held / audio.sum(),
    )
    return numpy.isin(member, chosen)


def _groups(index):
    """Returns the group of each row, and what the groups are."""
    names = [index.name(row) for row in range(len(index))]
    folders = [os.path.dirname(name).split("/") for name in names]
    deepest = max(map(len, folders))
    for depth in range(1, deepest + 1):
        groups = ["/".join(parts[:depth]) for parts in folders]
        if len(set(groups)) >= ENOUGH_GROUPS:
            return groups, "folders"
    return names, "rows"


def _hash(name):
    return hashlib.blake2b(name.encode()).digest()
