"""Files of a feature cache: safetensors that describe themselves.

The header of a shard holds the description of its features (upstream, kind, sizes),
the utterances, and a checksum of each; it has a checksum itself.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

#: Key of a shard's header: the checksum of the other keys.
HEADER = "header"
#: Shards that a cache maps into memory at once, in each process. Linux allows about
#: 65,000 maps of all kinds.
MAPS = 4096

Stored = dict[str, torch.Tensor]  # tensors of an utterance, each [frames, …]


class Entry(NamedTuple):
    """Utterance of a shard.

    Arguments
    ---------
    key, id : str
        Key and id of the utterance.
    first, frames : int
        Its first frame in the shard, and the number of its frames.
    checksum : int
        Checksum of its frames, see :func:`checksum`.
    """

    key: str
    id: str
    first: int
    frames: int
    checksum: int


def read(path: Path) -> tuple[str, list[Entry]]:
    """Reads the header of a shard.

    Arguments
    ---------
    path : pathlib.Path
        The shard.

    Returns
    -------
    description : str
        JSON text that describes the features.
    entries : list of Entry
        The utterances.

    Raises
    ------
    ValueError, KeyError, TypeError, OSError, safetensors.SafetensorError
        For a broken file.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as shard:
        metadata = shard.metadata() or {}
        shape = shard.get_slice("features").get_shape() if metadata else [0]
    if metadata.get(HEADER) != header_checksum(metadata):
        raise ValueError("its header is damaged, or of an older version")
    keys, ids, frames, checksums = (
        json.loads(metadata[name]) for name in ("keys", "ids", "frames", "checksums")
    )
    entries, first = [], 0
    for key, name, count, number in zip(keys, ids, frames, checksums):
        entries.append(Entry(str(key), str(name), first, count, number))
        first += count
    if first > shape[0]:
        raise ValueError(f"its header names {first} frames of {shape[0]}")
    return metadata["description"], entries


def write(
    path: Path, description: str, names: Sequence[tuple[str, str]], each: list[Stored]
) -> None:
    """Writes a shard.

    Arguments
    ---------
    path : pathlib.Path
        File to write.
    description : str
        JSON text that describes the features.
    names : list of (str, str)
        Key and id of each utterance.
    each : list of dict
        Tensors of each utterance, [frames, …].

    Raises
    ------
    OSError, safetensors.SafetensorError
        If the disk is full.
    """
    from safetensors.torch import save_file

    keys, ids = zip(*names)
    metadata = {
        "description": description,
        "keys": json.dumps(keys),
        "ids": json.dumps(ids),
        "frames": json.dumps([len(stored["features"]) for stored in each]),
        "checksums": json.dumps([checksum(stored) for stored in each]),
    }
    metadata[HEADER] = header_checksum(metadata)
    tensors = {name: torch.cat([s[name] for s in each]) for name in each[0]}
    save_file(tensors, path, metadata)


def header_checksum(metadata: dict[str, str]) -> str:
    """Returns the checksum of a shard's metadata."""
    said = {key: value for key, value in metadata.items() if key != HEADER}
    return str(zlib.crc32(json.dumps(said, sort_keys=True).encode()))


def checksum(stored: Stored) -> int:
    """Returns the checksum of an utterance's tensors."""
    number = 0
    for name in sorted(stored):
        bytes_ = stored[name].contiguous().view(torch.uint8).numpy().data
        number = zlib.crc32(bytes_, number)
    return number


class MappedShards:
    """Shards that are mapped into memory: those that were used last.

    Features that are in use keep their map.

    Arguments
    ---------
    most : int, optional
        Number of shards; default: :data:`MAPS`.
    """

    def __init__(self, most: int | None = None):
        self.most = MAPS if most is None else most
        self._tensors: OrderedDict[Path, Stored] = OrderedDict()

    def __contains__(self, path: Path) -> bool:
        return path in self._tensors

    def __getitem__(self, path: Path) -> Stored:
        """Returns the tensors of a shard.

        Arguments
        ---------
        path : pathlib.Path
            The shard.

        Returns
        -------
        dict
            Names to tensors [frames, …], mapped from the disk.

        Raises
        ------
        OSError, safetensors.SafetensorError
            If the file is broken, or does not exist.
        """
        from safetensors import safe_open

        tensors = self._tensors.pop(path, None)
        if tensors is None:
            with safe_open(path, framework="pt") as shard:
                tensors = {name: shard.get_tensor(name) for name in shard.keys()}
            while len(self._tensors) >= self.most:
                self._tensors.popitem(last=False)
        self._tensors[path] = tensors
        return tensors

    def drop(self, path: Path) -> None:
        """Ends the map of a shard."""
        self._tensors.pop(path, None)
