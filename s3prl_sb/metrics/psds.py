"""Polyphonic sound detection score (PSDS), over all thresholds of the scores of frames.

Bilen, Ferroni, Tuveri, Azcarreta and Krstulović, "A framework for the robust evaluation
of sound event detection", ICASSP 2020, https://arxiv.org/abs/1910.08440. It is computed
exactly, as by Ebbers, Serizel and Haeb-Umbach, "Threshold-independent evaluation of
sound event detection scores", ICASSP 2022, https://arxiv.org/abs/2201.13148, not from a
few thresholds.

At a threshold, a detection (frames in a row that reach it) is accepted if the share
``dtc`` of it lies in true events of its label; otherwise it is a false positive, and a
cross-trigger of each other label whose events hold the share ``cttc`` of it. A true
event is found if accepted detections cover the share ``gtc`` of it. The rates of found
events and false positives over all thresholds give a curve of each label, monotonic by
its best points; the score is the area under the mean of the curves minus ``alpha_st``
standard deviations, up to ``e_max`` false positives an hour.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from s3prl_sb.metrics.psds_changes import HOUR, Scenes, criteria
from s3prl_sb.metrics.sound_events import Events

DIGITS = 9  # decimals of rates
#: Arguments of :func:`psds` in the two scenarios of DCASE's task 4, 2021 to 2023: the
#: first asks for exact times, the second for no confusions.
SCENARIOS = {
    "psds1": {"dtc": 0.7, "gtc": 0.7, "alpha_st": 1.0},
    "psds2": {"dtc": 0.1, "gtc": 0.1, "cttc": 0.3, "alpha_ct": 0.5, "alpha_st": 1.0},
}


class DetectionScore(NamedTuple):
    """PSDS, and the curve that it is the area of.

    Arguments
    ---------
    value : float
        PSDS, from 0 to 1; nan if no label has an event.
    by_label : dict
        Area under the curve of each label that has an event, from 0 to 1.
    false_positives, true_positives : numpy.ndarray
        [points], effective false positives an hour, ascending, and the effective share
        of events that are found.
    """

    value: float
    by_label: dict[str, float]
    false_positives: np.ndarray
    true_positives: np.ndarray


def psds(
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
) -> DetectionScore:
    """Computes the PSDS of recordings.

    Overlapping events of one label are merged. Labels without an event do not count.

    Arguments
    ---------
    scores : dict
        ``{recording: [frames, labels]}``, any numbers that are higher the surer a label
        is. The last frame ends with the recording or before.
    reference : dict
        ``{recording: [(label, start, stop), …]}`` in seconds.
    durations : dict
        Seconds of each recording.
    frame_seconds : float
        Length of a frame.
    labels : list of str
        Names of the columns of the scores.
    dtc, gtc, cttc : float
        Detection tolerance, ground truth intersection, and cross-trigger tolerance
        criteria, above 0, at most 1; ``cttc`` is needed if ``alpha_ct`` is not 0.
    alpha_ct, alpha_st : float
        Costs of cross-triggers and of differences between labels.
    e_max : float
        Highest number of false positives an hour.

    Returns
    -------
    DetectionScore

    Raises
    ------
    ValueError
        If a recording is on one side only, scores have another number of labels or are
        not numbers, an event has another label, or a criterion is missing or not above
        0: nothing at all would find an event then.

    Example
    -------
    >>> scores = {"a": np.array([[0.1], [0.9], [0.8], [0.2], [0.1], [0.3]])}
    >>> reference, limits = {"a": [("dog", 1.0, 3.0)]}, {"dtc": 0.7, "gtc": 0.7}
    >>> psds(scores, reference, {"a": 6.0}, 1.0, ["dog"], **limits).value
    1.0
    """
    limits = criteria(dtc, gtc, cttc, alpha_ct)
    scenes = Scenes(scores, reference, durations, frame_seconds, labels)
    changes = scenes.changes(limits, scenes.costs())
    return score_of(scenes, changes, alpha_ct, alpha_st, e_max)


def score_of(
    scenes: Scenes,
    changes: Sequence[np.ndarray],
    alpha_ct: float = 0.0,
    alpha_st: float = 0.0,
    e_max: float = 100.0,
) -> DetectionScore:
    """Computes the PSDS from the changes of the counts at all thresholds.

    Arguments
    ---------
    scenes : Scenes
        The recordings.
    changes : list of numpy.ndarray
        Their changes, with the costs of the recordings.
    alpha_ct, alpha_st, e_max : float
        See :func:`psds`.

    Returns
    -------
    DetectionScore
    """
    curves, labels = {}, scenes.labels
    for label, count, rows in zip(labels, scenes.counts, changes):
        if count:
            rates = np.array([1 / count, 1 / scenes.hours, alpha_ct * HOUR])
            curves[label] = _curve(rows, rates, e_max)
    return area_of(curves, alpha_st, e_max)


def totals(changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the counts of a label at each threshold.

    Arguments
    ---------
    changes : numpy.ndarray
        Rows of changes, see :meth:`~s3prl_sb.metrics.psds_changes.Scenes.changes`.

    Returns
    -------
    thresholds : numpy.ndarray
        [thresholds], falling, from infinity on.
    counts : numpy.ndarray
        [thresholds, columns], found events, false positives, cross-triggers.
    """
    thresholds, place = np.unique(-changes[:, 0], return_inverse=True)
    counts = np.zeros((len(thresholds) + 1, changes.shape[1] - 1))
    np.add.at(counts, place + 1, changes[:, 1:])
    return np.append(np.inf, -thresholds), counts.cumsum(0)


