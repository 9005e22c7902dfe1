"""Metrics of tasks in which an example may have any number of labels.

Those of scores also measure tasks with one label an example, each label against all
others.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F

ROOM = 1 << 22  # scores that are sorted together


def macro_f1(predicted: torch.Tensor, true: torch.Tensor) -> float:
    """Returns the mean F1 score of the labels, each over all examples.

    Labels that are neither true nor predicted anywhere do not count.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [examples, labels], bool.

    Returns
    -------
    float
        0 if no label counts.

    Example
    -------
    >>> true = torch.tensor([[1, 0], [1, 1], [0, 1]]).bool()
    >>> round(macro_f1(torch.tensor([[1, 0], [1, 0], [0, 1]]).bool(), true), 4)
    0.8333
    """
    right = (predicted & true).sum(0).double()
    total = predicted.sum(0) + true.sum(0)
    there = total > 0
    if not there.any():
        return 0.0
    return (2 * right[there] / total[there]).mean().item()


def best_threshold(
    scores: torch.Tensor, true: torch.Tensor, thresholds: Iterable[float]
) -> float:
    """Returns the threshold with the best macro F1 score; of equal ones the lowest.

    Arguments
    ---------
    scores : torch.Tensor
        [examples, labels].
    true : torch.Tensor
        [examples, labels], bool.
    thresholds : iterable of float
        Thresholds to choose from.

    Returns
    -------
    float

    Example
    -------
    >>> scores = torch.tensor([[0.1], [0.4], [0.8]])
    >>> best_threshold(scores, torch.tensor([[0], [1], [1]]).bool(), [0.5, 0.3, 0.2])
    0.2
    """
    return max(
        map(float, thresholds),
        key=lambda chosen: (macro_f1(scores > chosen, true), -chosen),
    )


def mean_average_precision(scores: torch.Tensor, true: torch.Tensor) -> float:
    """Returns the mean over labels of the average precision.

    The average precision of a label is the mean, over its true examples, of the
    precision among all examples that score at least as high. Labels without a true
    example do not count.

    Arguments
    ---------
    scores : torch.Tensor
        [examples, labels].
    true : torch.Tensor
        [examples, labels], bool.

    Returns
    -------
    float
        0 if no label counts.

    Example
    -------
    >>> scores = torch.tensor([[0.9], [0.8], [0.7]])
    >>> round(mean_average_precision(scores, torch.tensor([[1], [0], [1]]).bool()), 4)
    0.8333
    """
    return _mean(average_precisions(scores, true), chance=0.0)


def average_precisions(scores: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Returns the average precision of each label.

    Arguments
    ---------
    scores, true
        See :func:`mean_average_precision`.

    Returns
    -------
    torch.Tensor
        [labels], float64; NaN for a label without a true example.

    Example
    -------
    >>> scores = torch.tensor([[0.9, 0.1], [0.8, 0.2]])
    >>> average_precisions(scores, torch.tensor([[0, 0], [1, 0]]).bool())
    tensor([0.5000,    nan], dtype=torch.float64)
    """
    return _precisions_and_areas(scores, true)[0]


