"""Which examples of a run are the worst ones.

What a run was tested on decides what an example is: the columns of predictions.csv say
it. The value of an example is that of measures.json; runs without it, and measures
that single examples do not have, are ranked by the row itself.

Authors
 * The s3prl_sb developers, 2026
"""

import heapq
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from s3prl_sb.metrics.transcription import edits
from s3prl_sb.report.alignment import tokens
from s3prl_sb.report.gathered import Run
from s3prl_sb.runs.suite_tasks import metrics_of
from s3prl_sb.terminal.quantities import count, is_share, measure

PREDICTIONS = "predictions.csv"
LARGEST = 100_000_000  # bytes of predictions that are searched
#: Abbreviations in the names of columns and metrics.
SHORT = {name.lower(): name for name in "ID DER WER CER PER EER cpWER tcpWER F1 MCD F0 "
         "PESQ STOI SI SDR LM".split()}  # fmt: skip
Row = Mapping[str, str]
Keys = tuple[float, ...]


class Ranked(NamedTuple):
    """Example of a run.

    Arguments
    ---------
    keys : tuple of float
        What it is ranked by, higher for worse ones.
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


class Kind(NamedTuple):
    """Kind of examples.

    Arguments
    ---------
    name : str
        Name of the kind, which decides how they are shown.
    columns : frozenset
        Columns of predictions.csv by which the kind is known.
    noun : str
        What an example is, in the plural.
    keys : callable
        Function of a row and the unit of texts that returns what it is ranked by, or
        None for an example without a fault.
    by : str
        What the first ones have, for people.
    sides : str, optional
        Column of two kinds of faults, each of which has a list of its own.
    """

    name: str
    columns: frozenset[str]
    noun: str
    keys: Callable[[Row, str], Keys | None]
    by: str
    sides: str | None = None


class Worst(NamedTuple):
    """The worst examples of a run.

    Arguments
    ---------
    kind : Kind
        What they are.
    by : str
        What the first ones have, for people.
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


def title(column: str) -> str:
    """Returns the name of a column or a metric for people.

    Example
    -------
    >>> title("si_sdr_improvement"), title("frame_accuracy")
    ('SI SDR improvement', 'frame accuracy')
    """
    return " ".join(SHORT.get(word, word) for word in column.split("_"))


def number(row: Row, column: str) -> float:
    """Returns a number of a row; NaN if it is missing, or none.

    Example
    -------
    >>> number({"a": "0.5", "b": ""}, "a"), number({"a": "0.5", "b": ""}, "b")
    (0.5, nan)
    """
    try:
        return float(row.get(column) or math.nan)
    except ValueError:
        return math.nan


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


def _texts(row, unit):
    pair = (tokens(row[side] or "", unit) for side in ("prediction", "reference"))
    found = edits(*pair)
    if not found.total:
        return None
    return found.total / max(found.tokens, 1), found.total


def _labels(row, unit):
    return None if row["prediction"] == row["label"] else (number(row, "score"),)


def _intents(row, unit):
    slots = [name.removesuffix("_label") for name in row if name.endswith("_label")]
    wrong = sum(row[f"{s}_label"] != row.get(f"{s}_prediction") for s in slots)
    return (wrong, number(row, "score")) if wrong else None


def _tags(row, unit):
    wrong = set(row["labels"].split(";")) ^ set(row["prediction"].split(";"))
    return (len(wrong),) if wrong - {""} else None


def _trials(row, unit):
    if row["prediction"] == row["label"]:
        return None
    score = number(row, "score")
    return (score if row["label"] == "0" else -score,)


def _queries(row, unit):
    if row["detected"] == row["true"]:
        return None
    score = number(row, "score")
    return (score if row["true"] == "0" else -score,)


def _values(row, unit):
    pairs = pairs_of(row)
    wrong = [abs(number(row, a) - number(row, b)) for a, b in pairs.values()]
    wrong = [each for each in wrong if math.isfinite(each)]
    return (max(wrong),) if wrong and max(wrong) else None


def pairs_of(row: Row) -> dict[str, tuple[str, str]]:
    """Returns the columns of true and predicted numbers, by the name of the number.

    Example
    -------
    >>> pairs_of({"id": "a", "joy": "1", "predicted_joy": "2"})
    {'joy': ('joy', 'predicted_joy')}
    """
    if {"value", "prediction"} <= set(row):
        return {"value": ("value", "prediction")}
    return {n: (n, f"predicted_{n}") for n in row if f"predicted_{n}" in row}


