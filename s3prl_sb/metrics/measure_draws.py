"""Draws of units, and metrics of the draws.

A unit that is drawn twice counts as two that are alike. An item of two units, such as a
trial of two speakers, then counts as often as the product of their numbers, and one of
a single unit, such as a trial of one speaker, as often as that unit. This is the
vertex bootstrap of Snijders and Borgatti (1999), which Fogliato, Patil and Perona study
for verification, https://arxiv.org/abs/2306.01198.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from s3prl_sb.metrics.bootstrap import draws
from s3prl_sb.metrics.measure_entries import Entry
from s3prl_sb.metrics.weighted_sums import Array


class Sampled(Protocol):
    """Items with units and strata, see :class:`s3prl_sb.metrics.measures.Measures`."""

    @property
    def items(self) -> Sequence[str]:
        """Ids of the items."""

    @property
    def units(self) -> Sequence | None:
        """Units of the items."""

    @property
    def strata(self) -> Sequence[str] | None:
        """Strata of the items."""

    @property
    def shares(self) -> Mapping[str, float] | None:
        """Shares of the strata in a metric; None: all the same."""


class Stratum(NamedTuple):
    """Items whose units are drawn together.

    Arguments
    ---------
    rows : numpy.ndarray
        Indices of the items.
    numbers : numpy.ndarray or None
        Unit of each item, or pair of units [items, 2]; None: each item is one.
    size : int
        Number of units.
    share : float
        Share in a metric.
    """

    rows: Array
    numbers: Array | None
    size: int
    share: float

    def weights(self, counts: Array) -> Array:
        """Returns how often items are drawn.

        Arguments
        ---------
        counts : numpy.ndarray
            [draws, units], how often units are.

        Returns
        -------
        numpy.ndarray
            [items, draws].
        """
        if self.numbers is None:
            return np.ascontiguousarray(counts.T)
        counts = np.concatenate([counts.T, np.ones((1, len(counts)))])
        if self.numbers.ndim == 1:
            return counts[self.numbers]
        one, other = self.numbers.T
        weights = counts[one]
        weights *= counts[np.where(one == other, self.size, other)]
        return weights


def values(entries: Sequence[Entry], sampled: Sampled) -> Array:
    """Returns metrics of all items.

    Arguments
    ---------
    entries : list of Entry
        Metrics, each of the same items.
    sampled : Sampled
        The items and their strata.

    Returns
    -------
    numpy.ndarray
        [entries].
    """
    total = np.zeros(len(entries))
    for stratum in _strata(sampled):
        ones = np.ones((len(stratum.rows), 1))
        metrics = _functions(entries, stratum, sampled)
        total += [stratum.share * metric(ones)[0] for metric in metrics]
    return total


def resampled(
    groups: Sequence[Sequence[Entry]], sampled: Sampled, resamples: int, seed: int
) -> list[Array]:
    """Returns metrics of draws, the same draws for all.

    Arguments
    ---------
    groups : list of list of Entry
        Metrics, each of the same items, in groups.
    sampled : Sampled
        The items, units and strata.
    resamples, seed : int
        See :func:`s3prl_sb.metrics.bootstrap.draws`; each stratum has a generator of
        its own.

    Returns
    -------
    list of numpy.ndarray
        [entries, resamples] for each group; NaN if no stratum has two units, as all
        draws are the same then.
    """
    if resamples < 1:
        raise ValueError(f"{resamples} resamples, not one or more")
    entries = [entry for group in groups for entry in group]
    total = np.zeros((len(entries), resamples))
    strata = _strata(sampled)
    if all(stratum.size < 2 for stratum in strata):
        total[:], strata = np.nan, []
    for number, stratum in enumerate(strata):
        metrics = _functions(entries, stratum, sampled)
        own = seed if len(strata) == 1 else [seed, number]
        first, room = 0, max([len(stratum.rows), *(e.columns for e in entries)])
        for counts in draws(stratum.size, resamples, own, room):
            weights, last = stratum.weights(counts), first + len(counts)
            for row, metric in enumerate(metrics):
                total[row, first:last] += stratum.share * metric(weights)
            first = last
    ends = np.cumsum([len(group) for group in groups])[:-1]
    return np.split(total, ends) if groups else []


def _functions(entries, stratum, sampled):
    """Returns metrics of the items of a stratum as functions of weights."""
    taken: dict = {}
    shared: dict = {}
    if len(stratum.rows) < len(sampled.items):
        entries = [entry.take(stratum.rows, taken) for entry in entries]
    return [entry.weighted(shared).of for entry in entries]


def number_of_units(sampled: Sampled) -> int:
    """Returns how many units there are in all strata.

    Arguments
    ---------
    sampled : Sampled
        The items, units and strata.

    Returns
    -------
    int
    """
    return sum(stratum.size for stratum in _strata(sampled))


def _strata(sampled):
    rows = np.arange(len(sampled.items))
    if sampled.strata is None:
        return [Stratum(rows, *_numbered(rows, sampled.units), 1.0)]
    names, numbers = np.unique(np.array(sampled.strata), return_inverse=True)
    shares = sampled.shares or dict.fromkeys(names.tolist(), 1 / len(names))
    strata = []
    for number, name in enumerate(names.tolist()):
        mine = rows[numbers == number]
        strata.append(Stratum(mine, *_numbered(mine, sampled.units), shares[name]))
    return strata


def _numbered(rows, units):
    """Returns the units of rows as numbers, or None, and how many there are."""
    if units is None:
        return None, len(rows)
    names = np.array([units[row] for row in rows], dtype=object).astype(str)
    every, numbers = np.unique(names, return_inverse=True)
    return numbers.reshape(names.shape), len(every)
