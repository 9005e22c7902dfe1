"""Cepstral mean and variance normalization over speakers, or over everything.

The statistics take one pass over the features, one utterance at a time, and applying
them another. They are kept, so that a test set is normalized as the training set.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.networks.dynamics import EPSILON
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal.messages import reason

#: Name of the only group of global statistics.
EVERYTHING = "global"


class StatisticsError(UserError, ValueError):
    """Statistics that do not fit; the message says why."""


class Statistics:
    """Counts, sums and sums of squares, by group.

    Arguments
    ---------
    sums : dict, optional
        ``{group: float64 [layers, 2, size + 1]}``: the layout of Kaldi's CMVN
        statistics for each layer. The first row has the sums, then the number of
        frames; the second the sums of squares, then 0.

    Example
    -------
    >>> statistics = Statistics()
    >>> features = np.array([[[1.0]], [[3.0]]])
    >>> statistics.add("global", features)
    >>> statistics.apply("global", features)[:, 0, 0].astype(float).round(3).tolist()
    [-0.707, 0.707]
    """

    def __init__(self, sums: dict[str, np.ndarray] | None = None):
        self.sums = {} if sums is None else sums

    def add(self, group: str, features: np.ndarray) -> None:
        """Adds an utterance.

        Arguments
        ---------
        group : str
            Speaker, or "global".
        features : numpy.ndarray
            [frames, layers, size].
        """
        x = features.astype(np.float64)
        new = np.zeros((x.shape[1], 2, x.shape[2] + 1))
        new[:, 0, :-1], new[:, 0, -1] = x.sum(0), len(x)
        new[:, 1, :-1] = np.square(x).sum(0)
        self.sums[group] = self.sums.get(group, 0) + new

    def apply(self, group: str, features: np.ndarray) -> np.ndarray:
        """Normalizes an utterance to zero mean and unit variance in its group.

        Arguments
        ---------
        group : str
            Speaker, or "global".
        features : numpy.ndarray
            [frames, layers, size].

        Returns
        -------
        numpy.ndarray
            float32, of the same shape.

        Raises
        ------
        StatisticsError
            If the group is unknown, or its statistics are of other features.

        Note
        ----
        The variance is the unbiased one, as for ``cmvn: True`` in each utterance;
        Kaldi divides by the number of frames. A constant value becomes 0.
        """
        if group not in self.sums:
            raise StatisticsError(
                f"there are no statistics of '{group}'. There are: "
                + ", ".join(sorted(self.sums)[:10])
            )
        sums = self.sums[group]
        if sums.shape[::2] != (features.shape[1], features.shape[2] + 1):
            raise StatisticsError(
                f"the statistics are of {sums.shape[0]} layers of {sums.shape[2] - 1}, "
                f"the features of {features.shape[1]} layers of {features.shape[2]}."
            )
        count = sums[:, 0, -1:]
        mean = sums[:, 0, :-1] / count
        squares = sums[:, 1, :-1] - count * mean**2
        # Of a constant only the rounding error of the sums is left.
        squares[squares < 1e-12 * sums[:, 1, :-1]] = 0.0
        deviation = np.sqrt(squares / np.maximum(count - 1, 1))
        normalized = (features - mean) / (deviation + EPSILON)
        return np.where(deviation > 0, normalized, 0.0).astype(np.float32)

    def digest(self) -> str:
        """Returns a digest of the numbers, hexadecimal."""
        sha256 = hashlib.sha256()
        for group in sorted(self.sums):
            sha256.update(group.encode() + b"\0" + self.sums[group].tobytes())
        return sha256.hexdigest()[:32]

    def save(self, path: str | Path) -> None:
        """Writes the statistics as a NumPy archive, an array for each group."""
        arrays: dict[str, Any] = {
            f"of {name}": sums for name, sums in self.sums.items()
        }
        with Part(path) as part:
            with open(part.path, "wb") as file:
                np.savez(file, **arrays)
            part.publish()

    @classmethod
    def load(cls, path: str | Path) -> "Statistics":
        """Reads statistics.

        Raises
        ------
        StatisticsError
            If the file is missing, or no file of :meth:`save`.
        """
        sums = {}
        try:
            arrays = np.load(path)  # pickles are refused
            if not isinstance(arrays, np.lib.npyio.NpzFile) or not arrays.files:
                raise ValueError("it is no archive of arrays")
            with arrays:
                for name in arrays.files:
                    sums[name.removeprefix("of ")] = arrays[name]
            for name, array in sums.items():
                _check(name, array)
        except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise StatisticsError(
                f"'{path}' has no statistics ({reason(error)}). Give the "
                "cmvn_stats.npz of an extraction with --cmvn global or speaker."
            ) from error
        return cls(sums)


def _check(name, array):
    """Raises ValueError for an array that does not hold the sums of a group."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float64:
        raise ValueError(f"'{name}' is no array of float64")
    if array.ndim != 3 or array.shape[1] != 2:
        raise ValueError(f"'{name}' has the shape {array.shape}")
    if not np.isfinite(array).all() or (array[:, 0, -1] < 1).any():
        raise ValueError(f"'{name}' counts no frames, or is not finite")


def measure(items: Iterable[tuple[str, np.ndarray]]) -> Statistics:
    """Returns the statistics of (group, features) pairs, one of which is in memory."""
    statistics = Statistics()
    for group, features in items:
        statistics.add(group, features)
    return statistics
