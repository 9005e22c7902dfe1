"""Polyphonic sound detection score, for any weights of the recordings.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np
from scipy import sparse

from s3prl_sb.metrics.psds import DIGITS, area_of, stairs
from s3prl_sb.metrics.psds_changes import HOUR
from s3prl_sb.metrics.weighted_sums import Array, Weighted, over


def detection_score(
    found: Array,
    wrong: Array,
    events: Array,
    seconds: Array,
    durations: Array,
    shift: Array,
    crossed: Array | None = None,
    alpha_ct: float = 0.0,
    alpha_st: float = 0.0,
    e_max: float = 100.0,
) -> Weighted:
    """Returns the polyphonic sound detection score (PSDS).

    Arguments
    ---------
    found, wrong, events, seconds, durations, shift, crossed
        See :func:`s3prl_sb.metrics.psds_counts.counts_of`.
    alpha_ct, alpha_st, e_max : float
        See :func:`s3prl_sb.metrics.psds.psds`.

    Returns
    -------
    Weighted
        A recording alone has no value.

    Raises
    ------
    ValueError
        If the tables do not have the same thresholds and labels.

    Example
    -------
    >>> one, none = np.ones((1, 1)), np.zeros((1, 1))
    >>> detection_score(one, none, one, one, one[0], none[0]).of(one).tolist()
    [1.0]
    """
    labels = events.shape[1]
    points = found.shape[1] // labels
    widths = [found.shape[1], wrong.shape[1], seconds.shape[1] * points]
    widths += [] if crossed is None else [crossed.shape[1] // labels]
    if set(widths) != {points * labels}:
        raise ValueError(f"tables of {widths} columns, for {labels} labels")
    tables = [sparse.csr_array(table.T) for table in (found, wrong)]
    across = None if crossed is None else sparse.csr_array(crossed.T)
    plain = np.column_stack([durations, shift, events, seconds])

    def of(weights):
        hits, alarms = (
            (table @ weights).reshape(points, labels, -1).cumsum(0) for table in tables
        )
        time, moved, counts, lengths = np.split(
            plain.T @ weights, [1, 2, 2 + labels], axis=0
        )
        true, false = over(hits, counts, 0.0), over(alarms, time / HOUR, 0.0)
        if across is not None:
            each = (across @ weights).reshape(points, labels, labels, -1)
            false += alpha_ct * HOUR * _cross_triggers(each, lengths)
        values = [
            _score(*curves, counts[:, draw] > 0, alpha_st, e_max)
            for draw, curves in enumerate(zip(*map(_by_draw, (false, true))))
        ]
        return np.array(values) + over(moved[0], weights.sum(0))

    return Weighted(of)


def _cross_triggers(each, lengths):
    """Returns the mean over the other labels of cross-triggers a second of their
    events, for [points, labels, labels, draws] and [labels, draws]."""
    rates = over(each.cumsum(0), lengths, 0.0)
    others = lengths > 0
    numbers = others.sum(0) - others  # of a label that has events, one fewer
    return over(rates.sum(2), numbers.astype(float), 0.0)


def _by_draw(rates):
    """Returns [draws, labels, points], from threshold infinity on."""
    rates = rates.round(DIGITS).transpose(2, 1, 0)
    return np.pad(rates, ((0, 0), (0, 0), (1, 0)))


def _score(false, true, there, alpha_st, e_max):
    """Returns the score of the curves [labels, points] of the labels with an event."""
    curves = {}
    for label in np.flatnonzero(there).tolist():
        steps = stairs(false[label], true[label], e_max)
        curves[str(label)] = false[label][steps], true[label][steps]
    return area_of(curves, alpha_st, e_max).value
