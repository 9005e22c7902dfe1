"""Metrics that depend on the order of scores, for any weights of the items.

An item of weight 2 counts as two equal items, and one of weight 0 not at all. Scores
are sorted once for all draws.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import numpy as np

from s3prl_sb.metrics.weighted_sums import Array, Weighted, over


class Sorted(NamedTuple):
    """Targets and other items by falling score, and the thresholds that matter.

    These are a first one, which nothing reaches, and each distinct score.

    Arguments
    ---------
    targets, others : numpy.ndarray
        Indices of the items.
    accepted : numpy.ndarray
        [2, thresholds], numbers of targets and of others that reach each threshold.
    """

    targets: Array
    others: Array
    accepted: Array

    @classmethod
    def of(cls, scores: Array, targets: Array) -> "Sorted":
        """Sorts items.

        Arguments
        ---------
        scores : numpy.ndarray
            [items].
        targets : numpy.ndarray
            [items], 1 or 0.

        Returns
        -------
        Sorted
        """
        order = np.argsort(-scores, kind="stable")
        is_target = targets[order] == 1
        ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        accepted = np.stack([is_target, ~is_target]).cumsum(1)[:, ends]
        accepted = np.pad(accepted, ((0, 0), (1, 0)))
        return cls(order[is_target], order[~is_target], accepted)

    def sums(self, weights: Array) -> tuple[Array, Array]:
        """Returns the weights of the first 0, 1, 2 … targets, and of others.

        Arguments
        ---------
        weights : numpy.ndarray
            [items, draws].

        Returns
        -------
        tuple of numpy.ndarray
            [targets + 1, draws] and [others + 1, draws].
        """
        return passed_sums(weights[self.targets]), passed_sums(weights[self.others])

    @property
    def with_targets(self) -> Array:
        """Thresholds, by number, that more targets reach than the one before."""
        return np.flatnonzero(np.diff(self.accepted[0])) + 1


def passed_sums(weights: Array) -> Array:
    """Returns the sums of the first 0, 1, 2 … rows.

    Arguments
    ---------
    weights : numpy.ndarray
        [rows, draws].

    Returns
    -------
    numpy.ndarray
        [rows + 1, draws].
    """
    passed = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=passed[1:])
    return passed


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
    >>> equal_error_rate(scores, targets).of(np.ones((4, 1))).tolist()
    [0.5]
    """
    trials = Sorted.of(scores, targets)

    def of(weights):
        (true, false), draws = trials.sums(weights), np.arange(weights.shape[1])

        def rates(thresholds):
            t, f = trials.accepted[:, thresholds]
            return over(true[-1] - true[t, draws], true[-1]), over(
                false[f, draws], false[-1]
            )

        # False rejections exceed false acceptances at `left`, and not at `right`
        left, right = np.zeros(len(draws), int), np.full(len(draws), 1)
        right *= trials.accepted.shape[1] - 1
        while (right - left > 1).any():
            middle = (left + right) // 2
            rejected, accepted = rates(middle)
            left = np.where(rejected > accepted, middle, left)
            right = np.where(rejected > accepted, right, middle)
        (above, low), (below, high) = rates(left), rates(right)
        share = over(above - low, (above - low) - (below - high))
        return low + share * (high - low)

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
    >>> minimum_cost(scores, targets).of(np.ones((4, 1))).tolist()
    [0.5]
    """
    trials = Sorted.of(scores, targets)
    # The best threshold rejects all, or one more target reaches it
    t, f = trials.accepted[:, np.append(0, trials.with_targets)]
    of_rejecting, of_accepting = c_miss * p_target, c_fa * (1 - p_target)
    least = min(of_rejecting, of_accepting)
    if not (0 < p_target < 1 and least > 0):
        raise ValueError(f"p_target {p_target}, c_miss {c_miss}, c_fa {c_fa}")

    def of(weights):
        true, false = trials.sums(weights)
        misses = over(np.array(of_rejecting / least), true[-1])
        alarms = over(np.array(of_accepting / least), false[-1])
        return ((true[-1] - true[t]) * misses + false[f] * alarms).min(0)

    return Weighted(of)
