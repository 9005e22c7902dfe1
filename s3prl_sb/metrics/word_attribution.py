"""Word errors of several speakers: who said what.

The words of each speaker are concatenated, and predicted speakers are mapped to true
ones such that the errors of all pairs are fewest: cpWER, the concatenated
minimum-permutation word error rate (https://arxiv.org/abs/2004.09249). In tcpWER only
words that are close in time may be paired, so that words in the wrong place are errors
(https://arxiv.org/abs/2307.11394). A speaker without a partner has only deletions, or
insertions. Both agree with the package ``meeteval``, also in the number of edits of
each kind: among equally short alignments those with insertions, then deletions, are
chosen, from the end.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from s3prl_sb.metrics.transcription import Edits, edits, paired

COLLAR = 5.0  # seconds, the usual one of tcpWER
BLOCK = 64  # rows of a table of distances that are prepared at a time

#: (speaker, start, stop, text): a word, or the words of a segment.
Segment = tuple[str, float, float, str]
Segments = Mapping[str, Sequence[Segment]]


@dataclass(frozen=True)
class AttributedEdits(Edits):
    """Edits between the words of true speakers and of those mapped to them.

    Arguments
    ---------
    insertions, deletions, substitutions, tokens : int
        See :class:`~s3prl_sb.metrics.transcription.Edits`.
    assignment : tuple of (str or None, str or None)
        True and predicted speakers. None: the other one has no partner.

    Example
    -------
    >>> one = AttributedEdits(insertions=1, tokens=3, assignment=(("ann", "1"),))
    >>> (one + AttributedEdits(tokens=1)).rate
    0.25
    """

    assignment: tuple[tuple[str | None, str | None], ...] = ()

    def __add__(self, other):
        sums = Edits(*astuple(self)[:4]) + Edits(*astuple(other)[:4])
        return AttributedEdits(*astuple(sums))


def cpwer(predicted: Segments, true: Segments) -> dict[str, AttributedEdits]:
    """Counts the errors of cpWER.

    Arguments
    ---------
    predicted, true : dict
        From recording ids to lists of (speaker, start, stop, text) in seconds, in any
        order. The segments of a speaker are concatenated by start. Texts are compared
        as they are, word by word.

    Returns
    -------
    dict
        Recording ids to :class:`AttributedEdits`; see :func:`total`.

    Example
    -------
    >>> true = {"a": [("ann", 0, 1, "good day"), ("bob", 1, 2, "hello")]}
    >>> predicted = {"a": [("1", 1, 2, "hello"), ("2", 0, 1, "good way")]}
    >>> cpwer(predicted, true)["a"].assignment
    (('ann', '2'), ('bob', '1'))
    >>> total(cpwer(predicted, true)).rate
    0.3333333333333333
    """
    return {
        name: _attributed(_texts(p), _texts(t), lambda p, t: edits(p, t).total, edits)
        for name, p, t in paired(predicted, true)
    }


def tcpwer(
    predicted: Segments, true: Segments, collar: float = COLLAR
) -> dict[str, AttributedEdits]:
    """Counts the errors of tcpWER.

    Arguments
    ---------
    predicted, true
        See :func:`cpwer`. The words of a segment with several words share its time in
        proportion to their numbers of characters; a segment with one word has the
        exact time of this word.
    collar : float
        Seconds. A true word and a predicted one may be paired if the time of the true
        one overlaps the middle of the predicted one, more or less the collar.

    Returns
    -------
    dict
        Recording ids to :class:`AttributedEdits`; see :func:`total`.

    Example
    -------
    >>> true = {"a": [("ann", 0, 1, "good day")]}
    >>> total(tcpwer({"a": [("1", 0, 1, "good day")]}, true)).rate
    0.0
    >>> total(tcpwer({"a": [("1", 9, 10, "good day")]}, true)).rate
    2.0
    """
    if not 0 <= collar < math.inf:
        raise ValueError(f"a collar of {collar} seconds")
    return {
        name: _attributed(
            _timed(p, lambda start, stop: _around((start + stop) / 2, collar)),
            _timed(t, lambda start, stop: (start, stop)),
            _timed_total,
            _timed_edits,
        )
        for name, p, t in paired(predicted, true)
    }


def total(errors: Mapping[str, AttributedEdits]) -> AttributedEdits:
    """Adds the errors of recordings.

    Arguments
    ---------
    errors : dict
        Recording ids to :class:`AttributedEdits`.

    Returns
    -------
    AttributedEdits
        Their sum, without an assignment; its ``rate`` is the error rate.

    Example
    -------
    >>> total({"a": AttributedEdits(deletions=1, tokens=4)}).rate
    0.25
    """
    return sum(errors.values(), AttributedEdits())


class _Words:
    """Words of one speaker as numbers, with times [words, 2]."""

    def __init__(self, words=(), times=()):
        self.words, self.times = words, np.array(times, float).reshape(-1, 2)

    def __len__(self):
        return len(self.words)


def _around(middle, collar):
    return middle - collar, middle + collar


def _texts(segments):
    """Returns the list of words of each speaker."""
    speakers: dict[str, list[str]] = {}
    for speaker, _, _, text in _by_start(segments):
        speakers.setdefault(speaker, []).extend(text.split())
    return speakers


def _timed(segments, limits):
    """Returns the :class:`_Words` of each speaker; ``limits`` is a function of the
    start and the stop of a word."""
    speakers: dict[str, tuple[list, list]] = {}
    for speaker, start, stop, text in _by_start(segments):
        words, times = speakers.setdefault(speaker, ([], []))
        spread = word_times(text.split(), start, stop)
        words += [word for word, _, _ in spread]
        times += [limits(first, last) for _, first, last in spread]
    return {speaker: _Words(*pair) for speaker, pair in speakers.items()}


def word_times(
    words: Sequence[str], start: float, stop: float
) -> list[tuple[str, float, float]]:
    """Spreads words over a segment in proportion to their numbers of characters.

    Arguments
    ---------
    words : list of str
        Words of the segment.
    start, stop : float
        Seconds.

    Returns
    -------
    list of (str, float, float)
        Word, start and stop.

    Example
    -------
    >>> word_times(["a", "bcd"], 1.0, 3.0)
    [('a', 1.0, 1.5), ('bcd', 1.5, 3.0)]
    """
    if len(words) == 1:
        return [(words[0], start, stop)]
    ends = list(itertools.accumulate(map(len, words), initial=0))
    each = (stop - start) / max(ends[-1], 1)
    return [
        (word, start + each * first, start + each * last)
        for word, first, last in zip(words, ends, ends[1:])
    ]


def _by_start(segments):
    for speaker, start, stop, _ in segments:
        if not -math.inf < start <= stop < math.inf:
            raise ValueError(f"words of {speaker!r} from {start} to {stop} seconds")
    return sorted(segments, key=lambda segment: segment[1])


def _attributed(
    predicted: dict, true: dict, distance: Callable, count: Callable
) -> AttributedEdits:
    """Returns the edits of the best mapping of speakers, for dictionaries of speakers
    to words, and functions of predicted and true words."""
    size = max(len(predicted), len(true))
    if not size:
        return AttributedEdits()
    nobody = (None, type(next(iter([*predicted.values(), *true.values()])))())
    rows = [*true.items(), *[nobody] * (size - len(true))]
    columns = [*predicted.items(), *[nobody] * (size - len(predicted))]
    costs = np.array([[distance(p, t) for _, p in columns] for _, t in rows])
    sums, names = AttributedEdits(), []
    for r, c in zip(*linear_sum_assignment(costs)):
        sums += count(columns[c][1], rows[r][1])
        names.append((rows[r][0], columns[c][0]))
    return replace(sums, assignment=tuple(names))


def _timed_total(predicted: _Words, true: _Words) -> int:
    """Returns the number of edits between words of which only overlapping ones pair."""
    if not len(predicted) or not len(true):
        return len(predicted) + len(true)
    *_, last = _rows(predicted, true, _edges(predicted, true))
    return int(last[1][-1]) + len(predicted)


def _timed_edits(predicted: _Words, true: _Words) -> Edits:
    """Counts the edits of each kind, from the end of the table of distances."""
    insertions = deletions = substitutions = 0
    i, j = len(true), len(predicted)
    first, last = _edges(predicted, true) if i and j else ([], [])
    rows = list(_rows(predicted, true, (first, last))) if i and j else []
    while i and j:
        here = _entry(rows[i], j)
        if j == first[i]:  # on the left of it are no pairs: meeteval ends there
            deletions += 1
            i -= 1
        elif _entry(rows[i], j - 1) == here:
            insertions += 1
            j -= 1
        elif _entry(rows[i - 1], j) + 1 == here:
            deletions += 1
            i -= 1
        else:
            i, j = i - 1, j - 1
            substitutions += predicted.words[j] != true.words[i]
    return Edits(insertions + j, deletions + i, substitutions, len(true))


def _edges(predicted, true):
    """Returns, for each row of the table, the columns that all pairs from it on lie
    after, and that all pairs up to it lie before: two arrays, which never decrease."""
    starts, stops = predicted.times.T
    ends = np.maximum.accumulate(stops)
    first = np.searchsorted(ends, true.times[:, 0], side="right")
    first = np.minimum.accumulate(first[::-1])[::-1]
    begins = np.minimum.accumulate(starts[::-1])[::-1]
    last = np.searchsorted(begins, np.maximum.accumulate(true.times[:, 1]))
    first = np.concatenate([[0], first])
    return first, np.maximum(first, np.concatenate([[0], last]))


def _rows(predicted, true, edges):
    """Yields the rows of the table of distances, of 0, 1, … true words: the first
    column of a row, and its values, each less the number of its column.

    An insertion then leaves a value as it is. On the right of a row its last value
    continues; what is on its left no longer matters.
    """
    first, last = edges
    numbers = {word: number for number, word in enumerate(dict.fromkeys(true.words))}
    spoken = np.array([numbers[word] for word in true.words])
    heard = np.array([numbers.get(word, -1) for word in predicted.words])
    starts, stops = predicted.times.T
    left, row = 0, np.zeros(1, np.int32)
    yield left, row
    for top in range(0, len(true), BLOCK):
        some = slice(top, top + BLOCK)
        a, b = first[top + 1], last[min(top + BLOCK, len(true))]
        begin, end = true.times[some].T[..., None]
        overlap = (starts[a:b] < end) & (stops[a:b] > begin)
        differs = heard[a:b] != spoken[some, None]
        # A pair that is not allowed costs an insertion and a deletion
        costs = np.where(overlap, differs, 2).astype(np.int32) - 1
        row = row[min(a - left, len(row) - 1) :]
        row = np.pad(row, (0, b - a + 1 - len(row)), mode="edge")
        left = a
        for cost in costs:
            above, row = row, row + 1
            np.minimum(row[1:], above[:-1] + cost, out=row[1:])
            np.minimum.accumulate(row, out=row)
            yield left, row


def _entry(row, column):
    left, values = row
    return values[min(column - left, len(values) - 1)]
