"""Arrays of one metric in ``measures.json``, see :mod:`s3prl_sb.metrics.measures`.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from s3prl_sb.metrics.resampled import KINDS, MEAN_OF
from s3prl_sb.metrics.weighted_sums import Array, Weighted, mean_of

LARGEST = 50_000_000  # numbers in a table
SPARSE = 0.2  # share of other numbers than 0 up to which a table is written by them


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

    def weighted(self) -> Weighted:
        """Returns the metric as a function of weights of the items."""
        if self.kind == MEAN_OF:
            terms = [
                (t.weighted(), n in self.complement) for n, t in self.terms.items()
            ]
            return mean_of(terms, **self.parameters)
        return KINDS[self.kind].make(**self.arrays, **self.parameters)

    def take(self, rows: Array) -> "Entry":
        """Returns the metric of some items.

        Arguments
        ---------
        rows : numpy.ndarray
            Indices of the items.

        Returns
        -------
        Entry
        """
        arrays = {name: array[rows] for name, array in self.arrays.items()}
        terms = {name: term.take(rows) for name, term in self.terms.items()}
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
    for name in sorted(metrics, key=lambda name: _order(metrics[name])):
        try:
            entries[name] = _entry(metrics[name], items, entries)
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


def _entry(values, items, entries):
    if values["kind"] == MEAN_OF:
        return _mean_of(values, entries)
    kind = KINDS.get(values["kind"])
    if kind is None:
        raise ValueError(f"unknown kind '{values['kind']}'; there are {[*KINDS]}")
    if "of" in values:
        source = entries[values["of"]].arrays
    else:
        wanted = [*kind.arrays, *(name for name in kind.optional if name in values)]
        source = {name: _array(values[name], items) for name in wanted}
    arrays = {name: source[name] for name in source if name in kind.arrays}
    arrays |= {name: source[name] for name in kind.optional if name in source}
    for name in kind.arrays:
        if not kind.gaps and np.isnan(arrays[name]).any():
            raise ValueError(f"'{name}' lacks a value")
    entry = Entry(values["kind"], arrays, _parameters(values, kind.parameters))
    if entry.is_finite:
        if entry.weighted().of(np.ones((items, 1))).shape != (1,):
            raise ValueError("its arrays do not fit together")
    return entry


def _array(values, items):
    """Returns the rows of items as an array of float64."""
    if isinstance(values, Mapping):
        rows, columns = values["shape"]
        if rows != items or not 0 < rows * columns <= LARGEST:
            raise ValueError(f"a table of shape {values['shape']}")
        array = np.zeros((rows, columns))
        array[np.array(values["rows"], int), np.array(values["columns"], int)] = (
            _numbers(values["values"])
        )
        return array
    array = _numbers(values)
    if array.ndim not in (1, 2) or len(array) != items:
        raise ValueError(f"an array of shape {array.shape}, for {items} items")
    return array


def _numbers(values):
    array = np.asarray(values)
    if array.dtype.kind not in "biufO":
        raise ValueError(f"numbers are {array.dtype}")
    return array.astype(float)  # None becomes NaN


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
            values[name] |= {k: _listed(array) for k, array in entry.arrays.items()}
        if entry.parameters:
            values[name]["parameters"] = dict(entry.parameters)
    return values


def _same(one, other):
    """Returns whether two entries share their arrays."""
    return bool(one.arrays) and all(
        array is other.arrays.get(name) for name, array in one.arrays.items()
    )


def _listed(array):
    """Returns an array as JSON values: whole numbers without a point, NaN as None."""
    if array.ndim == 2 and np.count_nonzero(array) <= SPARSE * array.size:
        rows, columns = np.nonzero(array)
        return {
            "shape": list(array.shape),
            "rows": rows.tolist(),
            "columns": columns.tolist(),
            "values": _listed(array[rows, columns]),
        }
    if (np.abs(array) < 2**53).all() and (array == np.rint(array)).all():
        return array.astype(int).tolist()
    if np.isnan(array).any():
        return np.where(np.isnan(array), None, array).tolist()
    return array.tolist()
