"""Bootstrap intervals of measures over recordings.

Recordings are drawn with replacement, as many as there are, and the measure is computed
of each draw; the interval holds the middle of the values (the percentile method,
Efron 1979). Two systems, or two conditions, are compared on the same draws: what is
difficult for both then cancels out.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
RESAMPLES = 2000
DRAWN = 1 << 20  # numbers that are drawn at a time


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


def draws(
    units: int, resamples: int = RESAMPLES, seed: int | list[int] = 0, room: int = 1
) -> Iterator[np.ndarray]:
    """Yields how often each unit is drawn, some draws at a time.

    The draws are those of ``scipy.stats.bootstrap`` with the same seed, and do not
    depend on how many are yielded together.

    Arguments
    ---------
    units : int
        Number of units, such as recordings or speakers.
    resamples : int
        Number of draws.
    seed : int or list of int
        Seed of numpy's default generator.
    room : int
        Numbers that the caller keeps for each draw: fewer draws are then yielded
        together, so that memory is bounded.

    Returns
    -------
    iterator of numpy.ndarray
        [draws, units], float64; the sum of each row is ``units``.

    Example
    -------
    >>> [len(some) for some in draws(3, resamples=5, room=DRAWN // 2)]
    [2, 2, 1]
    """
    generator = np.random.default_rng(seed)
    step = max(1, DRAWN // max(units, room))
    for first in range(0, resamples, step):
        count = min(step, resamples - first)
        chosen = generator.integers(0, units, (count, units))
        chosen += units * np.arange(count)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=count * units)
        yield counts.reshape(count, units).astype(float)


def limits(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Returns the limits of the middle of the values of draws.

    Arguments
    ---------
    values : numpy.ndarray
        [draws]; NaN for a draw without a value, such as one without any reference.
    level : float
        Share of the values that lie between the limits.

    Returns
    -------
    low, high : float
        NaN if no draw has a value.

    Example
    -------
    >>> limits(np.arange(101.0), level=0.5)
    (25.0, 75.0)
    """
    if not 0 < level < 1:
        raise ValueError(f"a level of {level}, not between 0 and 1")
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


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
    if resamples < 1:
        raise ValueError(f"{resamples} resamples, not one or more")
    count = len(sides[0][0])
    value = _measure(sides, np.ones((1, count)))[0]
    if np.isnan(value):
        raise ValueError("the denominators of all recordings are zero")
    values = [_measure(sides, counts) for counts in draws(count, resamples, seed)]
    return Interval(float(value), *limits(np.concatenate(values), level))


def _measure(sides, counts):
    """Returns the measure, or the difference of two, of draws [draws, recordings]."""
    values = []
    for above, below in sides:
        sums, whole = counts @ above, counts @ below
        ratios = np.divide(
            sums, whole, out=np.full(sums.shape, np.nan), where=whole > 0
        )
        values.append(ratios.mean(1))
    return values[0] if len(values) == 1 else values[1] - values[0]