def areas_under_roc(scores: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Returns the area under the ROC curve of each label.

    It is the probability that a true example scores higher than another one; an equal
    score counts half.

    Arguments
    ---------
    scores, true
        See :func:`mean_average_precision`.

    Returns
    -------
    torch.Tensor
        [labels], float64; NaN for a label without true or without other examples.

    Example
    -------
    >>> scores = torch.tensor([[0.9], [0.8], [0.8], [0.1]])
    >>> areas_under_roc(scores, torch.tensor([[1], [1], [0], [0]]).bool())
    tensor([0.8750], dtype=torch.float64)
    """
    return _precisions_and_areas(scores, true)[1]


def mean_area_under_roc(scores: torch.Tensor, true: torch.Tensor) -> float:
    """Returns the mean over labels of the area under the ROC curve.

    Arguments
    ---------
    scores, true
        See :func:`mean_average_precision`.

    Returns
    -------
    float
        0.5, which is chance, if no label has true and other examples.

    Example
    -------
    >>> scores = torch.tensor([[0.9, 0.5], [0.8, 0.5]])
    >>> mean_area_under_roc(scores, torch.tensor([[1, 0], [0, 1]]).bool())
    0.75
    """
    return _mean(areas_under_roc(scores, true), chance=0.5)


def d_prime(scores: torch.Tensor, true: torch.Tensor) -> float:
    """Returns the mean over labels of d', the separation of true and other examples.

    The d' of a label is the distance of two normal distributions, in standard
    deviations, whose ROC curve has the area of the label's. An area of 1 would give an
    infinite d'; it counts as if one pair of examples were half wrong.

    Arguments
    ---------
    scores, true
        See :func:`mean_average_precision`.

    Returns
    -------
    float
        0, which is chance, if no label has true and other examples.

    Example
    -------
    >>> scores = torch.tensor([[0.9], [0.8], [0.8], [0.1]])
    >>> round(d_prime(scores, torch.tensor([[1], [1], [0], [0]]).bool()), 4)
    1.6268
    """
    return _d_prime(areas_under_roc(scores, true), true)


def label_measures(scores: torch.Tensor, true: torch.Tensor) -> dict[str, float]:
    """Returns the means over labels of all metrics of scores, in the time of one.

    Arguments
    ---------
    scores, true
        See :func:`mean_average_precision`.

    Returns
    -------
    dict of str to float
        "mean_average_precision", "d_prime" and "auc".

    Example
    -------
    >>> scores = torch.tensor([[0.9], [0.8], [0.7]])
    >>> label_measures(scores, torch.tensor([[1], [0], [1]]).bool())["auc"]
    0.5
    """
    precisions, areas = _precisions_and_areas(scores, true)
    return {
        "mean_average_precision": _mean(precisions, chance=0.0),
        "d_prime": _d_prime(areas, true),
        "auc": _mean(areas, chance=0.5),
    }


def _mean(values, chance):
    """Returns the mean of the values of labels that count."""
    values = values[~values.isnan()]
    return values.mean().item() if len(values) else chance


def _d_prime(areas, true):
    """Returns the mean d' of labels from their areas under the ROC curve."""
    there = true.sum(0).double()
    least = 0.5 / (there * (len(true) - there)).clamp_min(1)
    known = ~areas.isnan()
    areas = areas.clamp(least, 1 - least)[known]
    if not len(areas):
        return 0.0
    return 2**0.5 * torch.special.ndtri(areas).mean().item()


def _precisions_and_areas(scores, true):
    """Returns the average precision and the area under the ROC curve of each label."""
    labels = max(1, ROOM // max(1, len(scores)))  # at once
    pairs = zip(scores.T.split(labels), true.T.split(labels))
    return [torch.cat(values) for values in zip(*(_of_rows(*pair) for pair in pairs))]


def _of_rows(scores, true):
    """Returns the same for [labels, examples]."""
    if not scores.shape[1]:
        return [torch.full((len(scores),), torch.nan, dtype=torch.float64)] * 2
    scores, order = scores.sort(dim=1, descending=True)
    right = true.gather(1, order).double().cumsum(1)
    rank = torch.arange(1, scores.shape[1] + 1).double()
    # Equal scores are one threshold: all count from the last of them on
    ends = F.pad(scores[:, 1:] != scores[:, :-1], (0, 1), value=True)

    def before(counts):  # at the threshold above
        return F.pad(counts.where(ends, 0.0).cummax(1).values[:, :-1], (1, 0))

    new = (right - before(right)).where(ends, 0.0)
    wrong, there = rank - right, right[:, -1]
    others = len(rank) - there
    below = others[:, None] - (wrong + before(wrong)) / 2  # an equal one is half below
    # Without examples of a kind it is 0 / 0, which is NaN
    precisions = (new * right / rank).sum(1) / there
    return precisions, (new * below).sum(1) / (there * others)
