"""Index of a feature cache: where the features of a key are.

An entry takes some 50 bytes, so that millions of utterances fit in memory: keys are
represented by 128 bits of their hash, places by rows of typed arrays.

Authors
 * The s3prl_sb developers, 2026
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np

#: Entries that are looked up in a dict, until they are sorted into the arrays.
RECENT = 50_000


class Place(NamedTuple):
    """Place of an utterance's features."""

    row: int
    path: Path
    first: int
    frames: int
    checksum: int


class CacheIndex:
    """Places of features, by key.

    Example
    -------
    >>> index = CacheIndex()
    >>> index.add(Path("a.safetensors"), ["k0", "k1"], [7, 5], [0, 0])
    >>> index.find("k1").first, index.find("k2"), len(index)
    (7, None, 2)
    """

    def __init__(self):
        #: Path of each file; None if it is not used any more.
        self._paths: list[Path | None] = []
        self._files: dict[Path, int] = {}
        # A column each, with a row for each entry.
        self._file, self._first = array("l"), array("q")
        self._frames, self._checksums = array("q"), array("L")
        self._hashes, self._others = array("q"), array("q")
        self._verified = bytearray()
        # Hashes in order, and their rows.
        self._sorted, self._rows = array("q"), array("q")
        self._recent: dict[str, int] = {}

    def add(
        self,
        path: Path,
        keys: Sequence[str],
        frames: Sequence[int],
        checksums: Sequence[int],
        verified: bool = False,
    ) -> None:
        """Adds the entries of a file, instead of those that it had before.

        Arguments
        ---------
        path : pathlib.Path
            The file.
        keys : list of str
            Keys of its entries, in order.
        frames : list of int
            Their numbers of frames.
        checksums : list of int
            Their checksums.
        verified : bool
            Whether they have been compared with the checksums.

        Raises
        ------
        TypeError, OverflowError
            If they are not numbers; nothing is added then.
        """
        counts, sums = array("q", frames), array("L", checksums)
        self.drop(path)
        start, count = len(self._file), len(counts)
        self._files[path] = len(self._paths)
        self._file.extend([len(self._paths)] * count)
        self._paths.append(path)
        self._first.extend(accumulate(counts[:-1], initial=0) if count else ())
        self._frames.extend(counts)
        self._checksums.extend(sums)
        self._verified.extend(bytes([verified]) * count)
        self._hashes.extend(map(hash, keys))
        self._others.extend(_other(key) for key in keys)
        self._recent.update(zip(keys, range(start, start + count)))
        if len(self._recent) > max(RECENT, len(self._rows) // 8):
            self._sort()

    def drop(self, path: Path) -> None:
        """Drops the entries of a file."""
        number = self._files.pop(path, None)
        if number is not None:
            self._paths[number] = None

    def find(self, key: str) -> Place | None:
        """Returns the place of a key; None if it has none."""
        row = self._recent.get(key)
        if row is not None and self._paths[self._file[row]] is None:
            self._sort()  # another file may have the key
            row = None
        if row is None:
            row = self._find_sorted(key)
        if row is None:
            return None
        path = self._paths[self._file[row]]
        assert path is not None
        columns = (self._first, self._frames, self._checksums)
        return Place(row, path, *(column[row] for column in columns))

    def _find_sorted(self, key):
        number = hash(key)
        at = bisect_right(self._sorted, number) - 1  # the one that was added last
        while at >= 0 and self._sorted[at] == number:
            row = self._rows[at]
            is_used = self._paths[self._file[row]] is not None
            if is_used and self._others[row] == _other(key):
                return row
            at -= 1
        return None

    def is_verified(self, row: int) -> bool:
        """Returns whether the features in a row have been verified."""
        return bool(self._verified[row])

    def verify(self, row: int) -> None:
        """Notes that the features in a row have been verified."""
        self._verified[row] = True

    def _sort(self):
        """Moves the recent entries into the arrays."""
        self._recent.clear()
        hashes = np.frombuffer(self._hashes, np.int64)
        order = np.argsort(hashes, kind="stable")
        self._rows, self._sorted = array("q"), array("q")
        self._rows.frombytes(order.astype(np.int64).tobytes())
        self._sorted.frombytes(hashes[order].tobytes())

    def __len__(self) -> int:
        """Returns the number of keys."""
        used = np.array([path is not None for path in self._paths], bool)
        rows = used[np.frombuffer(self._file, np.dtype("l"))] if self._file else []
        both = (np.frombuffer(c, np.int64) for c in (self._hashes, self._others))
        return len(np.unique(np.stack(list(both), 1)[rows], axis=0)) if len(rows) else 0


def _other(key):
    """Returns 64 bits of a key that do not follow from those of ``hash``."""
    return hash(key[::-1] + "-")
