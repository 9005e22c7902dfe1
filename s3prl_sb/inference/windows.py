"""Windows of a long recording, and their frames as those of one.

A model reads windows that overlap. Its tracks are in another order in each of them, so
tracks are grouped to speakers: first those of two successive windows that agree in the
overlap, then those with similar vectors; two tracks of a window are never one speaker.
In each overlap the frames of the earlier window go over into those of the later one at
a moment at which nobody is in the middle of a word.

Grouping of the tracks of windows by vectors: https://arxiv.org/abs/2010.13366.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from s3prl_sb.dataio.timeline_decoding import BestTokens

AGREEMENT = 0.5  # least intersection over union of two tracks of one speaker
SIMILARITY = 0.8  # least cosine of two tracks of one speaker, if nothing says better


class Span(NamedTuple):
    """Frames of a window in the recording.

    Arguments
    ---------
    first, last : int
        The first frame, and the one after the last.
    """

    first: int
    last: int


@dataclass
class Window:
    """Output of a model for one window; None for what it does not predict.

    Arguments
    ---------
    span : Span
        Its frames.
    activity : numpy.ndarray or None
        [frames, tracks], probabilities.
    events : numpy.ndarray or None
        [frames, labels], probabilities.
    words : BestTokens or None
        [tracks, frames].
    vectors : numpy.ndarray or None
        [tracks, size], a vector of the voice in each track.
    """

    span: Span
    activity: Any = None
    events: Any = None
    words: BestTokens | None = None
    vectors: Any = None

    def __post_init__(self):
        """Fits the output to the span: the audio may be a sample longer or shorter than
        its header says."""
        frames = self.span.last - self.span.first
        for name in ("activity", "events"):
            values = getattr(self, name)
            if values is not None:
                setattr(self, name, _fitted(values, frames))
        if self.words is not None:
            self.words = BestTokens(*(_fitted(v.T, frames).T for v in self.words))


def _fitted(values, frames):
    """Cuts frames off, or repeats the last one."""
    return values[np.minimum(np.arange(frames), len(values) - 1)]


def spans(frames: int, window: int, overlap: int) -> list[Span]:
    """Returns the windows of a recording.

    Arguments
    ---------
    frames : int
        Number of frames of the recording.
    window, overlap : int
        Frames of a window, and those that two successive ones share.

    Returns
    -------
    list of Span
        All of them have the length of a window, unless the recording is shorter; the
        last one begins earlier if need be.

    Example
    -------
    >>> [tuple(span) for span in spans(23, window=10, overlap=4)]
    [(0, 10), (6, 16), (12, 22), (13, 23)]
    """
    starts = range(0, max(frames - window, 0), window - overlap)
    firsts = [*starts, max(frames - window, 0)]
    return [Span(first, min(first + window, frames)) for first in firsts]


def joined(
    windows: Sequence[Window],
    threshold: float,
    blank: int = 0,
    space: int | None = None,
    similarity: float | None = None,
) -> tuple[np.ndarray | None, np.ndarray | None, BestTokens | None]:
    """Joins the frames of windows.

    Arguments
    ---------
    windows : list of Window
        Successive windows, which cover the recording.
    threshold : float
        Probability above which a track is active; tracks that never are do not count.
    blank, space : int, optional
        Tokens of words: the blank, and the one between words.
    similarity : float, optional
        Least cosine of the vectors of one speaker, see :func:`speakers`.

    Returns
    -------
    activity : numpy.ndarray or None
        [frames, speakers], probabilities; speakers are in the order in which they
        first speak.
    events : numpy.ndarray or None
        [frames, labels], probabilities.
    words : BestTokens or None
        [speakers, frames]. Without ``activity`` the tracks are those of the windows.
    """
    parts = pieces(windows, blank, space)
    events = None
    if windows[0].events is not None:
        events = np.concatenate([w.events[part] for w, part in zip(windows, parts)])
    if windows[0].activity is None:
        return None, events, _in_turn(windows, parts)
    groups = speakers(windows, threshold, similarity)
    count = max((n for group in groups for n in group.values()), default=-1) + 1
    frames = windows[-1].span.last
    activity = np.zeros((frames, count), np.float32)
    tokens = np.full((count, frames), blank)
    values = np.zeros((count, frames), np.float32)
    for window, part, group in zip(windows, parts, groups):
        where = slice(window.span.first + part.start, window.span.first + part.stop)
        for track, speaker in group.items():
            activity[where, speaker] = window.activity[part, track]
            if window.words is not None:
                tokens[speaker, where] = window.words.tokens[track, part]
                values[speaker, where] = window.words.values[track, part]
    order = np.argsort(_beginnings(activity > threshold), kind="stable")
    has_words = windows[0].words is not None
    words = BestTokens(tokens[order], values[order]) if has_words else None
    return activity[:, order], events, words


def _in_turn(windows, parts):
    """Returns the words of tracks that have no speakers."""
    if windows[0].words is None:
        return None
    pairs = [[each[:, p] for each in w.words] for w, p in zip(windows, parts)]
    return BestTokens(*(np.concatenate(each, 1) for each in zip(*pairs)))


def pieces(
    windows: Sequence[Window], blank: int = 0, space: int | None = None
) -> list[slice]:
    """Returns the frames of each window that count.

    Arguments
    ---------
    windows, blank, space
        See :func:`joined`.

    Returns
    -------
    list of slice
        Relative to the window. Together they have each frame of the recording once.
    """
    cuts = [windows[0].span.first]
    for early, late in zip(windows, windows[1:]):
        first, last = late.span.first, early.span.last
        costs = np.abs(np.arange(first, last + 1) - (first + last) / 2) / 1e4
        for window in (early, late):
            if window.words is not None:
                inside = _inside_words(window.words.tokens, blank, space)
                places = slice(first - window.span.first, last - window.span.first)
                costs[:-1] += inside[:, places].sum(0)
        cuts.append(max(first + int(costs[:-1].argmin()), cuts[-1]))
    cuts.append(windows[-1].span.last)
    return [
        slice(start - window.span.first, stop - window.span.first)
        for window, start, stop in zip(windows, cuts, cuts[1:])
    ]


def _inside_words(tokens, blank, space):
    """Returns [tracks, frames]: 2 at a token, 1 between two tokens of a word."""
    spoken = (tokens != blank) & (tokens != (blank if space is None else space))
    cost = 2 * spoken.astype(int)
    for row, mine, track in zip(cost, spoken, tokens):
        places = np.flatnonzero(mine)
        for first, last in zip(places, places[1:]):
            if space is not None and space not in track[first:last]:
                row[first + 1 : last] = 1
    return cost


def speakers(
    windows: Sequence[Window], threshold: float, similarity: float | None = None
) -> list[dict[int, int]]:
    """Groups the tracks of windows to speakers.

    Arguments
    ---------
    windows, threshold
        See :func:`joined`.
    similarity : float, optional
        Least cosine of the vectors of one speaker. Default: half-way between the mean
        of pairs of tracks that agree in an overlap, which are one speaker, and that of
        pairs of a window, which are not.

    Returns
    -------
    list of dict
        For each window, its active tracks to numbers of speakers.
    """
    nodes = [
        (number, track)
        for number, window in enumerate(windows)
        for track in np.flatnonzero((window.activity > threshold).any(0)).tolist()
    ]
    index = {node: place for place, node in enumerate(nodes)}
    groups = list(range(len(nodes)))
    links = []
    for number in range(len(windows) - 1):
        for pair in _agreeing(windows[number], windows[number + 1], threshold):
            one, two = index[number, pair[0]], index[number + 1, pair[1]]
            links.append((one, two))
            groups[two] = groups[one]
    if windows[0].vectors is not None and nodes:
        vectors = np.array([windows[n].vectors[track] for n, track in nodes])
        weights = [(windows[n].activity[:, t] > threshold).sum() for n, t in nodes]
        origins = np.array([number for number, _ in nodes])
        if similarity is None:
            similarity = _midpoint(vectors, links, origins)
        _merge(groups, vectors, np.array(weights), origins, similarity)
    numbers: dict[int, int] = {}
    result: list[dict[int, int]] = [{} for _ in windows]
    for (number, track), group in zip(nodes, groups):
        result[number][track] = numbers.setdefault(group, len(numbers))
    return result


def _agreeing(early, late, threshold):
    """Returns pairs of tracks of two windows that are active at the same time."""
    first, last = late.span.first, early.span.last
    one = early.activity[first - early.span.first :] > threshold
    two = late.activity[: last - first] > threshold
    common = one.T.astype(float) @ two
    union = one.sum(0)[:, None] + two.sum(0)[None] - common
    shares = common / np.maximum(union, 1)
    pairs = zip(*linear_sum_assignment(shares, maximize=True))
    return [(int(a), int(b)) for a, b in pairs if shares[a, b] >= AGREEMENT]


def _midpoint(vectors, links, origins):
    """Returns the cosine half-way between pairs of one speaker and pairs of two."""
    cosines = _cosines(vectors)
    same = [cosines[pair] for pair in links]
    rows, columns = np.triu_indices(len(vectors), 1)
    others = cosines[rows, columns][origins[rows] == origins[columns]]
    if not same or not len(others):
        return SIMILARITY
    return (np.mean(same) + np.mean(others)) / 2


def _merge(groups, vectors, weights, origins, similarity):
    """Merges groups, the most similar ones first, in place; groups with tracks of one
    window stay apart."""
    names = np.unique(groups)
    members = names[:, None] == np.array(groups)
    sums = (members * weights) @ vectors
    in_window = (members.astype(int) @ (origins[:, None] == np.unique(origins))) > 0
    cosines = _cosines(sums)
    cosines[in_window.astype(int) @ in_window.T > 0] = -np.inf  # each with itself, too
    while cosines.max() >= similarity:
        one, two = np.unravel_index(cosines.argmax(), cosines.shape)
        groups[:] = [names[one] if g == names[two] else g for g in groups]
        sums[one] += sums[two]
        in_window[one] |= in_window[two]
        apart = (in_window @ in_window[one]) | np.isneginf(cosines).all(1)
        apart[[one, two]] = True
        cosines[two] = cosines[:, two] = -np.inf
        row = np.where(apart, -np.inf, _cosines(sums[[one]], sums)[0])
        cosines[one] = cosines[:, one] = row


def _cosines(vectors, others=None):
    """Returns the cosines between vectors and others; by default themselves."""
    one, two = (
        each / np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-9)
        for each in (vectors, vectors if others is None else others)
    )
    return one @ two.T


def _beginnings(active):
    """Returns the first active frame of each column, or the number of frames."""
    return np.where(active.any(0), active.argmax(0), len(active))
