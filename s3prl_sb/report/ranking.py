"""Which examples of a run are the worst ones.

The value of an example is that of measures.json; runs without it, and measures
that single examples do not have, are ranked by the row itself.

Authors
 * The s3prl_sb developers, 2026
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from s3prl_sb.report import histories
from s3prl_sb.report.example_kinds import Keys, Kind, Row, kind_of, title
from s3prl_sb.report.gathered import Run
from s3prl_sb.runs.suite_tasks import metrics_of
from s3prl_sb.terminal.quantities import is_share, measure

PREDICTIONS = "predictions.csv"


class Ranked(NamedTuple):
    """Example of a run.

    Arguments
    ---------
    keys : tuple of float
        Numbers that it is ranked by, higher for worse ones.
    row : dict
        Its row of predictions.csv.
    part : Run
        The run, or the fold, that it is of.
    words : str
        Its value, for people.
    """

    keys: Keys
    row: Row
    part: Run
    words: str = ""


class Worst(NamedTuple):
    """The worst examples of a run.

    Arguments
    ---------
    kind : Kind
        Kind of the examples.
    by : str
        Fault of the first ones, for people.
    metric : str
        Metric that they are ranked by; "" if the rows themselves decide.
    faulty, total : int
        Number of examples with a fault, and of all.
    examples : list of Ranked
        The worst first.
    """

    kind: Kind
    by: str
    metric: str
    faulty: int
    total: int
    examples: Sequence[Ranked]


def unit_of(run: Run) -> str:
    """Returns what the texts of a run are compared by: words, characters or phones.

    Example
    -------
    >>> unit_of(Run({"folder": "", "task": "SUPERB/PR", "metrics": {"per": 0.1}}))
    'phones'
    """
    names = [name for name in main_metrics(run)] or [""]
    units = {"per": "phones", "cer": "characters"}
    if names[0] == "error_rate":
        metrics = run.results.get("metrics") or {}
        is_cer = metrics.get("cer") == metrics.get("error_rate") != metrics.get("wer")
        return "characters" if is_cer else "words"
    return units.get(names[0].removesuffix("_lm"), "words")


def main_metrics(run: Run) -> list[str]:
    """Returns the names of the main metrics of a run, the first one first."""
    chosen = (run.results.get("chosen_by") or {}).get("metric")
    metrics = run.results.get("metrics") or {}
    names = [metric.key for metric in metrics_of(run.task)] + [chosen]
    return [name for name in dict.fromkeys(names) if name in metrics]


def parts_of(run: Run) -> list[Run]:
    """Returns the folds that a run is a summary of, or the run itself.

    Notes of a fold are those of the run.
    """
    names = histories.parts_of(run)
    if names == [""]:
        return [run]
    parts = []
    for name in names:
        folder = str(run.folder / name)
        part = Run({**run.results, "folds": None, "folder": folder}, run.shelf)
        part.notes = run.notes
        parts.append(part)
    return parts


def worst(run: Run, most: int) -> Worst | None:
    """Returns the worst examples of a run.

    Arguments
    ---------
    run : Run
        A run.
    most : int
        Most examples; of trials and searches, of each kind of faults.

    Returns
    -------
    Worst or None
        None without predictions.
    """
    parts = parts_of(run)
    tables = [(part, part.table(PREDICTIONS) or []) for part in parts]
    kind = next((kind_of(rows) for _, rows in tables if rows), None)
    if kind is None:
        return None
    metric, values = _measured(parts, kind)
    found = []
    for part, rows in tables:
        if rows and kind_of(rows) is kind:
            found += _ranked(part, rows, kind, values.get(str(part.folder)), metric)
    sides: dict[str, list[Ranked]] = {}
    for each in found:
        sides.setdefault(each.row[kind.sides] if kind.sides else "", []).append(each)
    chosen = [
        each
        for side in sorted(sides)
        for each in heapq.nsmallest(most, sides[side], key=_place)
    ]
    total = sum(len(rows) for _, rows in tables)
    by = f"worst {title(metric)}" if metric else kind.by
    return Worst(kind, by, metric, len(found), total, chosen)


def _place(ranked):
    return tuple(-key for key in ranked.keys), str(list(ranked.row.values())[:2])


def _ranked(part, rows, kind, values, metric) -> Iterator[Ranked]:
    unit = unit_of(part)
    for row in rows:
        if None in row or None in row.values():  # of another length than the header
            continue
        if values is None:
            keys = kind.keys(row, unit)
            keys = keys and tuple(-math.inf if math.isnan(k) else k for k in keys)
            words = ""
        else:
            value, weight = values.get(row.get("id"), (math.nan, 0.0))
            keys, words = (
                _by_value(metric, value, weight, part),
                measure(metric, float(value)),
            )
            more = kind.keys(row, unit) if kind.name in ("labels", "intents") else None
            keys = keys and (*keys, *(more or ()))
        if keys is not None:
            yield Ranked(keys, row, part, words)


def _by_value(metric, value, weight, run):
    """Returns the rank of a value of a metric: None for a perfect or a missing one."""
    if math.isnan(value) or weight <= 0:
        return None
    chosen = run.results.get("chosen_by") or {}
    higher = {each.key: each.higher for each in metrics_of(run.task)}
    rises = higher.get(metric, bool(chosen.get("highest")))
    if (value >= 1 and is_share(metric)) if rises else value <= 0:
        return None
    return (-value if rises else value), weight


def _measured(parts, kind):
    """Returns the metric that examples are ranked by, and its values by part."""
    if kind.name in ("trials", "queries", "tags", "values", "phones"):
        return "", {}
    for metric in main_metrics(parts[0]):
        values = {}
        for part in parts:
            measures = part.measures
            if measures is None or metric not in measures.names:
                break
            each = measures.by_item(metric)
            if each is None:
                break
            values[str(part.folder)] = dict(zip(measures.items, zip(*each)))
        if len(values) == len(parts):
            return metric, values
    return "", {}
