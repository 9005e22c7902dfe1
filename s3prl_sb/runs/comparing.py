"""Comparison of two groups of runs, such as the seeds of two upstreams, on the items
of one test set.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from s3prl_sb.metrics.bootstrap import LEVEL, RESAMPLES
from s3prl_sb.metrics.measure_draws import number_of_units
from s3prl_sb.metrics.measure_intervals import Difference, differences
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.same_items import OtherTestSet, aligned


class Change(NamedTuple):
    """Difference of a metric on one item.

    Arguments
    ---------
    item : str
        Its id.
    first, second : float
        The metric of the item alone, means over the runs of each group.
    change : float
        Difference, second minus first, times the item's weight in the metric, such as
        its number of words.
    """

    item: str
    first: float
    second: float
    change: float


@dataclass(frozen=True)
class Comparison:
    """Differences of two groups of runs.

    Arguments
    ---------
    unit : str
        Name of what the bootstrap drew.
    units, items : int
        Numbers of units and of items that were compared.
    left_out : tuple of int
        Numbers of items that only one group has.
    level : float
        Share of the draws in the intervals.
    resamples : int
        Number of draws.
    differences : dict of str to Difference
        Metrics to their differences, second minus first.
    changes : dict of str to list of Change
        Metrics to all items that have a value, the largest change first. Metrics that
        an item alone has no value of are missing.
    """

    unit: str
    units: int
    items: int
    left_out: tuple[int, int]
    level: float
    resamples: int
    differences: dict[str, Difference]
    changes: dict[str, list[Change]]


def compare(
    first: Sequence[Measures],
    second: Sequence[Measures],
    names: Sequence[str] | None = None,
    common: bool = False,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compares two groups of runs by the paired bootstrap.

    Every draw is the same for all runs, and the metrics of a group are means over its
    runs. An interval that does not hold zero means that the test set tells both groups
    apart; it says nothing about other seeds than theirs.

    Arguments
    ---------
    first, second : list of Measures
        Measures of the runs.
    names : list of str, optional
        Metrics; default: those that all runs have.
    common : bool
        Whether to compare on the items that all runs have; otherwise all must have the
        same.
    level, resamples, seed
        See :func:`s3prl_sb.metrics.bootstrap.interval`.

    Returns
    -------
    Comparison

    Raises
    ------
    OtherTestSet
        If the items are not the same, or none is common.
    s3prl_sb.errors.UserError
        If a run has no measures of a name.

    Example
    -------
    >>> errors = [[1, 0, 2], [0, 0, 1]]
    >>> metrics = [{"errors": {"kind": "mean", "values": each}} for each in errors]
    >>> runs = [Measures.build("utterance", "abc", each) for each in metrics]
    >>> found = compare(runs[:1], runs[1:])
    >>> round(found.differences["errors"].interval.value, 3)
    -0.667
    >>> found.changes["errors"][0]
    Change(item='a', first=1.0, second=0.0, change=-1.0)
    """
    left_out = (0, 0)
    if common:
        first, second, left_out = _on_common(first, second)
    runs = aligned([*first, *second])
    if names is None:
        names = [n for n in runs[0].names if all(n in run.names for run in runs)]
    first, second = runs[: len(first)], runs[len(first) :]
    found = differences(first, second, names, level, resamples, seed)
    changes = {name: _changes(first, second, name) for name in names}
    return Comparison(
        unit=runs[0].unit,
        units=number_of_units(runs[0]),
        items=len(runs[0].items),
        left_out=left_out,
        level=level,
        resamples=resamples,
        differences=found,
        changes={name: rows for name, rows in changes.items() if rows is not None},
    )


def _on_common(first, second):
    """Returns both groups with the items that all runs have, and numbers of others."""
    runs = [*first, *second]
    shared = set(runs[0].items).intersection(*(run.items for run in runs))
    if not shared:
        raise OtherTestSet("the test sets have no item in common")
    items = [item for item in runs[0].items if item in shared]
    sides = [[run.only(items) for run in side] for side in (first, second)]
    sizes = (max(len(run.items) for run in side) for side in (first, second))
    return *sides, tuple(size - len(items) for size in sizes)


def _changes(first, second, name):
    """Returns the changes of a metric, the largest first, or None without items'."""
    sides = [_by_item(side, name) for side in (first, second)]
    if None in sides:
        return None
    (one, light), (other, heavy) = sides
    change = (other - one) * (light + heavy) / 2
    rows = np.flatnonzero(~np.isnan(change))
    rows = rows[np.argsort(-np.abs(change[rows]), kind="stable")]
    numbers = (side[rows].tolist() for side in (one, other, change))
    items = first[0].items
    return [Change(items[row], *each) for row, *each in zip(rows, *numbers)]


def _by_item(runs, name):
    """Returns the mean over runs of the values and weights of items, or None."""
    sides = [run.by_item(name) for run in runs]
    if None in sides:
        return None
    return [np.mean(each, axis=0) for each in zip(*sides)]
