"""Counts of classes, such as codes and units: perplexity, and the line of chance.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch


def occurrences(classes: torch.Tensor, total: int) -> torch.Tensor:
    """Returns how often each class occurs; on a GPU, without waiting for it.

    Arguments
    ---------
    classes : torch.Tensor
        Classes [rows], int64.
    total : int
        Number of classes.

    Returns
    -------
    torch.Tensor
        [total], int64.

    Example
    -------
    >>> occurrences(torch.tensor([2, 0, 2]), 4).tolist()
    [1, 0, 2, 0]
    """
    counts = classes.new_zeros(total)
    return counts.scatter_add_(0, classes, torch.ones_like(classes))


def perplexity(counts: torch.Tensor) -> float:
    """Returns the perplexity of classes: their effective number.

    Arguments
    ---------
    counts : torch.Tensor
        Occurrences of each class, [classes].

    Returns
    -------
    float
        1 if a single class occurs, the number of classes if all occur equally often;
        NaN if none occurs.

    Example
    -------
    >>> perplexity(torch.tensor([5, 5, 0]))
    2.0
    """
    return round(math.exp(_entropy(counts)), 12) if bool(counts.any()) else math.nan


def chance(counts: torch.Tensor) -> float:
    """Returns the cross-entropy of the best guess without the audio.

    It is the entropy of the classes with the correction of Miller and Madow (1955),
    because that of a few rows is too small, and at most that of equally frequent
    classes.

    Arguments
    ---------
    counts : torch.Tensor
        Occurrences of each class, [classes].

    Returns
    -------
    float
        In nats; NaN if no class occurs.

    Example
    -------
    >>> round(chance(torch.tensor([500, 500, 0])), 4)  # log 2 and 1 / 2000
    0.6936
    """
    used, total = int((counts > 0).sum()), int(counts.sum())
    if not total:
        return math.nan
    corrected = _entropy(counts) + max(0, used - 1) / (2 * total)
    return min(corrected, math.log(len(counts)))


def _entropy(counts):
    shares = counts.double() / counts.sum().clamp_min(1)
    return float(torch.special.entr(shares).sum())
