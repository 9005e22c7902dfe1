"""Metrics of the scores of labels, means over labels, for any weights of the items.

Only the order of targets and other items matters, so a table of scores may be replaced
by :func:`places`: numbers from 0 on, mostly small, that order them in the same way.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import ndtri

from s3prl_sb.metrics.weighted_sums import Array, Weighted, over

TOGETHER = 1 << 14  # thresholds of the labels whose items are summed together


class Curves(NamedTuple):
    """Sums of weights at the thresholds of a label, its targets' scores, from above.

    Arguments
    ---------
    targets, others : numpy.ndarray
        [thresholds, draws], those that reach each threshold.
    tied : numpy.ndarray
        [thresholds, draws], others whose score is the threshold.
    new : numpy.ndarray
        [thresholds, draws], targets whose score is the threshold.
    all_others : numpy.ndarray
        [draws], others of any score.
    """

    targets: Array
    others: Array
    tied: Array
    new: Array
    all_others: Array

    @classmethod
    def of(cls, sums: Array, total: Array) -> "Curves":
        """Returns the curves of sums of weights.

        Arguments
        ---------
        sums : numpy.ndarray
            [3, thresholds, draws]: targets at a threshold, others at it, others between
            it and the next higher one.
        total : numpy.ndarray
            [draws], sum of all weights.

        Returns
        -------
        Curves
        """
        new, tied, between = sums
        targets = new.cumsum(0)
        others = (tied + between).cumsum(0)
        return cls(targets, others, tied, new, total - targets[-1])


def places(scores: Array, targets: Array) -> Array:
    """Returns where scores of labels are between those of the targets.

    Arguments
    ---------
    scores : numpy.ndarray
        [items, labels].
    targets : numpy.ndarray
        [items, labels], 1 or 0.

    Returns
    -------
    numpy.ndarray
        [items, labels], int64: 0 below all targets of the label, 1 with the lowest of
        them, 2 between this and the next one, and so on.

    Example
    -------
    >>> scores = np.array([[0.1], [0.5], [0.6], [0.7], [0.7]])
    >>> places(scores, np.array([[0], [1], [0], [0], [1]])).T
    array([[0, 1, 2, 3, 3]])
    """
    numbers = np.zeros(scores.shape, int)
    for label, (column, is_target) in enumerate(zip(scores.T, targets.T)):
        distinct = np.unique(column[is_target == 1])
        for side in ("left", "right"):
            numbers[:, label] += np.searchsorted(distinct, column, side)
    return numbers


class Labels:
    """Scores of labels, sorted once for all weights and for all metrics of them.

    The sums of weights are those of sparse matrices with three rows for each threshold:
    targets at it, others at it, others between it and the next higher one.

    Arguments
    ---------
    scores, targets : numpy.ndarray
        [items, labels], see
        :func:`s3prl_sb.metrics.multi_label.mean_average_precision`.

    Example
    -------
    >>> scores = np.array([[0.9], [0.8], [0.8], [0.1]])
    >>> labels = Labels(scores, np.array([[1], [1], [0], [0]]))
    >>> float(labels.means(np.ones((4, 1)))["auc"][0])
    0.875
    """

    def __init__(self, scores: Array, targets: Array):
        if scores.shape != targets.shape or scores.ndim != 2:
            raise ValueError(f"scores {scores.shape} of targets {targets.shape}")
        thresholds = (targets == 1).sum(0).cumsum()  # or fewer, as some are equal
        cuts = np.flatnonzero(np.diff(thresholds // TOGETHER)) + 1
        self.groups = [
            _sums_of(scores[:, labels], targets[:, labels])
            for labels in np.split(np.arange(scores.shape[1]), cuts)
        ]
        self.last: tuple[Array, dict[str, Array]] | None = None

    def means(self, weights: Array) -> dict[str, Array]:
        """Returns all metrics; those of the last weights are kept.

        Arguments
        ---------
        weights : numpy.ndarray
            [items, draws].

        Returns
        -------
        dict of str to numpy.ndarray
            Names of :data:`METRICS` to [draws].
        """
        if self.last is None or self.last[0] is not weights:
            self.last = weights, self._means(weights)
        return self.last[1]

    def _means(self, weights):
        total, there = np.zeros((2, len(METRICS), weights.shape[1]))
        whole = weights.sum(0)
        # Sums of whole numbers below 2^24 are exact in half the memory
        is_exact = whole.max(initial=0) < 2**24 and (weights == weights.round()).all()
        narrow = weights.astype(np.float32 if is_exact else float)
        for sizes, matrix in self.groups:
            sums = (matrix @ narrow).astype(float)
            for part in np.split(sums, 3 * sizes.cumsum()[:-1]):
                if len(part):  # the label has a target
                    curves = Curves.of(part.reshape(3, -1, part.shape[1]), whole)
                    values = [measure(curves) for measure, _ in METRICS.values()]
                    total += np.nan_to_num(values)
                    there += ~np.isnan(values)
        chances = (chance for _, chance in METRICS.values())
        return {n: over(*row) for n, *row in zip(METRICS, total, there, chances)}


def _sums_of(scores, targets):
    """Returns numbers of thresholds of labels, and the matrix of their sums."""
    where = places(scores, targets)
    # Places of targets are odd
    sizes = ((where * (targets == 1)).max(0, initial=0) + 1) // 2
    items, labels = np.nonzero(where)
    place = where[items, labels]
    threshold = sizes[labels] - (place + 1) // 2  # of the highest it is 0
    part = np.where(place % 2 == 0, 2, np.where(targets[items, labels] == 1, 0, 1))
    rows = 3 * np.append(0, sizes.cumsum())[labels] + part * sizes[labels] + threshold
    shape, ones = (3 * sizes.sum(), len(scores)), np.ones(len(rows), np.float32)
    return sizes, sparse.csc_array((ones, (rows, items)), shape)


def _precision(curves):
    """Returns the average precision of a label."""
    precision = over(curves.targets, curves.targets + curves.others, 0.0)
    return over((curves.new * precision).sum(0), curves.targets[-1])


def _area(curves):
    """Returns the area under the ROC curve."""
    # An equal score is half below
    below = curves.all_others - curves.others + curves.tied / 2
    return over((curves.new * below).sum(0), curves.targets[-1] * curves.all_others)


def _separation(curves):
    """Returns d'; an area of 1 counts as if one pair of items were half wrong."""
    least = 0.5 / np.maximum(curves.targets[-1] * curves.all_others, 1)
    return 2**0.5 * ndtri(np.clip(_area(curves), least, 1 - least))


#: Metrics of a label, and their means if no label counts.
METRICS = {
    "average_precision": (_precision, 0.0),
    "auc": (_area, 0.5),
    "d_prime": (_separation, 0.0),
}


def mean_over_labels(name: str) -> Callable[[Labels], Weighted]:
    """Returns a function of labels to the mean of one of :data:`METRICS` over them; an
    item alone has no value."""
    return lambda labels: Weighted(lambda weights: labels.means(weights)[name])
