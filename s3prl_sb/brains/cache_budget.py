"""Room on the disk that ``cache: auto`` may take: GB, or a share of what is free.

With ``cache_budget: auto`` all caches of a folder together may take half of the room
that they have: what they take already, and what is free beside them. Features that
exist are always used, so a run that resumes decides as before.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import logging
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import torch

from s3prl_sb.dataio.description import describe, frame_bytes
from s3prl_sb.dataio.extraction import place
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.terminal import quantities

logger = logging.getLogger(__name__)

AUTO = "auto"
SHARE = 0.5
DEFAULT = 50  # GB, of a Brain without the key
GB = 1e9


class Budget(NamedTuple):
    """Bytes that features may take.

    Arguments
    ---------
    bytes : float
        Largest size of the features of a set.
    reason : str
        Its origin, in words.
    """

    bytes: float
    reason: str


def budget(hparams, upstream, dataset, layers, dtype, folder):
    """Returns the room for the frames of a dataset, the same in every process.

    Arguments
    ---------
    hparams : object
        Settings, with ``cache_budget``: GB, or "auto".
    upstream, dataset, layers, dtype
        See :func:`~s3prl_sb.dataio.description.describe`. Each run of layers of one
        size is a cache.
    folder : str
        Folder of all caches.

    Returns
    -------
    Budget
    """
    value = getattr(hparams, "cache_budget", DEFAULT)
    if value != AUTO:
        return Budget(value * GB, "cache_budget")
    caches, mine, identity = _bytes(Path(folder)), 0, digest(first_identity(upstream))
    for _, some in itertools.groupby(layers, upstream.output_sizes.__getitem__):
        about = describe(upstream, dataset, "frames", list(some), dtype, identity)
        mine += _bytes(place(folder, about))
    free = shutil.disk_usage(_existing(folder)).free
    room = SHARE * (free + caches)
    left = min(max(room - caches, 0), free) + mine
    numbers = [left, room, free, caches]
    if torch.distributed.is_initialized():  # the disk changes while they look
        torch.distributed.broadcast_object_list(numbers, src=0)
    left, room, free, caches = numbers
    second = frame_bytes(upstream, layers, dtype) * upstream.sample_rate
    logger.info(
        "cache_budget: auto is %s: half of the %s that are free in %s%s. %s are left "
        "for this cache: %s of audio as %s frames of %s",
        _size(room),
        _size(free),
        folder,
        f" and of the {_size(caches)} that are in it" if caches else "",
        _size(left),
        quantities.audio(left / (second / upstream.stride)),
        dtype,
        type(upstream).__name__,
    )
    return Budget(left, "cache_budget: auto")


def _bytes(folder):
    """Returns the size of all files in a folder, at any depth."""
    total = 0
    for place_, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place_, name)).st_size
            except OSError:  # another process has moved it
                continue
    return total


def _existing(folder):
    """Returns the folder, or the first one above it that exists."""
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _size(number):
    return quantities.count(number, "B")
