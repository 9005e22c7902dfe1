"""Agreement of predicted with true numbers: squared error and correlations.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def mean_squared_error(predicted: torch.Tensor, true: torch.Tensor) -> float:
    """Returns the mean of the squared differences.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [examples].

    Returns
    -------
    float

    Example
    -------
    >>> mean_squared_error(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    2.0
    """
    return (predicted.double() - true.double()).square().mean().item()


def pearson(predicted: torch.Tensor, true: torch.Tensor) -> float:
    """Returns Pearson's linear correlation coefficient.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [examples].

    Returns
    -------
    float
        From -1 to 1; 0 if either side is constant, or if there is only one example: the
        predictions then do not say which example has the larger value.

    Example
    -------
    >>> round(pearson(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 2.0, 3.0])), 4)
    0.982
    >>> pearson(torch.ones(3), torch.tensor([1.0, 2.0, 3.0]))
    0.0
    """
    if _is_constant(predicted) or _is_constant(true):
        return 0.0
    x, y = (_unit(side.double()) for side in (predicted, true))
    return (x @ y).clamp(-1, 1).item()


def spearman(predicted: torch.Tensor, true: torch.Tensor) -> float:
    """Returns Spearman's rank correlation coefficient.

    Equal values have the mean of their ranks.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [examples].

    Returns
    -------
    float
        From -1 to 1; 0 where :func:`pearson` of the ranks is.

    Example
    -------
    >>> round(spearman(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([1.0, 2.0, 3.0])), 9)
    1.0
    """
    return pearson(ranks(predicted), ranks(true))


def ranks(values: torch.Tensor) -> torch.Tensor:
    """Returns the ranks of values, from 1 on; equal values have the mean of theirs.

    Arguments
    ---------
    values : torch.Tensor
        [examples].

    Returns
    -------
    torch.Tensor
        [examples], float64.

    Example
    -------
    >>> ranks(torch.tensor([7.0, 5.0, 7.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, which, counts = values.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    return (last - (counts - 1) / 2)[which]


def _is_constant(values):
    return bool((values == values[0]).all())


def _unit(values):
    """Returns values without their mean, of length 1."""
    centered = values - values.mean()
    # By the largest first: the squares of tiny numbers would be 0
    centered = centered / centered.abs().max()
    return centered / centered.norm()
