"""F1 scores and error rates of sound events, in segments of fixed length and event by
event.

They are those of sed_eval: Mesaros, Heittola and Virtanen, "Metrics for polyphonic
sound event detection", Applied Sciences 6(6), 2016,
https://www.mdpi.com/2076-3417/6/6/162.

=================  =================================================================
segment F1, ER     :func:`segment_counts`: a label is right in a segment of, mostly,
                   one second if it is active there on both sides, however briefly
onset F1           :func:`event_counts` without ``offset_share``: an event is right if
                   the onset of one with the same label is within the collar
event F1           :func:`event_counts` with ``offset_share``: the offset must be
                   within that share of the length too, or within the collar
=================  =================================================================

Events are matched one to one such that as many as possible are right, as sed_eval does
by default since its version 0.2 (``event_matching_type="optimal"``), and HEAR with it.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from s3prl_sb.metrics.transcription import paired

PRECISION = 6  # decimals of seconds; sums of decimal times are not exact

#: ``{recording: [(label, start, stop), …]}``, in seconds.
Events = Mapping[str, Iterable[tuple[str, float, float]]]


@dataclass(frozen=True)
class EventCounts:
    """Counts of right, estimated and true events (or segments), and their scores.

    Arguments
    ---------
    recordings, labels : list of str
        Names of the rows and of the columns.
    right, estimated, reference : numpy.ndarray
        [recordings, labels], numbers of events or active segments.
    errors : numpy.ndarray, optional
        [recordings], substitutions, deletions and insertions in segments; a wrong label
        in place of the right one is one error.

    Example
    -------
    >>> reference = {"a": [("dog", 1.0, 2.0), ("cat", 3.0, 4.0)]}
    >>> counts = event_counts(reference, {"a": [("dog", 1.1, 5.0)]}, collar=0.2)
    >>> counts.precision, counts.recall, round(counts.f1, 4), counts.macro_f1
    (1.0, 0.5, 0.6667, 0.5)
    """

    recordings: Sequence[str]
    labels: Sequence[str]
    right: np.ndarray
    estimated: np.ndarray
    reference: np.ndarray
    errors: np.ndarray | None = None

    @property
    def precision(self) -> float:
        """Share of the estimate that is right, over all labels; 0 without estimate."""
        return float(self.right.sum() / max(self.estimated.sum(), 1))

    @property
    def recall(self) -> float:
        """Share of the reference that is found; nan without reference."""
        return _ratio(self.right.sum(), self.reference.sum())

    @property
    def f1(self) -> float:
        """F1 score over all labels (micro average); nan without reference."""
        true = self.reference.sum()
        return _ratio(2 * self.right.sum(), true and true + self.estimated.sum())

    @property
    def label_f1(self) -> dict[str, float]:
        """F1 score of each label that the reference has."""
        right, estimated, true = (
            counts.sum(0).tolist()
            for counts in (self.right, self.estimated, self.reference)
        )
        rows = zip(self.labels, right, estimated, true)
        return {label: 2 * r / (e + t) for label, r, e, t in rows if t}

    @property
    def macro_f1(self) -> float:
        """Mean F1 score of the labels that the reference has; nan without reference.

        A label without estimate has the score 0, as in sed_eval with
        ``empty_system_output_handling="zero_score"``; sed_eval's default leaves it out.
        """
        scores = list(self.label_f1.values())
        return _ratio(sum(scores), len(scores))

    @property
    def error_rate(self) -> float:
        """Errors in segments over active segments of the reference, all labels
        together; nan without reference."""
        if self.errors is None:
            raise ValueError("error rates are of segments: use segment_counts")
        return _ratio(self.errors.sum(), self.reference.sum())

    @property
    def macro_error_rate(self) -> float:
        """Mean over the labels of the reference of deletions and insertions over true
        events or segments; nan without reference."""
        right, estimated, true = (
            counts.sum(0) for counts in (self.right, self.estimated, self.reference)
        )
        there = true > 0
        rates = (true + estimated - 2 * right)[there] / true[there]
        return _ratio(rates.sum(), len(rates))


def segment_counts(
    reference: Events,
    estimate: Events,
    durations: Mapping[str, float],
    labels: Sequence[str] | None = None,
    resolution: float = 1.0,
) -> EventCounts:
    """Counts the segments of fixed length in which labels are active.

    Arguments
    ---------
    reference, estimate : dict
        ``{recording: [(label, start, stop), …]}`` in seconds, of the same recordings.
    durations : dict
        Seconds of each recording; later segments do not count.
    labels : list of str, optional
        All labels. Default: those that occur.
    resolution : float
        Seconds of a segment.

    Returns
    -------
    EventCounts

    Raises
    ------
    ValueError
        If a recording is on one side only, or if a label is not in ``labels``.

    Example
    -------
    >>> reference = {"a": [("dog", 0.5, 1.5)]}
    >>> counts = segment_counts(reference, {"a": [("dog", 1.2, 2.5)]}, {"a": 4.0})
    >>> counts.f1, counts.error_rate
    (0.5, 1.0)
    """
    pairs, labels = paired(estimate, reference), _labels(reference, estimate, labels)
    rows, errors = [], []
    for name, events, true_events in pairs:
        count = math.ceil(round(durations[name] / resolution, PRECISION))
        found = _roll(events, labels, count, resolution)
        true = _roll(true_events, labels, count, resolution)
        right = found & true
        rows.append([each.sum(0) for each in (right, found, true)])
        # In a segment, a wrong label in place of a missing one is one substitution
        most = np.maximum(found.sum(1), true.sum(1))
        errors.append(int((most - right.sum(1)).sum()))
    return _counts([name for name, _, _ in pairs], labels, rows, np.array(errors))


def event_counts(
    reference: Events,
    estimate: Events,
    labels: Sequence[str] | None = None,
    collar: float = 0.2,
    offset_share: float | None = None,
) -> EventCounts:
    """Counts the events whose onsets, and optionally offsets, are found.

    Arguments
    ---------
    reference, estimate, labels
        See :func:`segment_counts`.
    collar : float
        Seconds by which an onset may differ, and an offset at least.
    offset_share : float, optional
        Share of the true event's length by which the offset may differ where that is
        more than the collar. Default: offsets do not count.

    Returns
    -------
    EventCounts

    Raises
    ------
    ValueError
        See :func:`segment_counts`.

    Example
    -------
    >>> reference, estimate = {"a": [("dog", 1.0, 9.0)]}, {"a": [("dog", 1.0, 7.5)]}
    >>> event_counts(reference, estimate, offset_share=0.2).f1  # up to 1.6 seconds
    1.0
    >>> event_counts(reference, estimate, offset_share=0.1).f1
    0.0
    """
    pairs, labels = paired(estimate, reference), _labels(reference, estimate, labels)
    rows = []
    for _, events, true_events in pairs:
        found, true = _by_label(events), _by_label(true_events)
        right = np.zeros(len(labels), dtype=np.int64)
        for number, label in enumerate(labels):
            if label in found and label in true:
                allowed = _allowed(true[label], found[label], collar, offset_share)
                right[number] = _matched(allowed)
        sizes = [[len(s.get(label, ())) for label in labels] for s in (found, true)]
        rows.append([right, *map(np.array, sizes)])
    return _counts([name for name, _, _ in pairs], labels, rows)


def event_measures(
    reference: Events,
    estimate: Events,
    durations: Mapping[str, float],
    labels: Sequence[str],
    resolution: float = 1.0,
    collar: float = 0.2,
    offset_share: float = 0.2,
    kinds: Sequence[str] = ("segment", "onset", "event"),
) -> dict[str, float]:
    """Returns all scores of sound events by their names in results.json.

    Arguments
    ---------
    reference, estimate, durations, labels, resolution
        See :func:`segment_counts`.
    collar, offset_share : float
        See :func:`event_counts`.
    kinds : tuple of str
        Scores to compute: "segment", "onset", "event".

    Returns
    -------
    dict
        ``<kind>_f1``, ``<kind>_f1_macro`` and, of segments, ``segment_error_rate``.
        Without a true event the scores are 0, the error rate 1.

    Example
    -------
    >>> reference, estimate = {"a": [("x", 0.0, 2.0)]}, {"a": [("x", 0.1, 1.0)]}
    >>> event_measures(reference, estimate, {"a": 9.0}, ["x"], kinds=["onset"])
    {'onset_f1': 1.0, 'onset_f1_macro': 1.0}
    """
    made = {
        "segment": lambda: segment_counts(
            reference, estimate, durations, labels, resolution
        ),
        "onset": lambda: event_counts(reference, estimate, labels, collar),
        "event": lambda: event_counts(
            reference, estimate, labels, collar, offset_share
        ),
    }
    measures = {}
    for kind in kinds:
        counts = made[kind]()
        is_there = counts.reference.any()
        measures[f"{kind}_f1"] = counts.f1 if is_there else 0.0
        measures[f"{kind}_f1_macro"] = counts.macro_f1 if is_there else 0.0
        if kind == "segment":
            measures["segment_error_rate"] = counts.error_rate if is_there else 1.0
    return measures


def check_labels(events: Events, labels: Sequence[str]) -> None:
    """Checks that events have none but the given labels.

    Arguments
    ---------
    events : dict
        ``{recording: [(label, start, stop), …]}``.
    labels : list of str
        All labels.

    Raises
    ------
    ValueError
        With the first ones that are not given.

    Example
    -------
    >>> check_labels({"a": [("dog", 0.0, 1.0)]}, ["cat", "dog"])
    """
    found = {event[0] for each in events.values() for event in each}
    if unknown := sorted(found - set(labels)):
        raise ValueError(f"events of other labels than the given: {unknown[:5]}")


def _ratio(errors, total) -> float:
    """Returns a quotient, nan where nothing is counted."""
    return float(errors / total) if total else math.nan


def _labels(reference, estimate, labels):
    """Returns all labels in their order."""
    if labels is None:
        return sorted(
            {e[0] for s in (reference, estimate) for es in s.values() for e in es}
        )
    for side in (reference, estimate):
        check_labels(side, labels)
    return list(labels)


def _counts(names, labels, rows, errors=None):
    """Returns the counts of rows (right, estimated, reference), each [labels]."""
    counts = np.array(rows, dtype=np.int64).reshape(len(rows), 3, len(labels))
    return EventCounts(names, labels, *counts.transpose(1, 0, 2), errors=errors)


def _roll(events, labels, count, resolution):
    """Returns which labels are active in segments: [segments, labels], bool."""
    numbers = {label: number for number, label in enumerate(labels)}
    roll = np.zeros((count, len(labels)), dtype=bool)
    for label, start, stop in events:
        first = math.floor(round(start / resolution, PRECISION))
        last = math.ceil(round(stop / resolution, PRECISION))
        roll[max(first, 0) : max(last, 0), numbers[label]] = True
    return roll


def _by_label(events):
    """Returns the times [events, 2] of each label."""
    times = {}
    for label, start, stop in events:
        times.setdefault(label, []).append((start, stop))
    return {label: np.array(each, dtype=np.float64) for label, each in times.items()}


def _allowed(true, found, collar, offset_share):
    """Returns which events of a label may be the same: [true, found], bool."""
    apart = np.abs(true[:, None] - found[None]).round(PRECISION)
    allowed = apart[..., 0] <= collar
    if offset_share is not None:
        share = offset_share * (true[:, 1] - true[:, 0])
        limit = np.maximum(collar, share).round(PRECISION)
        allowed &= apart[..., 1] <= limit[:, None]
    return allowed


def _matched(allowed):
    """Returns the size of the largest one-to-one matching."""
    if (allowed.sum(0) <= 1).all() and (allowed.sum(1) <= 1).all():
        return int(allowed.sum())
    return int((maximum_bipartite_matching(csr_matrix(allowed)) >= 0).sum())