def stairs(false: np.ndarray, true: np.ndarray, e_max: float) -> np.ndarray:
    """Returns which points of a label's curve are the best up to their number of false
    positives.

    Arguments
    ---------
    false, true : numpy.ndarray
        [points], false positives an hour and share of found events, in any order.
    e_max : float
        Highest number of false positives an hour.

    Returns
    -------
    numpy.ndarray
        [steps], indices of the points, by rising false positives.

    Example
    -------
    >>> stairs(np.array([2.0, 0.0, 1.0, 1.0]), np.array([0.4, 0.0, 0.3, 0.5]), 9.0)
    array([1, 3])
    """
    order = np.lexsort((-true, false))
    order = order[false[order] <= e_max]
    best = np.maximum.accumulate(true[order])
    return order[np.diff(best, prepend=-1.0) > 0]


def _curve(changes, rates, e_max):
    """Returns the points (false positives, true positives) of a label's curve, both
    ascending, from threshold infinity on."""
    true, false, crossed = (totals(changes)[1] * rates).T
    # Sums of changes are not exact
    true, false = true.round(DIGITS), (false + crossed).round(DIGITS)
    steps = stairs(false, true, e_max)
    return false[steps], true[steps]


def area_of(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], alpha_st: float, e_max: float
) -> DetectionScore:
    """Returns the score of curves.

    Arguments
    ---------
    curves : dict
        Labels to the false positives and the true positives of their stairs, both
        ascending, from 0 false positives on.
    alpha_st, e_max : float
        See :func:`psds`.

    Returns
    -------
    DetectionScore
    """
    if not curves:
        return DetectionScore(float("nan"), {}, np.zeros(1), np.zeros(1))
    rates = np.unique(np.concatenate([false for false, _ in curves.values()]))
    widths = np.diff(np.append(rates, e_max)) / e_max
    levels = np.array(
        [
            np.append(true, 0.0)[np.searchsorted(false, rates, side="right") - 1]
            for false, true in curves.values()
        ]
    )
    mean = np.maximum(levels.mean(0) - alpha_st * levels.std(0), 0.0)
    areas = dict(zip(curves, (levels @ widths).tolist()))
    return DetectionScore(float(mean @ widths), areas, rates, mean)
