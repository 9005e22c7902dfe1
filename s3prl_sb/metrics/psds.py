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

from s3prl_sb.metrics.sound_events import PRECISION, Events, check_labels
from s3prl_sb.metrics.transcription import paired

HOUR = 3600.0  # seconds; rates are an hour
#: Arguments of :func:`psds` in the two scenarios of DCASE's task 4, 2021 to 2023: the
#: first asks for exact times, the second for no confusions.
SCENARIOS = {
    "psds1": {"dtc": 0.7, "gtc": 0.7, "alpha_st": 1.0},
    "psds2": {"dtc": 0.1, "gtc": 0.1, "cttc": 0.3, "alpha_ct": 0.5, "alpha_st": 1.0},
}
HIGHEST = np.finfo(np.float64).max  # score
NO_SPANS = np.zeros((0, 2))


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
    if alpha_ct and cttc is None:
        raise ValueError("alpha_ct without cttc: which detections are cross-triggers?")
    limits = (dtc, gtc, cttc if alpha_ct else None)
    if not all(0 < limit <= 1 for limit in limits if limit is not None):
        raise ValueError("dtc, gtc and cttc are shares above 0, at most 1")
    check_labels(reference, labels)
    pairs = paired(scores, reference)
    events = {name: _merged(true, labels) for name, _, true in pairs}
    seconds = np.zeros(len(labels))
    for each in events.values():
        seconds += [float((spans[:, 1] - spans[:, 0]).sum()) for spans in each]
    costs = [_costs(number, seconds) for number in range(len(labels))]
    changes = [[] for _ in labels]
    for name, values, _ in pairs:
        values = _checked(values, name, labels)
        edges = np.arange(len(values) + 1) * frame_seconds
        edges = np.minimum(edges, durations[name])
        covered = np.stack([_covered(edges, spans) for spans in events[name]], axis=1)
        found = _detections(values)
        for number, spans in enumerate(events[name]):
            scene = (found[number], edges, covered, spans)
            changes[number].append(_changes(*scene, limits, number, costs[number]))
    hours = sum(durations[name] for name, _, _ in pairs) / HOUR
    curves = {}
    for number, label in enumerate(labels):
        count = sum(len(each[number]) for each in events.values())
        if count:
            rates = np.array([1 / count, 1 / hours, alpha_ct * HOUR])
            curves[label] = _curve(np.concatenate(changes[number]), rates, e_max)
    return _area(curves, alpha_st, e_max)


def _checked(values, name, labels):
    """Returns the scores of a recording as an array."""
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] != len(labels):
        shape = list(values.shape)
        raise ValueError(
            f"'{name}': scores {shape}, not [frames, {len(labels)} labels]"
        )
    if np.isnan(values).any():
        raise ValueError(f"'{name}': a score is not a number")
    return values


def _merged(events, labels):
    """Returns the times [events, 2] of each label, overlapping ones as one."""
    merged = []
    for label in labels:
        spans = []
        for start, stop in sorted((a, b) for name, a, b in events if name == label):
            if spans and start < spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], stop)
            else:
                spans.append([start, stop])
        merged.append(np.array(spans) if spans else NO_SPANS)
    return merged


def _costs(number, seconds):
    """Returns the weight of a cross-trigger of each label: the mean over labels of the
    rates in time of their events."""
    others = np.arange(len(seconds)) != number
    others &= seconds > 0
    weights = np.zeros(len(seconds))
    weights[others] = 1 / seconds[others] / others.sum()
    return weights


def _changes(detections, edges, covered, spans, limits, number, costs):
    """Returns the changes of the counts of a label as the threshold sinks: rows of
    (threshold, found events, false positives, cost of cross-triggers)."""
    dtc, gtc, cttc = limits
    first, last, high, low = detections
    starts, stops = edges[first], edges[last]
    lengths = stops - starts
    within = covered[last, number] - covered[first, number]
    is_right = within.round(PRECISION) >= (dtc * lengths).round(PRECISION)
    crossed = np.zeros(len(starts))
    if cttc is not None:
        share = (covered[last] - covered[first]).round(PRECISION)
        crossed = (share >= (cttc * lengths).round(PRECISION)[:, None]) @ costs
    wrong = ~is_right
    counts = np.stack([np.zeros(len(high)), wrong, crossed], axis=1)
    ends = wrong & np.isfinite(low)  # the others last to the lowest threshold
    rows = [
        np.concatenate([high[wrong, None], counts[wrong]], axis=1),
        np.concatenate([low[ends, None], -counts[ends]], axis=1),
    ]
    starts, stops, high, low = (a[is_right] for a in (starts, stops, high, low))
    for start, stop in spans:
        there = (starts < stop) & (stops > start)
        common = np.minimum(stops[there], stop) - np.maximum(starts[there], start)
        needed = round(gtc * (stop - start), PRECISION)
        rows.append(_hits(high[there], low[there], common, needed))
    return np.concatenate(rows)


