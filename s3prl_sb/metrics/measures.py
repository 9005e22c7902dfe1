"""``measures.json``: the share of each item of a test set in each metric of a run.

Intervals of metrics, of their differences between runs, and the utterances that runs
differ in need nothing else. The file has, beside ``version``,

``unit``
    the name of what the bootstrap draws: "utterance", "speaker", "recording", "query"
``items``
    ids of the rows, such as utterances, trials or queries
``units``
    null: each item is a unit of its own; or the unit of each item, such as its speaker;
    or a pair for each item, such as the two speakers of a trial
``strata``
    null, or the stratum of each item, such as its fold: units are drawn within strata,
    and a metric is the mean over them, or the sum by their ``shares``
``metrics``
    names, those of results.json, to a ``kind`` of
    :data:`s3prl_sb.metrics.resampled.KINDS`, its arrays and its ``parameters``; or
    ``of``, another metric that has the same arrays

Arrays and tables are those of :mod:`s3prl_sb.metrics.measure_tables`.

Authors
 * The s3prl_sb developers, 2026
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from s3prl_sb.errors import UserError
from s3prl_sb.metrics import measure_draws as drawing
from s3prl_sb.metrics.bootstrap import LEVEL, RESAMPLES, Interval
from s3prl_sb.metrics.measure_entries import Entry, as_json, entries_of
from s3prl_sb.metrics.measure_intervals import combined, difference, intervals_of
from s3prl_sb.metrics.measure_parts import together
from s3prl_sb.metrics.weighted_sums import ByItem
from s3prl_sb.storage.files import naming, read_json, write_text

__all__ = ["FILE", "Measures", "combined", "difference", "intervals_of"]

FILE = "measures.json"
WHAT, FIX = "the measures of a run", "Delete it, or evaluate the run again."
VERSION, READ = 2, (1, 2)  # the first one had no packed tables

Unit = str | Sequence[str]


@dataclass(frozen=True)
class Measures:
    """Measures of a run, item by item; make them with :meth:`build` or :meth:`read`.

    Arguments
    ---------
    unit : str
        Name of what is drawn.
    items : list of str
        Ids, unique.
    entries : dict of str to Entry
        Names of metrics to their arrays.
    units : list of str, or of pairs, optional
        Units of the items; default: each item is one.
    strata : list of str, optional
        Strata of the items.
    shares : dict of str to float, optional
        Shares of the strata in a metric; default: all the same.

    Example
    -------
    >>> wer = {"kind": "ratio", "numerators": [1, 0, 2], "denominators": [10, 10, 20]}
    >>> measures = Measures.build("utterance", ["a", "b", "c"], {"wer": wer})
    >>> measures.interval("wer", resamples=200)
    Interval(value=0.075, low=0.0, high=0.1)
    """

    unit: str
    items: Sequence[str]
    entries: Mapping[str, Entry]
    units: Sequence[Unit] | None = None
    strata: Sequence[str] | None = None
    shares: Mapping[str, float] | None = None

    @classmethod
    def build(
        cls,
        unit: str,
        items: Sequence[str],
        metrics: Mapping[str, Any],
        units: Sequence[Unit] | None = None,
        strata: Sequence[str] | None = None,
        shares: Mapping[str, float] | None = None,
    ) -> "Measures":
        """Returns measures of arrays.

        Arguments
        ---------
        unit, items, units, strata, shares
            See :class:`Measures`.
        metrics : dict
            Names to dicts as in the file, see :mod:`s3prl_sb.metrics.measures`; arrays
            may be lists, of numpy, or on the CPU of torch. A metric with an infinite
            value is left out: it has no interval.

        Returns
        -------
        Measures

        Raises
        ------
        ValueError
            If there is no item, an id is there twice, or a metric is not of its kind.
        """
        items = list(items)
        if not items or not all(isinstance(item, str) for item in items):
            raise ValueError("'items' are texts, one or more")
        if len(set(items)) < len(items):
            (twice, _), *_ = Counter(items).most_common(1)
            raise ValueError(f"item '{twice}' is there twice")
        if units is not None:
            units = _units(units, items)
        if strata is not None:
            strata = [str(each) for each in strata]
            if len(strata) != len(items):
                raise ValueError(f"{len(strata)} strata of {len(items)} items")
            if shares is not None:
                shares = {name: float(shares[name]) for name in set(strata)}
        entries = entries_of(metrics, len(items))
        entries = {name: each for name, each in entries.items() if each.is_finite}
        return cls(str(unit), items, entries, units, strata, shares)

    @classmethod
    def read(cls, folder: str | Path) -> "Measures | None":
        """Reads the measures of a run.

        Arguments
        ---------
        folder : str
            Folder of a run, or an export. The parts of a run of folds are its strata.

        Returns
        -------
        Measures or None
            None if it has none, such as a run of an older version.

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If the file is damaged.
        """
        path = Path(folder, FILE)
        if not path.is_file():
            return _of_folds(Path(folder))
        values = read_json(path, WHAT, FIX, kind=dict)
        if not {"version", "metrics"} & set(values):
            return None  # counts of scenes, which had this name in an older version
        with naming(path, WHAT, FIX):
            if values.get("version") not in READ:
                raise ValueError(f"version {values.get('version')}, not {VERSION}")
            arrays = [values[name] for name in ("unit", "items", "metrics")]
            drawn = [values.get(name) for name in ("units", "strata", "shares")]
            return cls.build(*arrays, *drawn)

    def write(self, folder: str | Path) -> None:
        """Writes ``measures.json``.

        Arguments
        ---------
        folder : str
            Folder of the run.
        """
        values = {
            "version": VERSION,
            "unit": self.unit,
            "items": list(self.items),
            "units": self.units,
            "strata": self.strata,
            "shares": self.shares,
            "metrics": as_json(self.entries),
        }
        text = json.dumps(values, separators=(",", ":"), allow_nan=False)
        write_text(Path(folder, FILE), text + "\n")

    @property
    def names(self) -> list[str]:
        """Names of the metrics."""
        return list(self.entries)

    def value(self, name: str) -> float:
        """Returns a metric of all items; NaN where it is not defined.

        Arguments
        ---------
        name : str
            One of :attr:`names`.

        Returns
        -------
        float
        """
        return float(drawing.values([self.entry(name)], self)[0])

    def values(self) -> dict[str, float]:
        """Returns all metrics of all items, in less time than one by one.

        Returns
        -------
        dict of str to float
            NaN where one is not defined.
        """
        numbers = drawing.values(list(self.entries.values()), self)
        return dict(zip(self.names, numbers.tolist()))

    def by_item(self, name: str) -> ByItem | None:
        """Returns a metric of each item alone.

        Arguments
        ---------
        name : str
            One of :attr:`names`.

        Returns
        -------
        values : numpy.ndarray
            [items], NaN where it is not defined.
        weights : numpy.ndarray
            [items], weights in the metric of all, such as numbers of words.
        None
            Instead of both, if an item alone has no value, as in an equal error rate.
        """
        return self.entry(name).weighted().by_item

    def only(self, items: Sequence[str]) -> "Measures":
        """Returns the measures of some items, in the order of these.

        Arguments
        ---------
        items : list of str
            Ids of items.

        Returns
        -------
        Measures
            Without strata that have no item left; the shares of the others grow in
            proportion.
        """
        if list(items) == self.items:
            return self
        places = {item: row for row, item in enumerate(self.items)}
        rows = np.array([places[item] for item in items], int)
        taken: dict = {}
        strata = self.strata and [self.strata[row] for row in rows]
        entries = {n: entry.take(rows, taken) for n, entry in self.entries.items()}
        return replace(
            self,
            items=list(items),
            entries=entries,
            units=self.units and [self.units[row] for row in rows],
            strata=strata,
            shares=_shares(self.shares, strata),
        )

    def without(self, names: Collection[str]) -> "Measures":
        """Returns the measures without some metrics, and means of these.

        Arguments
        ---------
        names : collection of str
            Names of metrics.

        Returns
        -------
        Measures
        """
        left = {
            name: entry
            for name, entry in self.entries.items()
            if name not in names and not set(entry.terms) & set(names)
        }
        return replace(self, entries=left)

    def interval(
        self,
        name: str,
        level: float = LEVEL,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> Interval:
        """Computes the interval of a metric.

        Arguments
        ---------
        name : str
            One of :attr:`names`.
        level, resamples, seed
            See :func:`s3prl_sb.metrics.bootstrap.interval`.

        Returns
        -------
        Interval
            NaN where it is not defined.
        """
        return combined([self], name, level, resamples, seed)

    def paired(
        self,
        other: "Measures",
        name: str,
        level: float = LEVEL,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> Interval:
        """Computes the interval of the difference to another run, other minus self.

        Arguments
        ---------
        other : Measures
            Measures of another run on the same items.
        name, level, resamples, seed
            See :meth:`interval`.

        Returns
        -------
        Interval
            If it does not hold zero, the difference is significant.

        Raises
        ------
        s3prl_sb.metrics.same_items.OtherTestSet
            If the items are not the same; the message names those that differ.
        """
        return difference([self], [other], name, level, resamples, seed).interval

    def entry(self, name: str) -> Entry:
        """Returns the arrays of a metric.

        Arguments
        ---------
        name : str
            One of :attr:`names`.

        Returns
        -------
        Entry

        Raises
        ------
        UserError
            If there are no measures of this name.
        """
        if name not in self.entries:
            raise UserError(
                f"there are no measures of '{name}'; there are: {', '.join(self.names)}"
            )
        return self.entries[name]


def _units(units, items):
    """Returns the checked units of items: texts, or pairs of texts."""
    units = [each if isinstance(each, str) else list(each) for each in units]
    pairs = [each for each in units if not isinstance(each, str)]
    if len(units) != len(items) or (pairs and len(pairs) < len(units)):
        raise ValueError("'units' are a text, or a pair of texts, for each item")
    if not all(len(p) == 2 and all(isinstance(u, str) for u in p) for p in pairs):
        raise ValueError("a pair of 'units' is two texts")
    return units


def _shares(shares, strata):
    """Returns the shares of the strata that have an item."""
    there = set(strata or ())
    left = {name: share for name, share in (shares or {}).items() if name in there}
    if len(left) == len(shares or {}):
        return shares
    whole = sum(left.values())
    return {name: share / whole for name, share in left.items()}


def _of_folds(folder):
    """Returns the measures of the parts of a run as strata, or None."""
    path = folder / "results.json"
    if not path.is_file():
        return None
    results = read_json(path, "the results of a run", kind=dict)
    with naming(path, "the results of a run"):
        folds = {str(fold["fold"]): fold for fold in results.get("folds") or ()}
        groups = {name: fold.get("group", name) for name, fold in folds.items()}
        parts = {name: Measures.read(folder / f["folder"]) for name, f in folds.items()}
        if not parts or None in parts.values():
            return None
        return Measures(**together(parts, groups))
