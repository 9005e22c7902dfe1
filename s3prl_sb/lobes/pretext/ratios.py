"""Ratios of sums, such as a mean or a share, of which measures consist.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch


def ratio(total: torch.Tensor, number: torch.Tensor) -> float:
    """Returns a ratio of two sums.

    Arguments
    ---------
    total : torch.Tensor
        Sum, a scalar.
    number : torch.Tensor
        Number of what it is summed over, a scalar.

    Returns
    -------
    float
        NaN if the number is 0, because a mean or a share of nothing has no value: 0
        would be the best of all losses.

    Example
    -------
    >>> ratio(torch.tensor(3), torch.tensor(4)), ratio(torch.tensor(0), torch.tensor(0))
    (0.75, nan)
    """
    return float(total) / float(number) if number else math.nan
