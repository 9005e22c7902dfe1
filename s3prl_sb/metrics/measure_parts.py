"""Measures of several parts, such as folds, as those of one run.

Authors
 * The s3prl_sb developers, 2026
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from s3prl_sb.metrics.resampled import KINDS

if TYPE_CHECKING:
    from s3prl_sb.metrics.measures import Measures


def together(
    parts: Mapping[str, Measures], groups: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the measures of parts as strata of one, of the metrics that all have.

    Arguments
    ---------
    parts : dict of str to Measures
        Names of parts, such as folds, to their measures.
    groups : dict of str to str
        Names of parts to those of groups: a metric is the mean over groups of the means
        over the parts of each.

    Returns
    -------
    dict
        Arguments of :class:`~s3prl_sb.metrics.measures.Measures`. If parts have items
        of the same id, the name of the part and a slash precede each.
    """
    every = list(parts.values())
    is_shared = len({item for each in every for item in each.items}) < sum(
        len(each.items) for each in every
    )
    items = [
        f"{part}/{item}" if is_shared else item
        for part, each in parts.items()
        for item in each.items
    ]
    strata = [part for part, each in parts.items() for _ in each.items]
    units = None
    if any(each.units is not None for each in every):
        units = [unit for each in every for unit in each.units or each.items]
    entries = {}
    stacked: dict = {}
    for name in every[0].names:
        columns = [each.entries[name] for each in every if name in each.entries]
        if len(columns) == len(every) and _fit(columns):
            entries[name] = _stacked(columns, stacked)
    sizes = Counter(groups.values())
    return {
        "unit": every[0].unit,
        "items": items,
        "entries": entries,
        "units": units,
        "strata": strata,
        "shares": {p: 1 / len(sizes) / sizes[group] for p, group in groups.items()},
    }


def _fit(entries):
    """Returns whether the entries of parts can be those of one metric."""
    if len({entry.kind for entry in entries}) > 1:
        return False
    same = KINDS[entries[0].kind].same if entries[0].kind in KINDS else ()
    return all(len({e.arrays[name].shape[1] for e in entries}) == 1 for name in same)


def _stacked(entries, stacked):
    """Returns the entries of parts as one; tables get the columns of the widest. Arrays
    that metrics share are `stacked` once."""
    arrays = {}
    for name in entries[0].arrays:
        each = [entry.arrays[name] for entry in entries]
        key = tuple(map(id, each))
        if key not in stacked:
            if each[0].ndim == 2:
                width = max(array.shape[1] for array in each)
                each = [np.pad(a, ((0, 0), (0, width - a.shape[1]))) for a in each]
            stacked[key] = np.concatenate(each)
        arrays[name] = stacked[key]
    terms = {
        name: _stacked([entry.terms[name] for entry in entries], stacked)
        for name in entries[0].terms
    }
    return entries[0]._replace(arrays=arrays, terms=terms)
