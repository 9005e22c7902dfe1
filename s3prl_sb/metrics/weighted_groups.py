"""Metrics of the means of groups of items, such as systems, for any weights of items.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

from s3prl_sb.metrics.weighted_ranks import correlation
from s3prl_sb.metrics.weighted_sums import Array, Weighted, indicator, over

DIGITS = (
    10  # decimals of means that are compared; sums of other weights round otherwise
)


def group_mse(x: Array, y: Array, groups: Array) -> Weighted:
    """Returns the mean over groups of the squared difference of their means.

    Arguments
    ---------
    x, y : numpy.ndarray
        [items].
    groups : numpy.ndarray
        [items], number of the group of each item; one without an item in a draw does
        not count.

    Returns
    -------
    Weighted
        An item alone has no value, as of all metrics of this module.

    Example
    -------
    >>> x, y, groups = np.array([1.0, 3.0, 2.0]), np.array([2.0, 2.0, 4.0]), [0, 0, 1]
    >>> group_mse(x, y, np.array(groups)).of(np.array([[1.0, 0], [1, 1], [1, 1]]))
    array([2. , 2.5])
    """

    def error(there, x, y):
        return over((there * (x - y) ** 2).sum(0), there.sum(0))

    return _of_means(error, x, y, groups)


def group_pearson(x: Array, y: Array, groups: Array) -> Weighted:
    """Returns Pearson's correlation of the means of groups.

    Arguments
    ---------
    x, y, groups : numpy.ndarray
        See :func:`group_mse`.

    Returns
    -------
    Weighted
    """
    return _of_means(correlation, x, y, groups)


def group_spearman(x: Array, y: Array, groups: Array) -> Weighted:
    """Returns the rank correlation of the means of groups.

    Arguments
    ---------
    x, y, groups : numpy.ndarray
        See :func:`group_mse`.

    Returns
    -------
    Weighted
    """

    def of(there, x, y):
        # Groups that are not there come last, and do not count
        ranks = (
            rankdata(np.where(there > 0, side.round(DIGITS), np.inf), axis=0)
            for side in (x, y)
        )
        return correlation(there, *ranks)

    return _of_means(of, x, y, groups)


def _of_means(metric: Callable[[Array, Array, Array], Array], x, y, groups) -> Weighted:
    """Returns a metric of the presence of groups and two means, all [groups, draws]."""
    _, numbers = np.unique(groups, return_inverse=True)
    members = indicator(numbers, np.ones(len(numbers))).T.tocsr()

    def of(weights):
        sizes = members @ weights
        means = (
            over(members @ (weights * side[:, None]), sizes, 0.0) for side in (x, y)
        )
        return metric((sizes > 0).astype(float), *means)

    return Weighted(of)
