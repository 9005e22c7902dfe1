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

COLUMNS = ("keys", "ids", "frames", "checksums")  # of a header, in JSON
Stored = dict[str, torch.Tensor]  # tensors of an utterance, each [frames, …]


class Header(NamedTuple):
    """Header of a shard.

    Arguments
    ---------
    description : str
        JSON text that describes the features.
    keys, ids : list of str
        Keys and ids of the utterances.
    frames : list of int
        Numbers of their frames, which follow each other in the shard.
    checksums : list of int
        Checksums of their frames, see :func:`checksum`.
    """

    description: str
    keys: list[str]
    ids: list[str]
    frames: list[int]
    checksums: list[int]


def read(path: Path) -> Header:
    """Reads the header of a shard.

    Arguments
    ---------
    path : pathlib.Path
        The shard.

    Returns
    -------
    Header

    Raises
    ------
    ValueError, KeyError, TypeError, OSError, safetensors.SafetensorError
        For a broken file.
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as shard:
        metadata = shard.metadata() or {}
        shapes = {name: shard.get_slice(name).get_shape() for name in shard.keys()}
    if metadata.get(HEADER) != header_checksum(metadata):
        raise ValueError("its header is damaged, or of an older version")
    columns = [json.loads(metadata[name]) for name in COLUMNS]
    if {*map(type, columns)} != {list} or len({*map(len, columns)}) != 1:
        raise ValueError("its header has unequal columns")
    keys, ids = (list(map(str, column)) for column in columns[:2])
    total = sum(columns[2])
    if "features" not in shapes or min(map(len, shapes.values())) < 2:
        raise ValueError(f"its tensors have the shapes {shapes}")
    held = min(shape[0] for shape in shapes.values())
    if total > held or min(columns[2], default=0) < 0:
        raise ValueError(f"its header names {total} frames of {held}")
    return Header(metadata["description"], keys, ids, *columns[2:])


def is_sound(path: Path, header: Header) -> bool:
    """Returns whether all features of a shard agree with their checksums.

    Arguments
    ---------
    path : pathlib.Path
        The shard, of which no map is left.
    header : Header
        Its header.

    Returns
    -------
    bool
    """
    from safetensors import safe_open

    with safe_open(path, framework="pt") as shard:
        tensors = [shard.get_tensor(name) for name in sorted(shard.keys())]
    # Rows of bytes: slices of tensors would take longer than the sums.
    rows = [t.flatten(1).view(torch.uint8).numpy() for t in tensors]
    first = 0
    for count, expected in zip(header.frames, header.checksums):
        number = 0
        for each in rows:
            number = zlib.crc32(each[first : first + count].data, number)
        if number != expected:
            return False
        first += count
    return True


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
