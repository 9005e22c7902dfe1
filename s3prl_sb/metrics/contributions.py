"""Contributions of the items of a test to its metrics, as ``measures.json`` has them.

The kinds of contributions, and the metrics that are computed of them, are those of
:mod:`s3prl_sb.metrics.resampled`.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from s3prl_sb.metrics.sound_events import EventCounts
from s3prl_sb.metrics.transcription import Edits
from s3prl_sb.metrics.weighted_labels import places

#: Contributions to one metric: its ``kind``, and arrays with a number for each item.
Entry = dict[str, Any]
Numbers = Sequence[float] | np.ndarray | torch.Tensor

LARGEST = 1 << 24  # scores of examples and labels


def ratio(
    numerators: Numbers, denominators: Numbers, empty: float | None = None
) -> Entry:
    """Returns the contributions to a ratio of sums, such as an error rate.

    Arguments
    ---------
    numerators, denominators : list of float
        [items].
    empty : float, optional
        Value where all denominators are 0. Default: there is none.

    Returns
    -------
    dict

    Example
    -------
    >>> ratio([1, 0], [4, 2])
    {'kind': 'ratio', 'numerators': [1, 0], 'denominators': [4, 2]}
    """
    sides = {"numerators": plain(numerators), "denominators": plain(denominators)}
    more = {} if empty is None else {"parameters": {"empty": empty}}
    return {"kind": "ratio", **sides, **more}


def mean(values: Iterable[float | None]) -> Entry:
    """Returns the contributions to a mean over items.

    Arguments
    ---------
    values : list of float
        [items]; None and NaN: the item does not count.

    Returns
    -------
    dict

    Example
    -------
    >>> mean([0.5, math.nan, 1])
    {'kind': 'mean', 'values': [0.5, None, 1]}
    """
    return {"kind": "mean", "values": plain(values)}


def error_rate(edits: Iterable[Edits]) -> Entry:
    """Returns the contributions to an error rate of texts.

    Arguments
    ---------
    edits : list of Edits
        Edits of each utterance.

    Returns
    -------
    dict

    Example
    -------
    >>> error_rate([Edits(insertions=1, tokens=3)])["numerators"]
    [1]
    """
    edits = list(edits)
    return ratio([each.total for each in edits], [each.tokens for each in edits])


def of_classes(predicted: torch.Tensor, true: torch.Tensor) -> dict[str, Entry]:
    """Returns the contributions to the metrics of one label per item.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [items], indices of the labels.

    Returns
    -------
    dict
        "accuracy", "balanced_accuracy" and "macro_f1", see
        :mod:`s3prl_sb.metrics.classification`.

    Example
    -------
    >>> entries = of_classes(torch.tensor([0, 1]), torch.tensor([0, 0]))
    >>> entries["accuracy"]["values"], entries["balanced_accuracy"]["groups"]
    ([1, 0], [0, 0])
    """
    right = (predicted == true).long()
    return {
        "accuracy": mean(right),
        "balanced_accuracy": group_ratio(right, torch.ones_like(right), true),
        "macro_f1": {
            "kind": "macro_f1",
            "predictions": plain(predicted),
            "targets": plain(true),
        },
    }


def of_drawn_classes(predicted: torch.Tensor, true: torch.Tensor) -> dict[str, Entry]:
    """Returns the contributions to the metrics of one label per item, where labels,
    such as speakers, are what is drawn.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [items], indices of the labels.

    Returns
    -------
    dict
        "accuracy"; "balanced_accuracy" as a ratio of sums in which each label weighs 1,
        so that one that is drawn twice weighs 2; "macro_f1", see
        :func:`s3prl_sb.metrics.weighted_sums.drawn_macro_f1`.

    Example
    -------
    >>> entries = of_drawn_classes(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
    >>> entries["balanced_accuracy"]["denominators"]
    [0.5, 0.5, 1.0]
    """
    right = (predicted == true).long()
    shares = 1 / torch.bincount(true).double()[true]
    sides = {"predictions": plain(predicted), "targets": plain(true)}
    return {
        "accuracy": mean(right),
        "balanced_accuracy": ratio(right * shares, shares),
        "macro_f1": {"kind": "drawn_macro_f1", **sides},
    }


def group_ratio(numerators: Numbers, denominators: Numbers, groups: Numbers) -> Entry:
    """Returns the contributions to a mean over groups of ratios of sums.

    Arguments
    ---------
    numerators, denominators : list of float
        [items]; None: the item does not count.
    groups : list of int
        [items], number of the group of each item.

    Returns
    -------
    dict

    Example
    -------
    >>> group_ratio([1, 0], [4, 2], [0, 1])["groups"]
    [0, 1]
    """
    entry = ratio(numerators, denominators)
    return {**entry, "kind": "group_ratio", "groups": plain(groups)}


def label_f1(right: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> Entry:
    """Returns the contributions to the mean F1 score of labels.

    Arguments
    ---------
    right, predicted, true : numpy.ndarray
        [items, labels], numbers of decisions, such as frames.

    Returns
    -------
    dict

    Example
    -------
    >>> label_f1(*(np.array([[count]]) for count in (1, 1, 2)))["denominators"]
    array([[3]])
    """
    return {
        "kind": "macro_ratio",
        "numerators": 2 * right,
        "denominators": predicted + true,
        "parameters": {"empty": 0.0},
    }


def of_scores(scores: torch.Tensor, true: torch.Tensor) -> dict[str, Entry]:
    """Returns the contributions to the metrics of scores, means over labels.

    Arguments
    ---------
    scores : torch.Tensor
        [items, labels].
    true : torch.Tensor
        [items, labels], bool.

    Returns
    -------
    dict
        "mean_average_precision", "d_prime" and "auc", see
        :mod:`s3prl_sb.metrics.multi_label`; empty if there are more than
        :data:`LARGEST` scores. Scores are replaced by their
        :func:`~s3prl_sb.metrics.weighted_labels.places`.

    Example
    -------
    >>> scores = torch.tensor([[0.9, 0.1], [0.2, 0.1]])
    >>> entries = of_scores(scores, torch.tensor([[1, 0], [1, 1]]).bool())
    >>> entries["mean_average_precision"]["scores"].tolist()
    [[3, 1], [1, 1]]
    """
    if scores.numel() > LARGEST:
        return {}
    sides = scores.numpy(), true.int().numpy()
    name = "mean_average_precision"
    arrays = {"scores": places(*sides), "targets": sides[1]}
    others = {kind: {"kind": kind, "of": name} for kind in ("d_prime", "auc")}
    return {name: {"kind": "average_precision", **arrays}, **others}


def of_events(counts: EventCounts, kind: str) -> dict[str, Entry]:
    """Returns the contributions to the scores of sound events.

    Arguments
    ---------
    counts : EventCounts
        Counts of each recording, which has its place among the items.
    kind : str
        Beginning of the names: "segment", "onset" or "event".

    Returns
    -------
    dict
        ``<kind>_f1``, ``<kind>_f1_macro``, and ``<kind>_error_rate`` if there are
        errors; empty without a true event.

    Example
    -------
    >>> from s3prl_sb.metrics.sound_events import event_counts
    >>> counts = event_counts({"a": [("dog", 1.0, 2.0)]}, {"a": [("dog", 1.1, 2.0)]})
    >>> of_events(counts, "onset")["onset_f1"]["numerators"]
    [2]
    """
    if not counts.reference.any():
        return {}
    sides = counts.right, counts.estimated, counts.reference
    size = (counts.estimated + counts.reference).sum(1)
    entries = {
        f"{kind}_f1": ratio(2 * counts.right.sum(1), size),
        f"{kind}_f1_macro": {**label_f1(*sides), "present": counts.reference},
    }
    if counts.errors is not None:
        rate = ratio(counts.errors, counts.reference.sum(1))
        entries[f"{kind}_error_rate"] = rate
    return entries


def of_rows(rows: Iterable[Mapping[str, float | None]]) -> dict[str, Entry]:
    """Returns the contributions to the means of metrics of single items.

    Arguments
    ---------
    rows : list of dict
        For each item names of metrics to numbers; a missing one, None and NaN do not
        count.

    Returns
    -------
    dict
        A mean of each metric that any item has.

    Example
    -------
    >>> of_rows([{"pesq": 2.5}, {"pesq": None}])
    {'pesq': {'kind': 'mean', 'values': [2.5, None]}}
    """
    rows = list(rows)
    entries = {
        name: mean(row.get(name) for row in rows)
        for name in dict.fromkeys(name for row in rows for name in row)
    }
    return {n: e for n, e in entries.items() if any(v is not None for v in e["values"])}


def plain(values: Iterable[Any]) -> list:
    """Returns numbers as JSON values; None for those that are not finite.

    Arguments
    ---------
    values : list, numpy.ndarray or torch.Tensor
        Numbers, or None.

    Returns
    -------
    list

    Example
    -------
    >>> plain(np.array([1.0, np.inf])), plain([None, True])
    ([1.0, None], [None, True])
    """
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    return [n if n is not None and math.isfinite(n) else None for n in listed]
