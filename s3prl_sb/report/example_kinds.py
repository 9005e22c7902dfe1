"""Kinds of examples: utterances, trials, recordings, known by their columns.

The columns of predictions.csv tell what a run was tested on, and how bad a row is.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from s3prl_sb.metrics.transcription import edits
from s3prl_sb.report.alignment import tokens

#: Abbreviations in the names of columns and metrics.
SHORT = {name.lower(): name for name in "ID DER WER CER PER EER cpWER tcpWER F1 MCD F0 "
         "PESQ STOI SI SDR LM".split()}  # fmt: skip
Row = Mapping[str, str]
Keys = tuple[float, ...]


class Kind(NamedTuple):
    """Kind of examples.

    Arguments
    ---------
    name : str
        Name of the kind, which decides how they are shown.
    columns : frozenset
        Columns of predictions.csv by which the kind is known.
    noun : str
        Noun for examples, in the plural.
    keys : callable
        Function of a row and the unit of texts that returns what it is ranked by, or
        None for an example without a fault.
    by : str
        Fault of the first ones, for people.
    sides : str, optional
        Column of two kinds of faults, each of which has a list of its own.
    """

    name: str
    columns: frozenset[str]
    noun: str
    keys: Callable[[Row, str], Keys | None]
    by: str
    sides: str | None = None


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
