"""Metrics that depend on the order of scores, for any weights of the items.

An item of weight 2 counts as two equal items, and one of weight 0 not at all. Scores
are sorted once for all draws.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from s3prl_sb.metrics.weighted_sums import Array, Weighted, over

#: Weights to false acceptance and false rejection rates, both [draws, points].
Curve = Callable[[Array], tuple[Array, Array]]


def equal_error_rate(scores: Array, targets: Array) -> Weighted:
    """Returns the rate at which false acceptances and false rejections are equal.

    Arguments
    ---------
    scores, targets : numpy.ndarray
        [trials], see :func:`s3prl_sb.metrics.verification.equal_error_rate`.

    Returns
    -------
    Weighted
        A trial alone has no value.

    Example
    -------
    >>> scores, targets = np.array([0.9, 0.4, 0.6, 0.1]), np.array([1, 1, 0, 0])
    >>> equal_error_rate(scores, targets).of(np.ones((1, 4))).tolist()
    [0.5]
    """
    curve = _det_curve(scores, targets)

    def of(weights):
        accepted, rejected = curve(weights)
        excess = rejected - accepted  # falls from 1 to -1
        right = (excess <= 0).argmax(1)
        draws = np.arange(len(right))
        one, other = excess[draws, right - 1], excess[draws, right]
        share = over(-other, one - other)
        left, right = accepted[draws, right - 1], accepted[draws, right]
        return right + share * (left - right)

    return Weighted(of)


def minimum_cost(
    scores: Array,
    targets: Array,
    p_target: float = 0.01,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> Weighted:
    """Returns the minimum detection cost.

    Arguments
    ---------
    scores, targets, p_target, c_miss, c_fa
        See :func:`s3prl_sb.metrics.verification.minimum_detection_cost`.

    Returns
    -------
    Weighted
        A trial alone has no value.

    Example
    -------
    >>> scores, targets = np.array([0.9, 0.4, 0.6, 0.1]), np.array([1, 1, 0, 0])
    >>> minimum_cost(scores, targets).of(np.ones((1, 4))).tolist()
    [0.5]
    """
    curve = _det_curve(scores, targets)
    of_rejecting, of_accepting = c_miss * p_target, c_fa * (1 - p_target)

    def of(weights):
        accepted, rejected = curve(weights)
        costs = of_rejecting * rejected + of_accepting * accepted
        return costs.min(1) / min(of_rejecting, of_accepting)

    return Weighted(of)


def _det_curve(scores, targets) -> Curve:
    """Returns the points of a DET curve, the first of which accepts nothing."""
    order, ends = _descending(scores)
    is_target = targets[order] == 1

    def of(weights):
        weights = weights[:, order]
        true, all_ = _passed(weights * is_target, ends), _passed(weights, ends)
        false = all_ - true
        targets, others = true[:, -1:], false[:, -1:]
        return over(false, others), over(targets - true, targets)

    return of


def _descending(scores):
    """Returns the order of falling scores, and the places of the last of equals."""
    order = np.argsort(-scores, kind="stable")
    return order, np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))


def _passed(weights, ends):
    """Returns the sums up to each end, after a zero."""
    passed = np.zeros((len(weights), len(ends) + 1))
    passed[:, 1:] = weights.cumsum(1)[:, ends]
    return passed


def pearson(x: Array, y: Array) -> Weighted:
    """Returns Pearson's correlation, 0 if a side is constant.

    Arguments
    ---------
    x, y : numpy.ndarray
        [items].

    Returns
    -------
    Weighted
        An item alone has no value.

    Example
    -------
    >>> x, y = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])
    >>> pearson(x, y).of(np.ones((1, 3))).round(4).tolist()
    [0.982]
    """
    return Weighted(lambda weights: _correlation(weights, x[None], y[None]))


def spearman(x: Array, y: Array) -> Weighted:
    """Returns the correlation of the ranks that the items of a draw have.

    Arguments
    ---------
    x, y : numpy.ndarray
        [items].

    Returns
    -------
    Weighted
        An item alone has no value.
    """
    rankings = [_ranking(each) for each in (x, y)]
    return Weighted(
        lambda weights: _correlation(weights, *(rank(weights) for rank in rankings))
    )


def _ranking(values):
    """Returns a function of weights to the ranks [draws, items], equal values having
    the mean of theirs."""
    _, groups = np.unique(values, return_inverse=True)
    order = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(groups[order]) != 0, True))

    def of(weights):
        passed = _passed(weights[:, order], ends)
        middle = (passed[:, 1:] + passed[:, :-1]) / 2
        return (middle - weights.sum(1, keepdims=True) / 2)[:, groups]

    return of


def _correlation(weights, x, y):
    """Returns the correlation of sides [draws or 1, items]."""
    sides, heaviest = [], weights.argmax(1)[:, None]
    for side in (x, y):
        # From a value of the draw first, so that equal ones become exactly 0
        side = np.broadcast_to(side, weights.shape)
        side = side - np.take_along_axis(side, heaviest, 1)
        side = side - over((weights * side).sum(1), weights.sum(1))[:, None]
        side = np.where(weights > 0, side, 0.0)
        # By the largest first: the squares of tiny numbers would be 0
        sides.append(over(side, np.abs(side).max(1, keepdims=True), 0.0))
    (x, y), moment = sides, lambda a, b: (weights * a * b).sum(1)
    product = over(moment(x, y), np.sqrt(moment(x, x) * moment(y, y)), 0.0)
    return np.clip(product, -1, 1)


def average_precision(scores: Array, targets: Array) -> Weighted:
    """Returns the mean over labels of the average precision.

    Arguments
    ---------
    scores, targets : numpy.ndarray
        [items, labels], see
        :func:`s3prl_sb.metrics.multi_label.mean_average_precision`.

    Returns
    -------
    Weighted
        An item alone has no value.
    """
    return _mean_over_labels(scores, targets, _precision, chance=0.0)


def area_under_roc(scores: Array, targets: Array) -> Weighted:
    """Returns the mean over labels of the area under the ROC curve.

    Arguments
    ---------
    scores, targets : numpy.ndarray
        See :func:`average_precision`.

    Returns
    -------
    Weighted
        An item alone has no value.

    Example
    -------
    >>> scores, targets = np.array([[0.9], [0.8], [0.8], [0.1]]), np.ones((4, 1))
    >>> targets[2:] = 0
    >>> area_under_roc(scores, targets).of(np.ones((1, 4))).tolist()
    [0.875]
    """
    return _mean_over_labels(scores, targets, _area, chance=0.5)


def d_prime(scores: Array, targets: Array) -> Weighted:
    """Returns the mean over labels of d', see
    :func:`s3prl_sb.metrics.multi_label.d_prime`.

    Arguments
    ---------
    scores, targets : numpy.ndarray
        See :func:`average_precision`.

    Returns
    -------
    Weighted
        An item alone has no value.
    """
    return _mean_over_labels(scores, targets, _separation, chance=0.0)


def _mean_over_labels(scores, targets, measure, chance):
    labels = []
    for column, true in zip(scores.T, targets.T):
        order, ends = _descending(column)
        labels.append((order, ends, true[order] == 1))

    def of(weights):
        total, count = np.zeros(len(weights)), np.zeros(len(weights))
        for order, ends, is_target in labels:
            sorted_weights = weights[:, order]
            true = _passed(sorted_weights * is_target, ends)
            values = measure(true, _passed(sorted_weights, ends))
            there = ~np.isnan(values)
            total[there] += values[there]
            count += there
        return over(total, count, chance)

    return Weighted(of)


def _precision(true, every):
    """Returns the average precision from sums at thresholds [draws, points]."""
    precisions = over(true[:, 1:], every[:, 1:], 0.0)
    return over((np.diff(true) * precisions).sum(1), true[:, -1])


def _area(true, every):
    """Returns the area under the ROC curve from sums at thresholds."""
    false = every - true
    others = false[:, -1:]
    below = others - (false[:, 1:] + false[:, :-1]) / 2  # an equal one is half below
    return over((np.diff(true) * below).sum(1), true[:, -1] * others[:, 0])


def _separation(true, every):
    """Returns d'; an area of 1 counts as if one pair of items were half wrong."""
    targets = true[:, -1]
    least = 0.5 / np.maximum(targets * (every[:, -1] - targets), 1)
    return 2**0.5 * ndtri(np.clip(_area(true, every), least, 1 - least))