def _rising(*columns: str) -> Callable[[Row, str], Keys | None]:
    """Returns a rank by numbers that are errors: none without the first."""

    def keys(row, unit):
        values = [number(row, column) for column in columns]
        return (
            tuple(0.0 if math.isnan(v) else v for v in values)
            if values[0] > 0
            else None
        )

    return keys


def _falling(column: str, best: float = math.inf) -> Callable[[Row, str], Keys | None]:
    """Returns a rank by a number that is better the higher it is, up to a best one."""

    def keys(row, unit):
        value = number(row, column)
        return (-value,) if value < best else None

    return keys


def _scenes(row, unit):
    costs = [number(row, "der"), number(row, "tcpwer"), 1 - number(row, "event_f1")]
    costs = [cost for cost in costs if math.isfinite(cost)]
    mean = sum(costs) / len(costs) if costs else 0.0
    return (mean,) if mean > 0 else None


def _kind(name, columns, noun, keys, by, sides=None):
    return Kind(name, frozenset(columns.split()), noun, keys, by, sides)


KINDS = (
    _kind(
        "texts", "id reference prediction", "utterances", _texts, "highest error rate"
    ),
    _kind(
        "labels", "id label prediction score", "utterances", _labels, "highest score"
    ),
    _kind("tags", "id labels prediction scores", "clips", _tags, "most wrong labels"),
    _kind(
        "trials",
        "id1 id2 label prediction score",
        "trials",
        _trials,
        "score farthest on the wrong side",
        "label",
    ),
    _kind(
        "queries",
        "query document detected true",
        "pairs",
        _queries,
        "score farthest on the wrong side",
        "true",
    ),
    _kind("scenes", "id twin der tcpwer", "scenes", _scenes, "highest mean error"),
    _kind(
        "speakers",
        "id der missed confusion",
        "recordings",
        _rising("der", "speech"),
        "highest DER",
    ),
    _kind(
        "events",
        "id onset_f1 event_f1",
        "recordings",
        _falling("onset_f1", 1.0),
        "lowest onset F1",
    ),
    _kind(
        "frames",
        "id frames frame_accuracy",
        "utterances",
        _falling("frame_accuracy", 1.0),
        "lowest frame accuracy",
    ),
    _kind(
        "sources",
        "id si_sdr seconds",
        "utterances",
        _falling("si_sdr"),
        "lowest SI-SDR",
    ),
    _kind(
        "converted",
        "id speaker wav mel_l1",
        "utterances",
        _rising("mcd", "mel_l1"),
        "highest MCD",
    ),
    _kind(
        "phones",
        "id phone other error",
        "pairs of phones",
        _rising("error"),
        "highest error",
    ),
    _kind("intents", "id score", "utterances", _intents, "most wrong slots"),
    _kind("values", "id", "utterances", _values, "largest error"),
)


def kind_of(rows: Sequence[Row]) -> Kind | None:
    """Returns the kind of the rows of predictions.csv.

    Example
    -------
    >>> kind_of([{"id": "a", "reference": "b", "prediction": "c"}]).name
    'texts'
    """
    columns = set(rows[0]) if rows else set()
    for kind in KINDS:
        is_known = kind.name != "values" or pairs_of(rows[0])
        if kind.columns <= columns and columns and is_known:
            return kind
    return None


def parts_of(run: Run) -> list[Run]:
    """Returns the folds that a run is a summary of, or the run itself."""
    folds = run.results.get("folds") or ()
    return [
        Run({**run.results, "folds": None, "folder": str(run.folder / each["folder"])})
        for each in folds
        if isinstance(each, dict) and isinstance(each.get("folder"), str)
    ] or [run]


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
    tables = [(part, _table(part, run)) for part in parts]
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


def _table(part, run):
    """Returns the predictions of a part of a run; none if they are too many."""
    path = part.folder / PREDICTIONS
    size = path.stat().st_size if path.is_file() else 0
    if size > LARGEST:
        run.note(
            f"'{path}' has {count(size, 'B')}: its worst examples are not looked for, "
            f"only those of up to {count(LARGEST, 'B')}."
        )
        return []
    return part.table(PREDICTIONS) or []


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
