"""F1 score of whole timelines: speakers, words and events together.

The score is this toolkit's own. It stands beside the standard measures of each kind
(DER, tcpWER, the F1 scores of events), never instead of them. In each recording

1. turns of the same speaker that overlap or touch become one, on both sides;
2. predicted speakers are mapped to true ones, one to one, such that the time that both
   sides of the pairs are active is longest; a speaker is active in turns and words;
3. a predicted turn and a true one match if their speakers are mapped to each other and
   their intersection is at least half of their union;
4. so do an event and an event of equal labels;
5. a word and a word match if their texts are equal, their speakers are mapped to each
   other, and their middles are at most 200 ms apart;
6. of all such pairs as many as possible are chosen, so that no item is in two.

The F1 score of a type of items is twice the number of pairs over that of all items,
predicted and true, summed over the recordings in which the type is annotated. The
timeline score is the mean of the F1 scores of the types that occur.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from s3prl_sb.dataio.timeline import TYPES, Item, Timeline, Timelines, segments_of
from s3prl_sb.metrics.transcription import paired

OVERLAP = 0.5  # least intersection over union of turns and events
DISTANCE = 0.2  # seconds between the middles of words
TINY = 1e-9  # times are decimals, and a limit may be reached exactly


@dataclass(frozen=True)
class Matches:
    """Numbers of items of one type; objects can be added.

    Arguments
    ---------
    pairs, predicted, true : int
        Matched pairs, predicted items, true items.

    Example
    -------
    >>> (Matches(1, 2, 1) + Matches(0, 0, 1)).f1
    0.5
    """

    pairs: int = 0
    predicted: int = 0
    true: int = 0

    @property
    def items(self) -> int:
        """Number of items of both sides."""
        return self.predicted + self.true

    @property
    def f1(self) -> float:
        """Twice the pairs over all items."""
        if not self.items:
            raise ValueError("the F1 score of no items is not defined")
        return 2 * self.pairs / self.items

    def __add__(self, other: "Matches") -> "Matches":
        return Matches(
            self.pairs + other.pairs,
            self.predicted + other.predicted,
            self.true + other.true,
        )


@dataclass(frozen=True)
class TimelineScore:
    """Matches of timelines.

    Arguments
    ---------
    counts : dict
        Recording ids to types to :class:`Matches`.
    """

    counts: Mapping[str, Mapping[str, Matches]]

    def total(self, kind: str) -> Matches:
        """Returns the sum of the matches of a type over the recordings."""
        each = [types[kind] for types in self.counts.values() if kind in types]
        return sum(each, Matches())

    @property
    def f1(self) -> dict[str, float]:
        """F1 score of each type that occurs."""
        totals = {kind: self.total(kind) for kind in TYPES}
        return {kind: each.f1 for kind, each in totals.items() if each.items}

    @property
    def macro(self) -> float:
        """Mean of :attr:`f1` over the types that occur: the timeline score."""
        scores = self.f1
        if not scores:
            raise ValueError("the timeline score of no items is not defined")
        return sum(scores.values()) / len(scores)


def timeline_f1(
    predicted: Timelines,
    true: Timelines,
    annotated: Mapping[str, Iterable[str]] | None = None,
) -> TimelineScore:
    """Compares timelines, see the description of the module.

    Arguments
    ---------
    predicted, true : dict
        Recording ids to lists of :class:`~s3prl_sb.dataio.timeline.Item`.
    annotated : dict, optional
        Recording ids to the types of items that are annotated: "speaker", "word",
        "event". Predictions of other types are not counted. Default: all types.

    Returns
    -------
    TimelineScore

    Example
    -------
    >>> true = [Item("speaker", "ann", 0.0, 2.0), Item("word", "hi", 0.5, 0.9, "ann")]
    >>> predicted = [Item("speaker", "1", 0.1, 2.0), Item("word", "hi", 0.9, 1.3, "1")]
    >>> timeline_f1({"a": predicted}, {"a": true}).f1
    {'speaker': 1.0, 'word': 0.0}
    """
    counts = {}
    for name, p, t in paired(predicted, true):
        kinds = TYPES if annotated is None else tuple(annotated[name])
        counts[name] = _compared(p, t, kinds)
    return TimelineScore(counts)


def speaker_mapping(predicted: Timeline, true: Timeline) -> dict[str, str]:
    """Maps predicted speakers to true ones.

    Arguments
    ---------
    predicted, true : list of Item
        Timelines of one recording.

    Returns
    -------
    dict
        Predicted to true speakers. Some may have no partner: those that the other side
        has no speaker left for, or none that is ever active at the same time.

    Example
    -------
    >>> true = [Item("speaker", "ann", 0.0, 2.0)]
    >>> speaker_mapping([Item("speaker", "1", 1.0, 3.0)], true)
    {'1': 'ann'}
    """
    heard, spoken = _activity(predicted), _activity(true)
    if not heard or not spoken:
        return {}
    together = np.array(
        [[_common(h, s) for s in spoken.values()] for h in heard.values()]
    )
    pairs = zip(*linear_sum_assignment(together, maximize=True))
    names = list(heard), list(spoken)
    return {names[0][h]: names[1][s] for h, s in pairs if together[h, s] > 0}


def _compared(predicted, true, kinds):
    """Returns the matches of each type in one recording."""
    mapping = speaker_mapping(predicted, true)
    found = {}
    for kind in kinds:
        p, t = (_items(side, kind) for side in (predicted, true))
        # A speaker without a partner is equal to nobody
        names = [mapping.get(_name(item), (_name(item),)) for item in p]
        if kind == "event":
            keys = [item.label for item in p], [item.label for item in t]
        elif kind == "speaker":
            keys = names, [item.label for item in t]
        else:
            keys = (
                [(name, item.label) for name, item in zip(names, p)],
                [(item.speaker, item.label) for item in t],
            )
        fits = _near if kind == "word" else _overlapping
        found[kind] = Matches(_most_pairs(p, t, keys, fits), len(p), len(t))
    return found


def _items(timeline, kind):
    if kind != "speaker":
        return [item for item in timeline if item.type == kind]
    turns = segments_of(timeline, "speaker")
    names = dict.fromkeys(name for name, _, _ in turns)
    return [
        Item("speaker", name, start, stop)
        for name in names
        for start, stop in _merged((a, b) for each, a, b in turns if each == name)
    ]


def _name(item):
    return item.label if item.type == "speaker" else item.speaker


def _activity(timeline):
    """Returns the (start, stop) of each speaker, apart from each other, as arrays."""
    spans: dict[str, list] = {}
    for item in timeline:
        if item.type != "event":
            spans.setdefault(_name(item), []).append((item.start, item.stop))
    return {name: np.array(_merged(each)) for name, each in spans.items()}


def _merged(spans):
    """Merges spans that overlap or touch."""
    result: list[list[float]] = []
    for start, stop in sorted(spans):
        if result and start <= result[-1][1] + TINY:
            result[-1][1] = max(result[-1][1], stop)
        else:
            result.append([start, stop])
    return [tuple(span) for span in result]


def _common(one, other):
    """Returns the seconds that two arrays of spans [count, 2] have in common; the spans
    of an array are sorted and disjoint."""
    # The time of the first one that has passed at each of its edges
    passed = np.repeat(np.cumsum(one[:, 1] - one[:, 0]), 2)
    passed[::2] -= one[:, 1] - one[:, 0]
    starts, stops = np.interp(other, one.ravel(), passed).T
    return (stops - starts).sum()


def _times(items):
    times = [(item.start, item.stop) for item in items]
    return np.array(times, float).reshape(-1, 2)


def _overlapping(predicted, true):
    """Returns which pairs of spans [pairs, 2] overlap by half of their union."""
    stops = np.minimum(predicted[:, 1], true[:, 1])
    common = np.maximum(stops - np.maximum(predicted[:, 0], true[:, 0]), 0)
    union = np.diff(predicted).ravel() + np.diff(true).ravel() - common
    return (common >= OVERLAP * union - TINY) & (common > 0)


def _near(predicted, true):
    """Returns which pairs of spans [pairs, 2] have close middles."""
    return np.abs(predicted.mean(1) - true.mean(1)) <= DISTANCE + TINY


def _most_pairs(predicted, true, keys, fits):
    """Returns the largest number of pairs of items with equal keys that fit."""
    one, other = _times(predicted), _times(true)
    rows, columns = _candidates(one, other, keys, DISTANCE + TINY)
    good = fits(one[rows], other[columns])
    if not good.any():
        return 0
    size = len(one), len(other)
    pairs = csr_array((good[good], (rows[good], columns[good])), shape=size)
    return int((maximum_bipartite_matching(pairs) >= 0).sum())


def _candidates(one, other, keys, slack):
    """Returns the pairs of spans with equal keys that overlap or are close, and some
    more, as two arrays of indices: far fewer than all pairs of a long recording."""
    numbers: dict = {}
    mine, theirs = (
        np.array([numbers.setdefault(key, len(numbers)) for key in each], int)
        for each in keys
    )
    # Each key has an axis of time of its own, one after the other
    every = np.concatenate([one, other])
    length = np.ptp(every) + 1.0 if len(every) else 1.0
    one, other = one + length * mine[:, None], other + length * theirs[:, None]
    order = np.argsort(other[:, 0])
    starts, ends = other[order, 0], np.maximum.accumulate(other[order, 1])
    first = np.searchsorted(ends, one[:, 0] - slack)
    last = np.searchsorted(starts, one[:, 1] + slack, side="right")
    counts = np.maximum(last - first, 0)
    rows = np.repeat(np.arange(len(one)), counts)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = order[np.repeat(first, counts) + places]
    same = mine[rows] == theirs[columns]
    return rows[same], columns[same]
