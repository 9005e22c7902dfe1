"""Intervals of metrics of runs, and of their differences.

Authors
 * The s3prl_sb developers, 2026
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from s3prl_sb.metrics import measure_draws as drawing
from s3prl_sb.metrics.bootstrap import LEVEL, RESAMPLES, Interval, limits
from s3prl_sb.metrics.same_items import aligned

if TYPE_CHECKING:
    from s3prl_sb.metrics.measures import Measures


def combined(
    measures: Sequence[Measures],
    name: str,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Computes the interval of the mean of a metric over runs, such as seeds.

    Every draw is the same for all runs. The interval says how much the mean depends on
    the test set, and nothing about other seeds.

    Arguments
    ---------
    measures : list of Measures
        Measures of runs on the same items.
    name, level, resamples, seed
        See :meth:`s3prl_sb.metrics.measures.Measures.interval`.

    Returns
    -------
    Interval

    Raises
    ------
    OtherTestSet
        If the items are not the same.

    Example
    -------
    >>> from s3prl_sb.metrics.measures import Measures
    >>> accuracies = [{"kind": "mean", "values": each} for each in ([1, 0], [1, 1])]
    >>> runs = [Measures.build("utterance", "ab", {"acc": a}) for a in accuracies]
    >>> combined(runs, "acc")
    Interval(value=0.75, low=0.5, high=1.0)
    """
    runs = aligned(measures)
    entries = [run.entry(name) for run in runs]
    draws = drawing.resampled([entries], runs[0], resamples, seed)[0]
    value = drawing.values(entries, runs[0]).mean()
    return Interval(float(value), *limits(draws.mean(0), level))


class Difference(NamedTuple):
    """Difference of a metric between two groups of runs, second minus first.

    Arguments
    ---------
    first, second : float
        Means over the runs of each group.
    interval : Interval
        The difference, and its interval.
    opposite : float
        Twice the share of the draws on the other side of zero, or at it, at most 1. It
        is read as a p-value.
    """

    first: float
    second: float
    interval: Interval
    opposite: float


def difference(
    first: Sequence[Measures],
    second: Sequence[Measures],
    name: str,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Computes the difference of a metric between two groups of runs, such as the seeds
    of two upstreams.

    Arguments
    ---------
    first, second : list of Measures
        Measures of runs on the same items.
    name, level, resamples, seed
        See :meth:`s3prl_sb.metrics.measures.Measures.interval`.

    Returns
    -------
    Difference

    Raises
    ------
    OtherTestSet
        If the items are not the same.

    Example
    -------
    >>> from s3prl_sb.metrics.measures import Measures
    >>> accuracies = [{"kind": "mean", "values": each} for each in ([1, 0], [1, 1])]
    >>> runs = [Measures.build("utterance", "ab", {"acc": a}) for a in accuracies]
    >>> found = difference(runs[:1], runs[1:], "acc")
    >>> found.first, found.second, found.interval
    (0.5, 1.0, Interval(value=0.5, low=0.0, high=1.0))
    """
    return differences(first, second, [name], level, resamples, seed)[name]


def differences(
    first: Sequence[Measures],
    second: Sequence[Measures],
    names: Sequence[str],
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Computes the differences of several metrics, on the same draws.

    Arguments
    ---------
    first, second, level, resamples, seed
        See :func:`difference`.
    names : list of str
        Names of metrics that all runs have.

    Returns
    -------
    dict of str to Difference

    Raises
    ------
    OtherTestSet
        If the items are not the same.
    """
    runs, count = aligned([*first, *second]), len(first)
    groups = [[run.entry(name) for run in runs] for name in names]
    drawn = drawing.resampled(groups, runs[0], resamples, seed)
    found = {}
    for name, entries, draws in zip(names, groups, drawn):
        values = drawing.values(entries, runs[0])
        one, other = (float(part.mean()) for part in (values[:count], values[count:]))
        apart = draws[count:].mean(0) - draws[:count].mean(0)
        interval = Interval(other - one, *limits(apart, level))
        found[name] = Difference(one, other, interval, _opposite(apart))
    return found


def _opposite(values):
    """Returns twice the share of the draws on the rarer side of zero, or at it."""
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan
    sides = values <= 0, values >= 0
    return min(1.0, 2 * min(float(side.mean()) for side in sides))


def intervals_of(
    measures: Measures,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns the intervals of all metrics of a run, for results.json.

    Arguments
    ---------
    measures : Measures
        Measures of the run.
    level, resamples, seed
        See :meth:`s3prl_sb.metrics.measures.Measures.interval`.

    Returns
    -------
    dict
        ``level``, ``resamples``, ``unit``, ``units`` (how many there are), and
        ``metrics``, names to [low, high]. Metrics that are not defined are left out,
        and all of them if no stratum has two units.

    Example
    -------
    >>> from s3prl_sb.metrics.measures import Measures
    >>> accuracy = {"kind": "mean", "values": [1, 0, 1, 1]}
    >>> measures = Measures.build("utterance", "abcd", {"accuracy": accuracy})
    >>> found = intervals_of(measures)
    >>> found["units"], found["metrics"]
    (4, {'accuracy': [0.25, 1.0]})
    """
    units, metrics = drawing.number_of_units(measures), {}
    entries = list(measures.entries.values())
    groups = drawing.resampled([[e] for e in entries], measures, resamples, seed)
    for name, draws in zip(measures.names, groups):
        low, high = limits(draws[0], level)
        if not np.isnan(low):
            metrics[name] = [low, high]
    return {
        "level": level,
        "resamples": resamples,
        "unit": measures.unit,
        "units": units,
        "metrics": metrics,
    }
