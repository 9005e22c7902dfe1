"""Metrics of tasks in which an example may have any number of labels.

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
    precisions = [
        _average_precision(column, target)
        for column, target in zip(scores.T, true.T)
        if target.any()
    ]
    return sum(precisions) / len(precisions) if precisions else 0.0


def _average_precision(scores, true):
    scores, order = scores.sort(descending=True, stable=True)
    right = true[order].cumsum(0).double()
    rank = torch.arange(1, len(scores) + 1)
    # Equal scores are one threshold: all count from the last of them on
    ends = torch.cat([scores[1:] != scores[:-1], torch.ones(1, dtype=torch.bool)])
    right, precision = right[ends], (right / rank)[ends]
    recall = right / right[-1]
    return (precision * recall.diff(prepend=recall.new_zeros(1))).sum().item()
