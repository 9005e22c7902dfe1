"""Correlations and errors of predicted numbers, for any weights of the items.

With groups, such as the systems that utterances are of, they are those of the means of
the groups. A group that a draw does not hold is left out.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable

import numpy as np
from scipy import sparse, stats

from s3prl_sb.metrics.weighted_sums import Array, Weighted, over

DIGITS = 10  # decimals of means that are ranked: other weights round them otherwise


def pearson(x: Array, y: Array, groups: Array | None = None) -> Weighted:
    """Returns Pearson's correlation, 0 if a side is constant.

    Arguments
    ---------
    x, y : numpy.ndarray
        [items].
    groups : numpy.ndarray, optional
        [items], numbers of groups.

    Returns
    -------
    Weighted
        An item alone has no value.

    Example
    -------
    >>> x, y = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])
    >>> pearson(x, y).of(np.ones((3, 1))).round(4).tolist()
    [0.982]
    """
    if groups is None:
        return Weighted(lambda weights: _correlation(weights, x[:, None], y[:, None]))
    means = _group_means(x, y, groups)

    def of(weights):
        there, *sides = means(weights)
        return _correlation(there.astype(float), *sides)

    return Weighted(of)


def spearman(x: Array, y: Array, groups: Array | None = None) -> Weighted:
    """Returns the correlation of the ranks that the items of a draw have.

    Arguments
    ---------
    x, y, groups
        See :func:`pearson`.

    Returns
    -------
    Weighted
        An item alone has no value.
    """
    if groups is None:
        return Weighted(_rank_correlation(x, y))
    means = _group_means(x, y, groups)

    def of(weights):
        there, *sides = means(weights)
        sides = [np.where(there, side.round(DIGITS), np.inf) for side in sides]
        ranks = [stats.rankdata(side, axis=0) for side in sides]
        return _correlation(there.astype(float), *ranks)

    return Weighted(of)


def group_mse(x: Array, y: Array, groups: Array) -> Weighted:
    """Returns the mean over groups of the squared difference of their means.

    Arguments
    ---------
    x, y, groups
        See :func:`pearson`.

    Returns
    -------
    Weighted
        An item alone has no value.

    Example
    -------
    >>> x, y, groups = np.array([[1.0, 3.0, 5.0], [2.0, 3.0, 4.0], [0.0, 0.0, 1.0]])
    >>> group_mse(x, y, groups).of(np.ones((3, 1))).tolist()
    [0.625]
    """
    means = _group_means(x, y, groups)

    def of(weights):
        there, x, y = means(weights)
        return over((there * (x - y) ** 2).sum(0), there.sum(0))

    return Weighted(of)


def _group_means(x, y, groups) -> Callable[[Array], tuple[Array, ...]]:
    """Returns a function of weights to which groups there are, and the means of both
    sides, all [groups, draws]."""
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    items = np.arange(len(groups))
    sums = sparse.csr_array((np.ones(len(groups)), (numbers, items)))
    # From the first value of the group, so that the mean of equal ones is exact
    starts = [side[first][:, None] for side in (x, y)]
    rests = [(side - side[first][numbers])[:, None] for side in (x, y)]

    def of(weights):
        total = sums @ weights
        means = (
            start + over(sums @ (weights * rest), total, 0.0)
            for start, rest in zip(starts, rests)
        )
        return total > 0, *means

    return of


def _rank_correlation(x, y):
    """Returns a function of weights to the correlation of the ranks, equal values
    having the mean of theirs.

    Both sides are sorted once. Twice the distance of a rank from the middle one is a
    whole number, so that sums are exact as long as they are below 2^53, and a side with
    a single value in a draw has no deviation at all.
    """
    (order, ends), (others, other_ends) = map(_sorting, (x, y))
    places = np.empty(len(y), int)  # in the order of y, of the items in that of x
    places[others] = np.arange(len(y))
    places = places[order]

    def of(weights):
        weights = np.ascontiguousarray(weights.T)  # sums along rows are fast
        mine = weights.take(order, axis=1)
        one, first = _deviations(mine, ends)
        other, second = _deviations(weights.take(others, axis=1), other_ends)
        product = np.einsum("di,di,di->d", mine, one, other.take(places, axis=1))
        return np.clip(over(product, np.sqrt(first) * np.sqrt(second), 0.0), -1, 1)

    return of


def _sorting(values):
    """Returns the order of values, and where each distinct one begins in it, and the
    end."""
    order = np.argsort(values, kind="stable")
    changes = np.diff(values[order]) != 0
    return order, np.concatenate([[0], np.flatnonzero(changes) + 1, [len(values)]])


def _deviations(weights, ends):
    """Returns twice the distance of the ranks of sorted items [draws, items] from the
    middle one, and the sum of its square [draws]."""
    passed = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=passed[:, 1:])
    is_distinct = len(ends) == passed.shape[1]
    passed = passed if is_distinct else passed[:, ends]
    each = passed[:, 1:] + passed[:, :-1]
    each -= passed[:, -1:]
    weights = weights if is_distinct else np.diff(passed)
    squares = np.einsum("di,di,di->d", weights, each, each)
    return each if is_distinct else each.repeat(np.diff(ends), axis=1), squares


def _correlation(weights, x, y):
    """Returns the correlation of sides [items, draws or 1]."""
    sides, heaviest = [], weights.argmax(0)[None]
    for side in (x, y):
        # From a value of the draw first, so that equal ones become exactly 0
        side = np.broadcast_to(side, weights.shape)
        side = side - np.take_along_axis(side, heaviest, 0)
        side = side - over((weights * side).sum(0), weights.sum(0))
        side = np.where(weights > 0, side, 0.0)
        # By the largest first: the squares of tiny numbers would be 0
        sides.append(over(side, np.abs(side).max(0), 0.0))
    x, y = sides
    norms = [(weights * side**2).sum(0) for side in sides]
    product = over((weights * x * y).sum(0), np.sqrt(norms[0] * norms[1]), 0.0)
    return np.clip(product, -1, 1)
