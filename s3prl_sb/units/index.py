"""Index of units: the codes of every utterance of a corpus, by name.

A folder of memory-mapped arrays, which opens at once however large it is: the codes
of all utterances in one file, their limits, their names, and hashes of the names in
order.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy

from s3prl_sb.storage.files import read_json
from s3prl_sb.units.errors import UnitsError
from s3prl_sb.units.growing import PROGRESS, mapped

DESCRIPTION = "index.json"
CODES, NAMES = "codes.{}", "names.utf8"
OFFSETS, NAME_OFFSETS = "offsets.i64", "name_offsets.i64"
HASHES, ROWS = "hashes.u64", "rows.i64"
DTYPES = {"u16": "uint16", "u32": "uint32"}
NEAR = 10_000  # names that are compared for a hint


def name_hash(name: str) -> int:
    """Returns the hash of a name by which an index finds it, 64 bits."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


class UnitsIndex:
    """Codes of the utterances of a corpus.

    Arguments
    ---------
    folder : str
        Folder that ``s3prl-sb units apply`` has made.

    Raises
    ------
    UnitsError
        If it is unfinished, or has fewer than two distinct units.
    s3prl_sb.storage.files.FileError
        If it is not an index.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        if (
            not (self.folder / DESCRIPTION).exists()
            and (self.folder / PROGRESS).exists()
        ):
            raise UnitsError(
                f"'{folder}' is unfinished. Run the same `s3prl-sb units apply` again."
            )
        fix = "Give a folder that `s3prl-sb units apply` has made."
        path = self.folder / DESCRIPTION
        self.about: dict[str, Any] = read_json(path, "an index of units", fix, dict)
        if self.about["used"] < 2:  # nothing can be learned, and the loss would be 0
            raise UnitsError(
                f"'{folder}' has {self.about['used']} distinct units. Fit units on "
                "more audio, or on another layer."
            )

    def __getstate__(self):
        # Workers map the files again.
        return {"folder": self.folder, "about": self.about}

    @property
    def classes(self) -> int:
        """Number of units, also of those that do not occur."""
        return self.about["classes"]

    @property
    def stride(self) -> int:
        """Samples from one unit to the next, at ``sample_rate``."""
        return self.about["stride"]

    @property
    def sample_rate(self) -> int:
        """Sample rate that ``stride`` refers to, in Hz."""
        return self.about["sample_rate"]

    @property
    def digest(self) -> str:
        """Hash of the model, the names and the codes."""
        return self.about["digest"]

    def __len__(self) -> int:
        return self.about["utterances"]

    def __contains__(self, name: str) -> bool:
        return self._row(name) is not None

    def of(self, name: str) -> numpy.ndarray:
        """Returns the codes of an utterance.

        Arguments
        ---------
        name : str
            Name of the utterance.

        Returns
        -------
        numpy.ndarray
            [units], int64.

        Raises
        ------
        UnitsError
            If it has none, with the nearest names.
        """
        row = self._row(name)
        if row is None:
            self.check([name])
        start, stop = self._offsets[row : row + 2]
        return self._codes[start:stop].astype(numpy.int64)

    def check(self, names: Iterable[str], share: float = 0.0) -> None:
        """Checks that utterances have units.

        Arguments
        ---------
        names : iterable of str
            Names of utterances.
        share : float
            Share of them that may have none, as those that could not be read; unless
            it is 0, one always may.

        Raises
        ------
        UnitsError
            With the number of those that have none, the first of them, and the
            nearest name.
        """
        total, missing = 0, []
        for name in names:
            total += 1
            if self._row(name) is None:
                missing.append(name)
        if missing and not (share and len(missing) <= max(1, share * total)):
            there = [name for name, _ in zip(self.names(), range(NEAR))]
            near = difflib.get_close_matches(missing[0], there, n=1, cutoff=0.5)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise UnitsError(
                f"'{self.folder}' has no units of {len(missing)} of {total} "
                f"utterances, such as '{missing[0]}'.{hint} Apply the units to the "
                "same list: `s3prl-sb units apply`."
            )

    def names(self) -> Iterator[str]:
        """Yields the names of the utterances, in the order of their list."""
        return map(self._name, range(len(self)))

    def items(self) -> Iterator[tuple[str, numpy.ndarray]]:
        """Yields (name, codes) of each utterance."""
        for row, name in enumerate(self.names()):
            start, stop = self._offsets[row : row + 2]
            yield name, self._codes[start:stop].astype(numpy.int64)

    def _name(self, row):
        start, stop = self._name_offsets[row : row + 2]
        return self._names[start:stop].tobytes().decode("utf-8", "surrogatepass")

    def _row(self, name):
        wanted = numpy.uint64(name_hash(name))
        place = int(numpy.searchsorted(self._hashes, wanted))
        while place < len(self) and self._hashes[place] == wanted:
            row = int(self._rows[place])
            if self._name(row) == name:
                return row
            place += 1  # two names with the same hash
        return None

    @functools.cached_property
    def _codes(self):
        kind = self.about["dtype"]
        return mapped(self.folder / CODES.format(kind), DTYPES[kind])

    @functools.cached_property
    def _names(self):
        return mapped(self.folder / NAMES, "uint8")

    @functools.cached_property
    def _offsets(self):
        return mapped(self.folder / OFFSETS, "int64")

    @functools.cached_property
    def _name_offsets(self):
        return mapped(self.folder / NAME_OFFSETS, "int64")

    @functools.cached_property
    def _hashes(self):
        return mapped(self.folder / HASHES, "uint64")

    @functools.cached_property
    def _rows(self):
        return mapped(self.folder / ROWS, "int64")
