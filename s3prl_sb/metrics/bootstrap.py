"""Bootstrap intervals of measures over recordings.

Recordings are drawn with replacement, as many as there are, and the measure is computed
of each draw; the interval holds the middle of the values (the percentile method,
Efron 1979). Two systems, or two conditions, are compared on the same draws: what is
difficult for both then cancels out.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
DRAWN = 1 << 22  # numbers that are drawn at a time


class Interval(NamedTuple):
    """A value and the limits of its interval.

    Arguments
    ---------
    value : float
        Measure of all recordings.
    low, high : float
        Limits.
    """

    value: float
    low: float
    high: float


def interval(
    numerators: Sequence[float] | np.ndarray,
    denominators: Sequence[float] | np.ndarray | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Computes the interval of a ratio of sums, such as an error rate, or of a mean.

    Arguments
    ---------
    numerators : list of float
        [recordings], such as errors; or [recordings, parts], for the mean of the ratios
        of several parts, such as a macro F1 score.
    denominators : list of float, optional
        Array of the same shape, such as numbers of words. Default: ones, for a mean.
    level : float
        Share of the draws whose values lie in the interval.
    resamples : int
        Number of draws.
    seed : int
        Seed of the draws.

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If there are no recordings, or all denominators are zero.

    Example
    -------
    >>> interval([1, 0, 2, 1], [10, 10, 10, 10], seed=1).value
    0.1
    >>> interval([3.0, 3.0, 3.0])
    Interval(value=3.0, low=3.0, high=3.0)
    """
    sides = [_sides(numerators, denominators)]
    return _interval(sides, level, resamples, seed)


def paired_interval(
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    first_denominators: Sequence[float] | np.ndarray | None = None,
    second_denominators: Sequence[float] | np.ndarray | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Computes the interval of a difference, second minus first, of two measures of the
    same recordings.

    Arguments
    ---------
    first, second : list of float
        Numerators of both, see :func:`interval`; recordings are in the same order.
    first_denominators, second_denominators : list of float, optional
        Denominators of both.
    level, resamples, seed
        See :func:`interval`.

    Returns
    -------
    Interval
        If it does not hold zero, the difference is significant.

    Example
    -------
    >>> paired_interval([1, 0, 2], [2, 1, 3], [9, 9, 9], [9, 9, 9]).low > 0
    True
    """
    sides = [_sides(first, first_denominators), _sides(second, second_denominators)]
    if len(sides[0][0]) != len(sides[1][0]):
        raise ValueError(
            f"{len(sides[0][0])} recordings cannot be paired with {len(sides[1][0])}"
        )
    return _interval(sides, level, resamples, seed)


def _sides(numerators, denominators):
    """Returns numerators and denominators [recordings, parts]."""
    above = np.asarray(numerators, float)
    below = np.ones_like(above) if denominators is None else denominators
    below = np.asarray(below, float)
    if above.shape != below.shape or above.ndim not in (1, 2) or not len(above):
        raise ValueError(
            f"numerators of shape {above.shape} and denominators of shape {below.shape}"
            ": both are [recordings] or [recordings, parts], of one recording or more"
        )
    return above.reshape(len(above), -1), below.reshape(len(above), -1)


def _interval(sides, level, resamples, seed):
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(
            f"{resamples} resamples, and a level of {level} between 0 and 1"
        )
    count = len(sides[0][0])
    value = _measure(sides, np.arange(count)[None])[0]
    if np.isnan(value):
        raise ValueError("the denominators of all recordings are zero")
    values = np.concatenate([_measure(s, d) for s, d in _draws(sides, resamples, seed)])
    tail = (1 - level) / 2
    # A draw of recordings without any reference has no value
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))


def _draws(sides, resamples, seed) -> Iterator[tuple[Any, np.ndarray]]:
    """Yields indices of recordings [draws, recordings], some draws at a time."""
    draw, count = np.random.default_rng(seed), len(sides[0][0])
    step = max(1, DRAWN // count)
    for first in range(0, resamples, step):
        size = min(step, resamples - first), count
        yield sides, draw.integers(0, count, size)


def _measure(sides, draws):
    """Returns the measure, or the difference of two, of each draw."""
    values = []
    for above, below in sides:
        sums, whole = above[draws].sum(1), below[draws].sum(1)
        ratios = np.divide(
            sums, whole, out=np.full(sums.shape, np.nan), where=whole > 0
        )
        values.append(ratios.mean(1))
    return values[0] if len(values) == 1 else values[1] - values[0]
