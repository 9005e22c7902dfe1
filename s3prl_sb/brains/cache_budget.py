"""Room on the disk that ``cache: auto`` may take: GB, or a share of what is free.

With ``cache_budget: auto`` all caches of a folder together may take half of the room
that they have: what they take already, and what is free beside them. Features of a
dataset that exist do not count against it, so a run that resumes decides as before.

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

from s3prl_sb.dataio import extraction
from s3prl_sb.dataio.description import describe, frame_bytes, frames
from s3prl_sb.dataio.shard_plan import key_of
from s3prl_sb.identity import digest
from s3prl_sb.identity.data import audio_hashes
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.terminal import quantities

logger = logging.getLogger(__name__)

AUTO = "auto"
SHARE = 0.5
DEFAULT = 50  # GB, of a Brain without the key
GB = 1e9


class Disk:
    """Disk of the caches of a folder.

    Arguments
    ---------
    folder : str
        Folder of all caches; it may not exist yet.
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def free(self):
        """Returns the free bytes."""
        return shutil.disk_usage(_existing(self.folder)).free

    def caches(self):
        """Returns the bytes of all caches."""
        return _bytes(self.folder)


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


def budget(hparams, upstream, datasets, layers, dtype, disk, opened=None):
    """Returns the room for the frames of datasets, the same in every process.

    Arguments
    ---------
    hparams : object
        Settings, with ``cache_budget``: GB, or "auto".
    upstream, layers, dtype
        See :func:`~s3prl_sb.dataio.description.describe`. Each run of layers of one
        size is a cache.
    datasets : list of s3prl_sb.dataio.dataset.ManifestDataset
        The data whose features take the room together.
    disk : Disk
        Disk of all caches.
    opened : dict, optional
        See :func:`~s3prl_sb.dataio.extraction.extract`.

    Returns
    -------
    Budget
    """
    value = getattr(hparams, "cache_budget", DEFAULT)
    if value != AUTO:
        return Budget(value * GB, "cache_budget")
    opened = {} if opened is None else opened
    caches, free = disk.caches(), disk.free()
    mine = sum(
        _present(upstream, dataset, list(some), dtype, disk.folder, opened)
        for dataset in datasets
        for _, some in itertools.groupby(layers, upstream.output_sizes.__getitem__)
    )
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
        disk.folder,
        f" and of the {_size(caches)} that are in it" if caches else "",
        _size(left),
        quantities.audio(left / (second / upstream.stride)),
        dtype,
        type(upstream).__name__,
    )
    return Budget(left, "cache_budget: auto")


def _present(upstream, dataset, layers, dtype, folder, opened):
    """Returns the bytes of a dataset's frames that are in the caches of a folder."""
    identity = digest(first_identity(upstream))
    about = describe(upstream, dataset, "frames", layers, dtype, identity)
    path = extraction.place(folder, about)
    if not path.exists():
        return 0
    cache = extraction.open_cache(path, about, opened)
    # One key at a time: those of a million utterances would fill 200 MB.
    hashes, count = audio_hashes(dataset, again=False), 0
    for index, utterance in enumerate(dataset.data_ids):
        record = dataset.data[utterance]
        for draw, seconds in enumerate(dataset.form_seconds(index)):
            if key_of(utterance, record, draw, hashes) in cache:
                count += frames(upstream, "frames", seconds)
    return count * frame_bytes(upstream, layers, dtype)


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
