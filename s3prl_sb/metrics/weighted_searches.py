"""Term-weighted values of searches, for any weights of the queries.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

from s3prl_sb.metrics.weighted_sums import Array, Weighted, over


def maximum(values: Array) -> Weighted:
    """Returns the maximum over points of the mean over items, at least 0.

    Arguments
    ---------
    values : numpy.ndarray
        [items, points]; a row of NaN does not count.

    Returns
    -------
    Weighted
        The value of an item alone is that at the best point of all.
    """
    there = ~np.isnan(values).any(1)
    values = np.where(there[:, None], values, 0.0)
    counts = there.astype(float)

    def of(weights):
        best = np.maximum((values.T @ weights).max(0), 0.0)
        return over(best, counts @ weights)

    best = values.sum(0).argmax()
    alone = values[:, best] if values[:, best].sum() > 0 else np.zeros(len(values))
    return Weighted(of, (np.where(there, alone, np.nan), counts))


def detection_value(
    hits: Array, alarms: Array, targets: Array, others: Array, beta: float
) -> Weighted:
    """Returns the maximum term-weighted value, over thresholds in falling order.

    Arguments
    ---------
    hits, alarms, targets, others
        See :func:`s3prl_sb.metrics.retrieval.detection_counts`. A query without targets
        does not count.
    beta : float
        Weight of false alarms.

    Returns
    -------
    Weighted
        See :func:`maximum`.

    Example
    -------
    >>> one = np.ones(1)
    >>> detection_value(one[:, None], 0 * one[:, None], one, one, beta=9.0).of(
    ...     np.ones((1, 1))
    ... )
    array([1.])
    """
    steps = over(hits, targets[:, None]) - beta * over(alarms, others[:, None], 0.0)
    return maximum(steps.cumsum(1))
