"""Metrics of tasks in which an example may have any number of labels.

Those of scores also measure tasks with one label an example, each label against all
others.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


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
    precisions = average_precisions(scores, true)
    precisions = precisions[~precisions.isnan()]
    return precisions.mean().item() if len(precisions) else 0.0


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
    precisions = [
        _average_precision(column, target) if target.any() else torch.nan
        for column, target in zip(scores.T, true.T)
    ]
    return torch.tensor(precisions, dtype=torch.float64)


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
    areas = []
    for column, target in zip(scores.T, true.T):
        _, group, counts = column.unique(return_inverse=True, return_counts=True)
        ranks = (counts.cumsum(0) - (counts - 1) / 2.0).double()[group]
        there = target.sum().double()
        above = ranks[target].sum() - there * (there + 1) / 2
        areas.append(above / (there * (len(target) - there)))  # 0 / 0 is NaN
    return torch.stack(areas)


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
    areas = areas_under_roc(scores, true)
    areas = areas[~areas.isnan()]
    return areas.mean().item() if len(areas) else 0.5


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
    areas, there = areas_under_roc(scores, true), true.sum(0).double()
    least = 0.5 / (there * (len(true) - there)).clamp_min(1)
    known = ~areas.isnan()
    areas = areas.clamp(least, 1 - least)[known]
    if not len(areas):
        return 0.0
    return 2**0.5 * torch.special.ndtri(areas).mean().item()


def _average_precision(scores, true):
    scores, order = scores.sort(descending=True, stable=True)
    right = true[order].cumsum(0).double()
    rank = torch.arange(1, len(scores) + 1)
    # Equal scores are one threshold: all count from the last of them on
    ends = torch.cat([scores[1:] != scores[:-1], torch.ones(1, dtype=torch.bool)])
    right, precision = right[ends], (right / rank)[ends]
    recall = right / right[-1]
    return (precision * recall.diff(prepend=recall.new_zeros(1))).sum().item()
