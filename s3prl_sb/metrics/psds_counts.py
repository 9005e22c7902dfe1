"""Counts of each recording for intervals of the polyphonic sound detection score.

Its curve of a label has a point for each threshold at which any count of any recording
changes, thousands an hour. Up to :data:`POINTS` thresholds of each label are kept:
steps of the curve of all recordings, which make its area, and others between them. The
score of these is a little less than that of all thresholds, in every draw of recordings
by about the same; ``shift`` is the difference for all recordings.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from s3prl_sb.metrics.psds import score_of, stairs, totals
from s3prl_sb.metrics.psds_changes import HOUR, Scenes, criteria, seconds_of
from s3prl_sb.metrics.sound_events import Events
from s3prl_sb.metrics.weighted_detections import detection_score

POINTS, FEWEST = 100, 20  # thresholds of a label, and those that there must be room for
MOST = 1 << 24  # counts of all recordings


def counts_of(
    scores: Mapping[str, np.ndarray],
    reference: Events,
    durations: Mapping[str, float],
    frame_seconds: float,
    labels: Sequence[str],
    dtc: float,
    gtc: float,
    cttc: float | None = None,
    alpha_ct: float = 0.0,
    alpha_st: float = 0.0,
    e_max: float = 100.0,
    points: int = POINTS,
) -> dict[str, Any]:
    """Counts the events of recordings at thresholds of each label.

    Arguments
    ---------
    scores, reference, durations, frame_seconds, labels
        See :func:`s3prl_sb.metrics.psds.psds`.
    dtc, gtc, cttc, alpha_ct, alpha_st, e_max
        See there.
    points : int
        Largest number of thresholds of a label.

    Returns
    -------
    dict
        Entry of ``measures.json`` of the kind ``detection_score``, whose items are the
        recordings in the order of the reference. ``found`` and ``wrong`` [recordings,
        thresholds * labels] are the changes of the numbers of found events and of false
        positives from one threshold to the next lower one; ``crossed`` [recordings,
        thresholds * labels * labels] those of the detections of a label that are
        cross-triggers of another, if they cost anything; ``events`` and ``seconds``
        [recordings, labels] are the true events and their length, ``durations``
        [recordings] that of recordings; ``shift`` [recordings] is the same for all.
        Empty if no event is true, or with more than :data:`MOST` counts.

    Example
    -------
    >>> scores, reference = {"a": np.array([[0.9], [0.4]])}, {"a": [("dog", 0.0, 1.0)]}
    >>> entry = counts_of(scores, reference, {"a": 2.0}, 1.0, ["dog"], 0.7, 0.7)
    >>> entry["found"].tolist(), entry["wrong"].tolist()
    ([[1.0, -1.0]], [[0.0, 1.0]])
    """
    limits = criteria(dtc, gtc, cttc, alpha_ct)
    scenes = Scenes(scores, reference, durations, frame_seconds, labels)
    size = len(labels)
    columns = size * (2 if limits.cttc is None else 2 + size)
    room = MOST // max(1, columns * len(scenes.names))
    if room < FEWEST or not scenes.counts.any():
        return {}
    changes = scenes.changes(limits, scenes.costs())
    rates = np.array([1.0, 1 / scenes.hours, alpha_ct * HOUR])
    thresholds = [
        _thresholds(rows, rates, e_max, min(points, room)) for rows in changes
    ]
    points = max(1, *map(len, thresholds))
    tables = _tables(scenes, limits, thresholds, points)
    if limits.cttc is None:
        del tables["crossed"]
    entry = {
        **tables,
        "events": np.array([[len(s) for s in scenes.spans[n]] for n in scenes.names]),
        "seconds": np.array([seconds_of(scenes.spans[n]) for n in scenes.names]),
        "durations": np.array([float(durations[name]) for name in scenes.names]),
        "shift": np.zeros(len(scenes.names)),
    }
    costs: dict[str, Any] = {"alpha_ct": alpha_ct, "alpha_st": alpha_st, "e_max": e_max}
    ones = np.ones((len(scenes.names), 1))
    kept = float(detection_score(**entry, **costs).of(ones)[0])
    entry["shift"] += score_of(scenes, changes, **costs).value - kept
    return {"kind": "detection_score", **entry, "parameters": costs}


def _thresholds(changes, rates, e_max, points):
    """Returns thresholds of a label, falling, that its area depends on most."""
    thresholds, counts = totals(changes)
    true, false, crossed = (counts * rates).T
    steps = stairs(false + crossed, true, e_max)
    steps = steps[steps > 0]  # at infinity there is nothing
    if len(thresholds) - 1 <= points:
        return thresholds[1:]
    if len(steps) > points:
        chosen = steps[_evenly(len(steps), points)]
    else:
        others = np.setdiff1d(np.arange(1, len(thresholds)), steps)
        relevant = others[(false + crossed)[others] <= 2 * e_max]
        more = _evenly(len(relevant), min(points - len(steps), len(relevant)))
        chosen = np.concatenate([steps, relevant[more]])
    return thresholds[np.unique(chosen)]


def _evenly(size, count):
    """Returns count of the numbers below size, evenly spaced, the last one too."""
    return ((np.arange(count) + 1) * size) // max(count, 1) - 1


def _tables(scenes, limits, thresholds, points):
    """Returns the changes of counts between thresholds of all recordings."""
    size = len(thresholds)
    shape = (len(scenes.names), points, size)
    found, wrong = np.zeros((2, *shape))
    crossed = np.zeros((*shape, 0 if limits.cttc is None else size))
    apart = [np.eye(size)[:, : crossed.shape[-1]].copy() for _ in range(size)]
    for number, costs in enumerate(apart):
        costs[number] = 0.0
    for row, name in enumerate(scenes.names):
        every = scenes.of_recording(name, limits, apart)
        for label, (changes, kept) in enumerate(zip(every, thresholds)):
            place = np.searchsorted(-kept, -changes[:, 0])
            changes, place = changes[place < len(kept)], place[place < len(kept)]
            np.add.at(found[row, :, label], place, changes[:, 1])
            np.add.at(wrong[row, :, label], place, changes[:, 2])
            np.add.at(crossed[row, :, label], place, changes[:, 3:])
    tables = {"found": found, "wrong": wrong, "crossed": crossed}
    return {name: each.reshape(shape[0], -1) for name, each in tables.items()}
