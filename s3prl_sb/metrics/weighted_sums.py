"""Metrics that are functions of sums, for any weights of the items.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

Array = np.ndarray
#: Values and weights of items.
ByItem = tuple[Array, Array]
DENSE = 8  # columns up to which a table is multiplied as it is


class Weighted(NamedTuple):
    """A metric as a function of weights.

    Arguments
    ---------
    of : callable
        Takes weights [items, draws], returns values [draws]; NaN where the metric is
        not defined.
    by_item : tuple of numpy.ndarray, optional
        The metric of each item alone [items], NaN where it is not defined, and its
        weight [items] in the metric. None: an item alone has no value.
    """

    of: Callable[[Array], Array]
    by_item: ByItem | None = None


def over(above: Array, below: Array, empty: float = np.nan) -> Array:
    """Divides arrays.

    Arguments
    ---------
    above, below : numpy.ndarray
        Numerators, and denominators of 0 and more; their shapes are broadcast.
    empty : float
        Result where the denominator is 0.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> over(np.array([1.0, 2.0]), np.array([4.0, 0.0]), empty=0.0).tolist()
    [0.25, 0.0]
    """
    shape = np.broadcast_shapes(above.shape, below.shape)
    return np.divide(above, below, out=np.full(shape, empty), where=below > 0)


def _counted(*columns):
    """Returns columns with zeros in the rows that have a NaN, which do not count."""
    bad = np.isnan(sum(each.reshape(len(each), -1).sum(1) for each in columns))
    return [
        np.where(bad.reshape(-1, *[1] * (each.ndim - 1)), 0.0, each) for each in columns
    ]


def _sums(table):
    """Returns a function of weights [items, draws] to the sums [columns, draws] of a
    table [items, columns]."""
    is_small = not sparse.issparse(table) and table.shape[1] <= DENSE
    turned = np.ascontiguousarray(table.T) if is_small else sparse.csr_array(table.T)
    return lambda weights: turned @ weights


def ratio(numerators: Array, denominators: Array, empty: float = np.nan) -> Weighted:
    """Returns the ratio of sums, the kind of all error rates.

    Arguments
    ---------
    numerators, denominators : numpy.ndarray
        [items].
    empty : float
        Value where all denominators are 0.

    Returns
    -------
    Weighted

    Example
    -------
    >>> errors = ratio(np.array([1.0, 3.0]), np.array([10.0, 20.0]))
    >>> errors.of(np.array([[1.0, 2.0], [0.0, 1.0]])).tolist()
    [0.1, 0.125]
    """
    above, below = _counted(numerators, denominators)
    sums = _sums(np.stack([above, below], 1))

    def of(weights):
        return over(*sums(weights), empty)

    return Weighted(of, (over(above, below), below))


def mean(values: Array) -> Weighted:
    """Returns the mean of values [items] that are not NaN."""
    there = ~np.isnan(values)
    return ratio(np.where(there, values, 0.0), there.astype(float))


def macro_ratio(
    numerators: Array,
    denominators: Array,
    present: Array | None = None,
    empty: float = np.nan,
) -> Weighted:
    """Returns the mean of the ratios of parts.

    Arguments
    ---------
    numerators, denominators : numpy.ndarray
        [items, parts].
    present : numpy.ndarray, optional
        [items, parts]; a part counts where its sum is above 0. Default: denominators.
    empty : float
        Value where no part counts.

    Returns
    -------
    Weighted
        An item alone has the ratio of its sums over the parts.
    """
    present = denominators if present is None else present
    columns = _counted(numerators, denominators, present)
    above, below = (each.sum(1) for each in columns[:2])
    of = _of_parts(list(map(_sums, columns)), empty)
    return Weighted(of, (over(above, below), below))


def _of_parts(sides, empty):
    """Returns the mean over parts of the ratios of sums."""

    def of(weights):
        above, below, present = (sums(weights) for sums in sides)
        there = present > 0
        ratios = np.where(there, over(above, below, 0.0), 0.0)
        return over(ratios.sum(0), there.sum(0), empty)

    return of


def _indicator(groups, values):
    """Returns the table [items, groups] with the value of each item in its group."""
    items = np.arange(len(groups))
    return sparse.csr_array((values, (items, groups)))


def _numbered(*columns):
    """Returns columns of labels as numbers from 0, the same for equal labels."""
    every, numbers = np.unique(np.concatenate(columns), return_inverse=True)
    return np.split(numbers, len(columns)), len(every)


def group_ratio(
    numerators: Array, denominators: Array, groups: Array, empty: float = np.nan
) -> Weighted:
    """Returns the mean over groups of items of the ratio of sums in each.

    Arguments
    ---------
    numerators, denominators : numpy.ndarray
        [items].
    groups : numpy.ndarray
        [items], numbers of the groups.
    empty : float
        Value where all denominators are 0.

    Returns
    -------
    Weighted

    Example
    -------
    >>> ones, right = np.ones(3), np.array([1.0, 0.0, 1.0])
    >>> group_ratio(right, ones, np.array([0, 0, 1])).of(np.ones((3, 1))).tolist()
    [0.75]
    """
    above, below = _counted(numerators, denominators)
    (numbers,), _ = _numbered(groups)
    sides = [_sums(_indicator(numbers, each)) for each in (above, below)]
    return Weighted(_of_parts([*sides, sides[1]], empty), (over(above, below), below))


def macro_f1(predictions: Array, targets: Array) -> Weighted:
    """Returns the mean F1 score of the classes that are true or predicted.

    Arguments
    ---------
    predictions, targets : numpy.ndarray
        [items], numbers of classes.

    Returns
    -------
    Weighted
        An item alone is 1 or 0, right or wrong.

    Example
    -------
    >>> scores = macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]))
    >>> scores.of(np.ones((3, 1))).round(4).tolist()
    [0.6667]
    """
    (predictions, targets), classes = _numbered(predictions, targets)
    shape, items = (len(targets), classes), np.arange(len(targets))
    twice = np.concatenate([items, items]), np.concatenate([predictions, targets])
    total = sparse.csr_array((np.ones(2 * len(items)), twice), shape)
    right = (predictions == targets).astype(float)
    sides = [
        _sums(sparse.csr_array((2 * right, (items, targets)), shape)),
        _sums(total),
    ]
    of = _of_parts([*sides, sides[1]], np.nan)
    return Weighted(of, (right, np.ones(len(items))))


def drawn_macro_f1(predictions: Array, targets: Array) -> Weighted:
    """Returns the mean F1 score of classes that are drawn with all their items, such as
    speakers.

    A class of weight 2 counts as two that are alike: each has its own items, and each
    attracts all items of other classes that were taken for it. Predictions remain as
    they are: an item that was taken for a class that is not drawn is an error of its
    own class, and no other. Classes without an item of their own, which cannot be
    drawn, count 0 as far as they are predicted.

    Arguments
    ---------
    predictions, targets : numpy.ndarray
        [items], numbers of classes.

    Returns
    -------
    Weighted
        An item alone is 1 or 0, right or wrong.

    Note
    ----
    A score is linear in the number of items that were taken for its class, from that of
    all weights 1 on. These items are few for each class, however many classes there
    are, and drawing them makes their number vary more than in the test set. The score
    is convex in it, so that the scores of draws would be too high on average: with 1251
    speakers the interval may then lie above its own value.

    Example
    -------
    >>> scores = drawn_macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1]))
    >>> scores.of(np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]])).round(4).tolist()
    [0.6667, 0.8889]
    """
    (predictions, targets), classes = _numbered(predictions, targets)
    items, shape = np.arange(len(targets)), (len(targets), classes)
    is_right = predictions == targets
    sizes = np.bincount(targets, minlength=classes)[:, None]
    others = np.bincount(predictions[~is_right], minlength=classes)[:, None]
    own, right, taken = (
        _sums(sparse.csr_array((values.astype(float), (items, places)), shape))
        for values, places in (
            (np.ones(len(items)), targets),
            (is_right, targets),
            (~is_right, predictions),
        )
    )

    def of(weights):
        size, hits, alarms = own(weights), right(weights), taken(weights)
        often = over(size, sizes.astype(float), 0.0)
        # Of one of the classes that are alike; all but its alarms are `often` as many
        below = over(hits + size, often, 0.0) + others
        scores = over(2 * hits, below, 0.0) * (1 - over(alarms - others, below, 0.0))
        alone = np.where(sizes == 0, over(alarms, others.astype(float), 0.0), 0.0)
        return np.maximum(over(scores.sum(0), often.sum(0) + alone.sum(0)), 0.0)

    return Weighted(of, (is_right.astype(float), np.ones(len(items))))


def bleu(matches: Array, ngrams: Array, predicted: Array, reference: Array) -> Weighted:
    """Returns BLEU, 0 to 100, with sacreBLEU's exponential smoothing.

    Arguments
    ---------
    matches, ngrams : numpy.ndarray
        [items, 4], predicted n-grams that are in the reference, and all of them.
    predicted, reference : numpy.ndarray
        [items], numbers of tokens.

    Returns
    -------
    Weighted
        An item alone has the BLEU of the orders that it is long enough for.
    """
    table = np.concatenate([matches, ngrams, predicted[:, None], reference[:, None]], 1)
    sums = _sums(table)

    def of(weights):
        return _bleu(sums(weights))

    return Weighted(of, (_bleu(table.T, effective=True), reference))


def _bleu(sums, effective=False):
    """Returns the BLEU of sums [10, draws]."""
    right, total, predicted, reference = sums[:4], sums[4:8], sums[8], sums[9]
    # Each order without a match counts half as much as the one before
    halves = 0.5 ** ((right == 0) & (total > 0)).cumsum(0)
    logs = np.log(over(np.where(right > 0, right, halves), total, 1.0))
    orders = np.maximum((total > 0).sum(0), 1) if effective else 4
    fine = right.any(0) & ((total > 0).all(0) | effective)
    shorter = np.minimum(0.0, 1 - over(reference, predicted, 1.0))
    return np.where(fine, 100 * np.exp(shorter + logs.sum(0) / orders), 0.0)


def mean_of(terms: Sequence[tuple[Weighted, bool]], least: float = -np.inf) -> Weighted:
    """Returns the mean of other metrics.

    Arguments
    ---------
    terms : list of (Weighted, bool)
        Metrics, and whether each enters as 1 minus its value.
    least : float
        Floor of each term.

    Returns
    -------
    Weighted
        An item alone has a value if it has one of each term.
    """

    def of(weights):
        values = [(term.of(weights), turned) for term, turned in terms]
        return _mean_of(values, least)

    alone = [
        (term.by_item[0], turned) for term, turned in terms if term.by_item is not None
    ]
    if len(alone) < len(terms):
        return Weighted(of)
    values = _mean_of(alone, least)
    return Weighted(of, (values, np.ones(len(values))))


def _mean_of(values, least):
    values = [1 - each if turned else each for each, turned in values]
    return np.mean(np.maximum(values, least), axis=0)
