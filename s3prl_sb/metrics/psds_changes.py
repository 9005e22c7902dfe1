"""Found events, false positives and cross-triggers of recordings at all thresholds, for
the polyphonic sound detection score; see :mod:`s3prl_sb.metrics.psds`.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from s3prl_sb.metrics.sound_events import PRECISION, Events, check_labels
from s3prl_sb.metrics.transcription import paired

HOUR = 3600.0  # seconds; rates are an hour
HIGHEST = np.finfo(np.float64).max  # score
NO_SPANS = np.zeros((0, 2))


class Criteria(NamedTuple):
    """Shares from which on a detection and an event count.

    Arguments
    ---------
    dtc, gtc : float
        Detection tolerance and ground truth intersection criteria.
    cttc : float or None
        Cross-trigger tolerance criterion; None: cross-triggers are not counted.
    """

    dtc: float
    gtc: float
    cttc: float | None


def criteria(
    dtc: float, gtc: float, cttc: float | None = None, alpha_ct: float = 0.0
) -> Criteria:
    """Returns the checked criteria of a score.

    Arguments
    ---------
    dtc, gtc, cttc, alpha_ct
        See :func:`s3prl_sb.metrics.psds.psds`.

    Returns
    -------
    Criteria

    Raises
    ------
    ValueError
        If one is missing, or no share above 0.

    Example
    -------
    >>> criteria(0.7, 0.5, cttc=0.3)
    Criteria(dtc=0.7, gtc=0.5, cttc=None)
    """
    if alpha_ct and cttc is None:
        raise ValueError("alpha_ct without cttc: which detections are cross-triggers?")
    limits = Criteria(dtc, gtc, cttc if alpha_ct else None)
    if not all(0 < limit <= 1 for limit in limits if limit is not None):
        raise ValueError("dtc, gtc and cttc are shares above 0, at most 1")
    return limits


class Scenes:
    """Recordings with the scores of their frames and their true events.

    Arguments
    ---------
    scores, reference, durations, frame_seconds, labels
        See :func:`s3prl_sb.metrics.psds.psds`.

    Attributes
    ----------
    names : list of str
        The recordings.
    spans : dict
        Recordings to the times [events, 2] of each label, overlapping ones merged.
    counts : numpy.ndarray
        [labels], true events.
    seconds : numpy.ndarray
        [labels], their duration.
    hours : float
        Duration of all recordings.

    Example
    -------
    >>> scores = {"a": np.array([[0.9], [0.4]])}
    >>> scenes = Scenes(scores, {"a": [("dog", 0.0, 1.0)]}, {"a": 2.0}, 1.0, ["dog"])
    >>> (changes,) = scenes.changes(criteria(0.7, 0.7), scenes.costs())
    >>> changes.tolist()  # found above 0.4, where the detection becomes too long
    [[0.4, 0.0, 1.0, 0.0], [0.9, 1.0, 0.0, 0.0], [0.4, -1.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        scores: Mapping[str, np.ndarray],
        reference: Events,
        durations: Mapping[str, float],
        frame_seconds: float,
        labels: Sequence[str],
    ):
        check_labels(reference, labels)
        pairs = paired(scores, reference)
        self.labels, self.scores = labels, {name: each for name, each, _ in pairs}
        self.names = list(self.scores)
        self.durations, self.frame_seconds = durations, frame_seconds
        self.spans = {name: _merged(true, labels) for name, _, true in pairs}
        every = self.spans.values()
        self.counts = sum(
            (np.array([len(spans) for spans in each]) for each in every),
            np.zeros(len(labels), int),
        )
        self.seconds = np.zeros(len(labels))
        for each in every:
            self.seconds += seconds_of(each)
        self.hours = sum(durations[name] for name in self.names) / HOUR

    def costs(self) -> list[np.ndarray]:
        """Returns the weights of cross-triggers for :meth:`changes`: for each label,
        of the others, the mean over labels of the rates in time of their events.

        Returns
        -------
        list of numpy.ndarray
            [labels, 1] for each label.
        """
        weights = []
        for number in range(len(self.labels)):
            others = np.arange(len(self.labels)) != number
            others &= self.seconds > 0
            each = np.zeros(len(self.labels))
            each[others] = 1 / self.seconds[others] / others.sum()
            weights.append(each[:, None])
        return weights

    def changes(
        self, limits: Criteria, costs: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Returns the changes of the counts of each label as the threshold sinks.

        Arguments
        ---------
        limits : Criteria
            Criteria of the detections and events that count.
        costs : list of numpy.ndarray
            [labels, columns] for each label, weights of a cross-trigger of the others
            in columns of their own.

        Returns
        -------
        list of numpy.ndarray
            Rows of (threshold, found events, false positives, weights of
            cross-triggers) for each label.
        """
        every = [self.of_recording(name, limits, costs) for name in self.names]
        return [np.concatenate(rows) for rows in zip(*every)]

    def of_recording(
        self, name: str, limits: Criteria, costs: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """Returns the changes in one recording, see :meth:`changes`.

        Arguments
        ---------
        name : str
            The recording.
        limits, costs
            See :meth:`changes`.

        Returns
        -------
        list of numpy.ndarray
        """
        values = _checked(self.scores[name], name, self.labels)
        edges = np.arange(len(values) + 1) * self.frame_seconds
        edges = np.minimum(edges, self.durations[name])
        spans = self.spans[name]
        covered = np.stack([_covered(edges, each) for each in spans], axis=1)
        return [
            _changes(found, edges, covered, spans[number], limits, number, cost)
            for number, (found, cost) in enumerate(zip(_detections(values), costs))
        ]


def seconds_of(spans: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the seconds [labels] of the events of each label, whose times are
    [events, 2]."""
    return np.array([float((each[:, 1] - each[:, 0]).sum()) for each in spans])


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


def _changes(detections, edges, covered, spans, limits, number, costs):
    """Returns the changes of the counts of a label, see Scenes.of_recording."""
    dtc, gtc, cttc = limits
    first, last, high, low = detections
    starts, stops = edges[first], edges[last]
    lengths = stops - starts
    within = covered[last, number] - covered[first, number]
    is_right = within.round(PRECISION) >= (dtc * lengths).round(PRECISION)
    crossed = np.zeros((len(starts), costs.shape[1]))
    if cttc is not None:
        share = (covered[last] - covered[first]).round(PRECISION)
        crossed = (share >= (cttc * lengths).round(PRECISION)[:, None]) @ costs
    wrong = ~is_right
    counts = np.column_stack([np.zeros(len(high)), wrong, crossed])
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
        hits = _hits(high[there], low[there], common, needed)
        rows.append(np.pad(hits, ((0, 0), (0, 1 + costs.shape[1]))))
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
    event, as rows of (threshold, found events)."""
    ends = np.isfinite(low)
    thresholds, place = np.unique(
        np.concatenate([high, low[ends]]), return_inverse=True
    )
    seconds = np.zeros(len(thresholds))
    np.add.at(seconds, place, np.concatenate([common, -common[ends]]))
    covered = seconds[::-1].cumsum().round(PRECISION)
    change = np.diff((covered >= needed).astype(np.float64), prepend=0.0)
    return np.stack([thresholds[::-1], change], axis=1)[change != 0]
