"""Arrays of one metric in ``measures.json``, see :mod:`s3prl_sb.metrics.measures`.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from s3prl_sb.metrics.measure_tables import read_array, write_array
from s3prl_sb.metrics.resampled import KINDS, MEAN_OF
from s3prl_sb.metrics.weighted_sums import Array, Weighted, mean_of


class Entry(NamedTuple):
    """A metric with its arrays.

    Arguments
    ---------
    kind : str
        One of :data:`s3prl_sb.metrics.resampled.KINDS`.
    arrays : dict of str to numpy.ndarray
        [items] or [items, columns], float64.
    parameters : dict of str to float
        Numbers of the metric.
    terms : dict of str to Entry
        Names of the metrics that a ``mean_of`` is the mean of.
    complement : tuple of str
        Terms that enter as 1 minus their value.
    """

    kind: str
    arrays: Mapping[str, Array]
    parameters: Mapping[str, float]
    terms: Mapping[str, "Entry"] = {}
    complement: tuple[str, ...] = ()

    def weighted(self, shared: dict | None = None) -> Weighted:
        """Returns the metric as a function of weights of the items.

        Arguments
        ---------
        shared : dict, optional
            Preparations that metrics of the same arrays share, at first empty.

        Returns
        -------
        Weighted
        """
        shared = {} if shared is None else shared
        if self.kind == MEAN_OF:
            terms = [
                (term.weighted(shared), name in self.complement)
                for name, term in self.terms.items()
            ]
            return mean_of(terms, **self.parameters)
        return KINDS[self.kind].weighted(self.arrays, self.parameters, shared)

    def take(self, rows: Array, taken: dict | None = None) -> "Entry":
        """Returns the metric of some items.

        Arguments
        ---------
        rows : numpy.ndarray
            Indices of the items.
        taken : dict, optional
            Arrays of these rows that metrics share, at first empty.

        Returns
        -------
        Entry
        """
        taken = {} if taken is None else taken
        arrays = {}
        for name, array in self.arrays.items():
            if id(array) not in taken:
                taken[id(array)] = array[rows]
            arrays[name] = taken[id(array)]
        terms = {name: term.take(rows, taken) for name, term in self.terms.items()}
        return self._replace(arrays=arrays, terms=terms)

    @property
    def columns(self) -> int:
        """Numbers that the widest table has for an item."""
        own = (array.shape[1] for array in self.arrays.values() if array.ndim == 2)
        return max((1, *own, *(term.columns for term in self.terms.values())))

    @property
    def is_finite(self) -> bool:
        """False if a value is infinite."""
        fine = not any(np.isinf(array).any() for array in self.arrays.values())
        return fine and all(term.is_finite for term in self.terms.values())


def entries_of(metrics: Mapping[str, Any], items: int) -> dict[str, Entry]:
    """Returns the checked entries of metrics.

    Arguments
    ---------
    metrics : dict
        Names to the values of ``metrics`` in the file; the arrays may be of numpy.
    items : int
        Number of items.

    Returns
    -------
    dict of str to Entry

    Raises
    ------
    ValueError
        If one is not what its kind asks for; the message names it.

    Example
    -------
    >>> accuracy = {"kind": "mean", "values": [1, 0]}
    >>> entries_of({"accuracy": accuracy}, 2)["accuracy"].arrays
    {'values': array([1., 0.])}
    """
    entries: dict[str, Entry] = {}
    shared: dict = {}
    for name in sorted(metrics, key=lambda name: _order(metrics[name])):
        try:
            entries[name] = _entry(metrics[name], items, entries, shared)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"metric '{name}': {reason}") from error
    return {name: entries[name] for name in metrics}


def _order(values):
    """Returns 0 for a metric with arrays of its own, more for one that needs others."""
    return 2 if "terms" in values else 1 if "of" in values else 0


def _mean_of(values, entries):
    """Returns the entry of a mean of other metrics, which are no such means."""
    terms = {name: entries[name] for name in values["terms"]}
    complement = tuple(values.get("complement") or ())
    if not terms or set(complement) - set(terms):
        raise ValueError("'terms' are names of metrics, and 'complement' some of them")
    if any(term.kind == MEAN_OF for term in terms.values()):
        raise ValueError("a term is a mean of others itself")
    return Entry(MEAN_OF, {}, _parameters(values, ("least",)), terms, complement)


def _parameters(values, known):
    parameters = values.get("parameters") or {}
    if unknown := set(parameters) - set(known):
        raise ValueError(f"unknown parameters {sorted(unknown)}")
    return {name: float(value) for name, value in parameters.items()}


def _entry(values, items, entries, shared):
    if values["kind"] == MEAN_OF:
        return _mean_of(values, entries)
    kind = KINDS.get(values["kind"])
    if kind is None:
        raise ValueError(f"unknown kind '{values['kind']}'; there are {[*KINDS]}")
    if "of" in values:
        source = entries[values["of"]].arrays
    else:
        wanted = [*kind.arrays, *(name for name in kind.optional if name in values)]
        source = {name: read_array(values[name], items) for name in wanted}
    arrays = {name: source[name] for name in source if name in kind.arrays}
    arrays |= {name: source[name] for name in kind.optional if name in source}
    for name in kind.arrays:
        if not kind.gaps and np.isnan(arrays[name]).any():
            raise ValueError(f"'{name}' lacks a value")
    entry = Entry(values["kind"], arrays, _parameters(values, kind.parameters))
    if entry.is_finite:
        if entry.weighted(shared).of(np.ones((items, 1))).shape != (1,):
            raise ValueError("its arrays do not fit together")
    return entry


def as_json(entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Returns the values of ``metrics`` in the file.

    Arguments
    ---------
    entries : dict of str to Entry
        Output of :func:`entries_of`.

    Returns
    -------
    dict

    Example
    -------
    >>> values = {"wer": {"kind": "ratio", "numerators": [1], "denominators": [4]}}
    >>> as_json(entries_of(values, 1)) == values
    True
    """
    values: dict[str, Any] = {}
    for name, entry in entries.items():
        values[name] = {"kind": entry.kind}
        before = (o for o in values if o != name and _same(entries[o], entry))
        if entry.terms:
            values[name] |= {"terms": list(entry.terms)}
            values[name] |= {"complement": list(entry.complement)}
        elif (other := next(before, None)) is not None:
            values[name]["of"] = other
        else:
            values[name] |= {k: write_array(array) for k, array in entry.arrays.items()}
        if entry.parameters:
            values[name]["parameters"] = dict(entry.parameters)
    return values


def _same(one, other):
    """Returns whether two entries share their arrays."""
    return bool(one.arrays) and all(
        array is other.arrays.get(name) for name, array in one.arrays.items()
    )
