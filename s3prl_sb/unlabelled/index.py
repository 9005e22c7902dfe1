"""The list of a corpus without labels: memory-mapped arrays.

A list of a million files takes 70 MB on the disk, opens at once, and is shared by all
processes and workers of a machine, because nobody copies it to memory.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from s3prl_sb.audio.audio_names import as_id
from s3prl_sb.storage import parts
from s3prl_sb.storage.files import FileError, naming, read_json, write_json
from s3prl_sb.unlabelled.remote import is_url
from s3prl_sb.unlabelled.texts import Texts

VERSION = 1
HEADER = "index.json"
FIX = "Delete the folder; it is made again."
#: Columns of numbers that every list has, and those of segments and of shards.
NUMBERS = {"samples": numpy.int64, "rates": numpy.int32, "places": numpy.int32}
OPTIONAL = {
    "starts": numpy.int64,
    "byte_offsets": numpy.int64,
    "byte_sizes": numpy.int64,
}
TEXTS = ("paths", "names")


class Place(NamedTuple):
    """A folder or a shard that holds audio."""

    path: str  #: path or URL
    prefix: str  #: beginning of the names of its rows
    is_shard: bool = False


class Location(NamedTuple):
    """The audio of a row: a segment of a file, or of a member of a shard."""

    path: str  #: path or URL of the file or the shard
    member: str  #: name in the shard; empty for a file
    offset: int  #: first byte of the member in the shard
    size: int  #: bytes of the member; 0 for a file
    start: int  #: first sample, at the rate of the file
    samples: int  #: number of samples, at the rate of the file
    rate: int  #: Hz


class Share(NamedTuple):
    """Rows of one source of a mixture."""

    name: str
    weight: float  #: share of the batches, relative to the other sources
    first: int
    stop: int


class AudioIndex:
    """A list of audio: files, segments of files, members of tar shards.

    Arguments
    ---------
    columns : dict
        ``paths`` (:class:`~s3prl_sb.unlabelled.texts.Texts`), relative to the place of
        the row; ``samples``, ``rates`` and ``places`` [rows]; optional ``names``,
        ``starts``, ``byte_offsets`` and ``byte_sizes``.
    places : list of Place
        Folders and shards.
    shares : list of Share, optional
        Sources of a mixture. Default: one.
    folder : str, optional
        Folder that the list was opened from.
    digest : str, optional
        Its digest, if it was computed before.

    Example
    -------
    >>> import tempfile
    >>> columns = {"paths": Texts.of(["a.wav", "b.wav"])}
    >>> columns |= {"samples": [16000, 8000], "rates": [16000] * 2, "places": [0, 0]}
    >>> index = AudioIndex(columns, [Place("/data/dev", "dev/")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     opened = AudioIndex.open(index.write(folder))
    ...     opened.name(1), opened.location(1).path, len(opened), opened.hours * 3600
    ('dev/b.wav', '/data/dev/b.wav', 2, 1.5)
    """

    def __init__(
        self,
        columns: dict,
        places: Sequence[Place],
        shares: Sequence[Share] | None = None,
        folder: str | None = None,
        digest: str | None = None,
    ):
        kinds = {**NUMBERS, **OPTIONAL}
        self.columns: dict[str, Any] = {
            key: value if key in TEXTS else numpy.asarray(value, kinds[key])
            for key, value in columns.items()
        }
        self.places, self.folder, self._digest = list(places), folder, digest
        self.shares = list(shares or [Share("data", 1.0, 0, len(self))])

    def __len__(self) -> int:
        return len(self.columns["samples"])

    def __reduce__(self):
        """A worker opens the list again instead of receiving a copy."""
        if self.folder is not None:
            return type(self).open, (self.folder,)
        arguments = self.columns, self.places, self.shares, None, self._digest
        return type(self), arguments

    @property
    def hours(self) -> float:
        """Hours of audio."""
        return float((self.columns["samples"] / self.columns["rates"]).sum() / 3600)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits: names, lengths and rates, not the folders.

        The content of millions of files is not read for it.
        """
        if self._digest is None:
            sha256 = hashlib.sha256()
            texts = self.columns.get("names", self.columns["paths"])
            others = (self.columns.get(k) for k in (*NUMBERS, "starts", "byte_sizes"))
            for array in (texts.blob, texts.offsets, *others):
                if array is not None:
                    sha256.update(numpy.ascontiguousarray(array).data)
            weights = [(s.name, s.weight, s.stop) for s in self.shares]
            prefixes = [place.prefix for place in self.places]
            sha256.update(repr((prefixes, weights)).encode("utf-8", "surrogateescape"))
            self._digest = sha256.hexdigest()[:32]
        return self._digest

    def name(self, row: int) -> str:
        """Returns the name of a row, which no other row has."""
        if "names" in self.columns:
            return as_id(self.columns["names"][row])
        return as_id(self.path(row))

    def path(self, row: int) -> str:
        """Returns the path of a row, which does not depend on where the data are.

        Rows of a table may share a file, and have the same path.
        """
        prefix = self.places[self.columns["places"][row]].prefix
        return prefix + self.columns["paths"][row]

    def location(self, row: int) -> Location:
        """Returns the place of the audio of a row."""
        columns, path = self.columns, self.columns["paths"][row]
        place = self.places[columns["places"][row]]
        offset = size = 0
        if place.is_shard:
            offset = int(columns["byte_offsets"][row])
            size = int(columns["byte_sizes"][row])
        start = int(columns["starts"][row]) if "starts" in columns else 0
        member = path if place.is_shard else ""
        if place.is_shard:
            path = place.path
        elif not (os.path.isabs(path) or is_url(path)):
            path = f"{place.path}/{path}"
        samples, rate = int(columns["samples"][row]), int(columns["rates"][row])
        return Location(path, member, offset, size, start, samples, rate)

    def lengths(self, sample_rate: int) -> numpy.ndarray:
        """Returns the lengths of all rows at one sample rate.

        Arguments
        ---------
        sample_rate : int
            Hz.

        Returns
        -------
        numpy.ndarray
            [rows], int32: samples.
        """
        lengths = numpy.empty(len(self), numpy.int32)
        for first in range(0, len(self), 1 << 16):  # temporary arrays stay small
            some = slice(first, first + (1 << 16))
            samples, rates = self.columns["samples"][some], self.columns["rates"][some]
            resampled = -(-samples * sample_rate // rates)
            lengths[some] = numpy.minimum(resampled, (1 << 31) - 1)
        return lengths

    def select(self, chosen: numpy.ndarray) -> "AudioIndex":
        """Returns the list of some rows, in the same order.

        Arguments
        ---------
        chosen : numpy.ndarray
            [rows], bool.

        Returns
        -------
        AudioIndex
        """
        columns = {
            key: column.select(chosen) if key in TEXTS else column[chosen]
            for key, column in self.columns.items()
        }
        before = numpy.concatenate([[0], numpy.cumsum(chosen)])
        shares = [
            share._replace(first=int(before[share.first]), stop=int(before[share.stop]))
            for share in self.shares
        ]
        return AudioIndex(columns, self.places, shares)

    @classmethod
    def joined(cls, indexes: Sequence["AudioIndex"]) -> "AudioIndex":
        """Returns the union of lists as one source, in their order."""
        places = [place for index in indexes for place in index.places]
        firsts = numpy.cumsum([0, *(len(index.places) for index in indexes)])
        keys = {key for index in indexes for key in index.columns}
        columns = {}
        for key in keys:
            pieces = [_column(index, key) for index in indexes]
            if key == "places":
                pieces = [piece + first for piece, first in zip(pieces, firsts)]
            join = Texts.joined if key in TEXTS else numpy.concatenate
            columns[key] = join(pieces)
        return cls(columns, places)

    def write(self, folder: str | Path) -> str:
        """Writes the list into a folder, atomically.

        Arguments
        ---------
        folder : str
            Folder of the list; an older list in it is replaced.

        Returns
        -------
        str
            The folder.
        """
        header = {
            "version": VERSION,
            "columns": sorted(self.columns),
            "rows": len(self),
            "digest": self.digest,
            "places": [list(place) for place in self.places],
            "shares": [list(share) for share in self.shares],
        }
        with parts.Part(folder) as new:
            new.path.mkdir()
            for key, column in self.columns.items():
                if key in TEXTS:
                    numpy.save(new.path / f"{key}.npy", column.blob)
                    numpy.save(new.path / f"{key}.offsets.npy", column.offsets)
                else:
                    numpy.save(new.path / f"{key}.npy", column)
            write_json(new.path / HEADER, header)
            new.publish(keep=lambda name: False)
        return str(folder)

    @classmethod
    def open(cls, folder: str | Path) -> "AudioIndex":
        """Opens a list; its arrays stay on the disk.

        Arguments
        ---------
        folder : str
            Folder of :meth:`write`.

        Returns
        -------
        AudioIndex

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If it is missing or of another version.
        """
        header = read_json(Path(folder, HEADER), "a list of audio", FIX, dict)
        with naming(folder, "a list of audio", FIX):
            if header["version"] != VERSION:
                raise FileError(f"'{folder}' is a list of another version. {FIX}")
            columns = {}
            for key in header["columns"]:
                columns[key] = _mapped(folder, key)
                if key in TEXTS:
                    offsets = _mapped(folder, f"{key}.offsets")
                    columns[key] = Texts(columns[key], offsets)
            places = [Place(*place) for place in header["places"]]
            shares = [Share(*share) for share in header["shares"]]
            index = cls(columns, places, shares, str(folder), header["digest"])
            if {len(column) for column in columns.values()} != {header["rows"]}:
                raise FileError(
                    f"'{folder}': its columns are of unequal lengths. {FIX}"
                )
        return index


def _mapped(folder, name):
    path = Path(folder, f"{name}.npy")
    return numpy.load(path, mmap_mode="r", allow_pickle=False)


def _column(index, key):
    """Returns a column of a list, filled in if the list does without it."""
    if key in index.columns:
        return index.columns[key]
    if key == "names":
        return Texts.of(index.name(row) for row in range(len(index)))
    return numpy.zeros(len(index), OPTIONAL[key])