def _detections(values):
    """Returns all detections of each label that exist at any threshold.

    They are the runs of frames that are not lower than one of them: its first frame,
    the frame after its last, the highest threshold at which it exists, and the highest
    at which it is part of a longer one (minus infinity for the whole recording).
    """
    frames = len(values)
    values = np.clip(values.astype(np.float64), -HIGHEST, HIGHEST)  # edges are infinite
    all_before = _previous_lower(values)
    all_after = frames - 1 - _previous_lower(values[::-1])[::-1]
    numbers = (all_before + 1) * (frames + 1) + all_after
    padded = np.pad(values, ((0, 1), (0, 0)), constant_values=-np.inf)  # also index -1
    detections = []
    for label, column in enumerate(padded.T):
        _, once = np.unique(numbers[:, label], return_index=True)
        before, after = all_before[once, label], all_after[once, label]
        low = np.maximum(column[before], column[after])
        detections.append((before + 1, after, column[once], low))
    return detections


def _previous_lower(values):
    """Returns the last frame before each whose value is lower, or -1, of each label."""
    frames, labels = values.shape
    padded = np.pad(values, ((1, 0), (0, 0)), constant_values=-np.inf)
    column = padded.T.ravel()  # the labels one after another, an edge before each
    found = np.arange(len(column)) - 1
    left = np.flatnonzero(np.isfinite(column))
    while len(left):
        # What is not lower may be skipped together with all that it skips
        left = left[column[found[left]] >= column[left]]
        found[left] = found[found[left]]
    found -= (np.arange(labels) * (frames + 1) + 1).repeat(frames + 1)
    return found.reshape(labels, frames + 1)[:, 1:].T


def _covered(edges, spans):
    """Returns the seconds of spans, which do not overlap, before each time."""
    before = np.append(0.0, (spans[:, 1] - spans[:, 0]).cumsum())
    number = np.searchsorted(spans[:, 0], edges, side="right")
    last_stop = np.append(-np.inf, spans[:, 1])[number]
    return before[number] - np.maximum(last_stop - edges, 0.0)


def _hits(high, low, common, needed):
    """Returns the thresholds at which accepted detections begin or cease to cover an
    event, as rows of changes."""
    ends = np.isfinite(low)
    thresholds, place = np.unique(
        np.concatenate([high, low[ends]]), return_inverse=True
    )
    seconds = np.zeros(len(thresholds))
    np.add.at(seconds, place, np.concatenate([common, -common[ends]]))
    covered = seconds[::-1].cumsum().round(PRECISION)
    change = np.diff((covered >= needed).astype(np.float64), prepend=0.0)
    rows = np.zeros((len(thresholds), 4))
    rows[:, 0], rows[:, 1] = thresholds[::-1], change
    return rows[change != 0]


def _curve(changes, rates, e_max):
    """Returns the points (false positives, true positives) of a label's curve, both
    ascending, from threshold infinity on."""
    thresholds, place = np.unique(-changes[:, 0], return_inverse=True)
    counts = np.zeros((len(thresholds) + 1, 3))
    np.add.at(counts, place + 1, changes[:, 1:])
    true, false, crossed = (counts.cumsum(0) * rates).T
    false = (false + crossed).round(9)  # sums of changes are not exact
    order = np.lexsort((true, false))
    false, true = false[order], np.maximum.accumulate(true[order].round(9))
    ends = np.append(false[1:] != false[:-1], True) & (false <= e_max)
    return false[ends], true[ends]


def _area(curves, alpha_st, e_max):
    """Returns the score of the curves of labels, which are stairs."""
    if not curves:
        return DetectionScore(float("nan"), {}, np.zeros(1), np.zeros(1))
    rates = np.unique(np.concatenate([false for false, _ in curves.values()]))
    widths = np.diff(np.append(rates, e_max)) / e_max
    stairs = np.array(
        [
            np.append(true, 0.0)[np.searchsorted(false, rates, side="right") - 1]
            for false, true in curves.values()
        ]
    )
    mean = np.maximum(stairs.mean(0) - alpha_st * stairs.std(0), 0.0)
    areas = dict(zip(curves, (stairs @ widths).tolist()))
    return DetectionScore(float(mean @ widths), areas, rates, mean)
