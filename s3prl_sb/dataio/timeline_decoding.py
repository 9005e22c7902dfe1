"""Decoding of frames to a timeline: turns, words and events.

Frame ``f`` covers the time from ``f`` to ``f + 1`` frame lengths, so an item of the
frames ``i`` to ``j - 1`` lasts from ``i`` to ``j`` frame lengths.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from s3prl_sb.dataio.speaker_activity import decide, segments
from s3prl_sb.dataio.timeline import Item, Timeline, ordered
from s3prl_sb.dataio.tokenizers import Tokenizer, from_spec
from s3prl_sb.lobes.event_decoding import decode_events

BEGINNING = "▁"  # of a word, in the pieces of sentencepiece
CLOSE = 1e-6  # frames by which a duration may be off, as durations are decimals


class BestTokens(NamedTuple):
    """Most probable token of each frame.

    Arguments
    ---------
    tokens : numpy.ndarray
        [..., frames], indices.
    values : numpy.ndarray
        [..., frames], their log-probabilities.
    """

    tokens: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Decisions:
    """Settings of the decoding.

    Arguments
    ---------
    frame_seconds : float
        Length of a frame, seconds.
    event_labels : list of str
        Labels of the events, in the order of their columns.
    tokenizer : Tokenizer, optional
        Tokenizer of the words.
    speaker_threshold : float
        A speaker is active above this probability.
    speaker_median : float
        Length of the median filter over decisions on speakers, seconds; it is rounded
        to an odd number of frames. 0: no filter.
    event_threshold : float or dict
        Probability above which an event is active, the same for all labels, or by
        label.
    event_median : float or dict
        Length of the median filter over the probabilities of events, seconds, see
        :func:`~s3prl_sb.lobes.event_decoding.smooth`.
    min_event : float or dict
        Shorter events are left out, seconds.
    window_seconds, overlap_seconds : float
        Longer recordings are read in windows of this length, which share the second
        one, see :mod:`s3prl_sb.inference.windows`.
    speaker_similarity : float, optional
        Least cosine of the vectors of one speaker in two windows. Default: it is taken
        from each recording.

    Example
    -------
    >>> Decisions(event_labels=["dog"], event_threshold={"dog": 0.3}).of("dog")
    (0.3, 0.0, 0.0)
    """

    frame_seconds: float = 0.02
    event_labels: Sequence[str] = ()
    tokenizer: Tokenizer | None = None
    speaker_threshold: float = 0.5
    speaker_median: float = 0.0
    event_threshold: float | Mapping[str, float] = 0.5
    event_median: float | Mapping[str, float] = 0.0
    min_event: float | Mapping[str, float] = 0.0
    window_seconds: float = 30.0
    overlap_seconds: float = 5.0
    speaker_similarity: float | None = None

    def of(self, label: str) -> tuple[float, float, float]:
        """Returns threshold, median and least length of an event."""
        values = self.event_threshold, self.event_median, self.min_event
        first, second, third = (
            each[label] if isinstance(each, Mapping) else each for each in values
        )
        return first, second, third

    def spec(self) -> dict[str, Any]:
        """Returns JSON values for :meth:`from_spec`, as an export holds them."""
        values = dict(vars(self))
        values["event_labels"] = list(self.event_labels)
        values["tokenizer"] = self.tokenizer and self.tokenizer.spec()
        return values

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any]) -> "Decisions":
        """Rebuilds the settings from their :meth:`spec`."""
        tokenizer = spec.get("tokenizer")
        return cls(**{**spec, "tokenizer": tokenizer and from_spec(tokenizer)})


def decode(
    activity: Any, events: Any, words: Any, decisions: Decisions, duration: float
) -> Timeline:
    """Decodes the frames of one recording.

    Arguments
    ---------
    activity : numpy.ndarray or torch.Tensor, optional
        Probabilities [frames, speakers].
    events : numpy.ndarray or torch.Tensor, optional
        Probabilities [frames, labels].
    words : numpy.ndarray, torch.Tensor or BestTokens, optional
        Log-probabilities [speakers, frames, tokens], a track per speaker; or the
        output of :func:`best_tokens` for them.
    decisions : Decisions
        The settings.
    duration : float
        Seconds of the recording; no item ends after it.

    Returns
    -------
    list of Item
        Speakers are "speaker1", "speaker2", … in the order of the columns. A word
        begins with the first frame of its first token and ends with the last frame of
        its last one, and lies in the turns that it overlaps. Tracks of speakers that
        have no turn have no words.

    Example
    -------
    >>> activity = np.array([[0.9], [0.8], [0.1]])
    >>> decode(activity, None, None, Decisions(frame_seconds=0.5), 2.0)[0][:4]
    ('speaker', 'speaker1', 0.0, 1.0)
    """
    items: Timeline = []
    turns: Timeline = []
    if activity is not None:
        turns = speaker_items(_numpy(activity), decisions, duration)
    items += turns
    if events is not None:
        items += event_items(_numpy(events), decisions, duration)
    if words is not None:
        best = words if isinstance(words, BestTokens) else best_tokens(words)
        for number, track in enumerate(zip(*best), 1):
            name = f"speaker{number}"
            said = word_items(BestTokens(*track), name, decisions, duration)
            own = [turn for turn in turns if turn.label == name]
            items += said if activity is None else within(own, said)
    return ordered(items)


def within(turns: Timeline, words: Timeline) -> Timeline:
    """Limits words to the turns of their speaker: tokens may begin in the silence
    before a turn, which tells a network nothing.

    Arguments
    ---------
    turns : list of Item
        Turns of the speaker.
    words : list of Item
        Words of the speaker.

    Returns
    -------
    list of Item
        A word that overlaps turns lies within the first and the last of them; others
        stay where they are. Without turns there are no words.

    Example
    -------
    >>> turn = Item("speaker", "ann", 1.0, 3.0)
    >>> within([turn], [Item("word", "hi", 0.0, 1.5, "ann")])[0][2:4]
    (1.0, 1.5)
    """
    result = []
    for word in words if turns else ():
        near = [t for t in turns if t.start < word.stop and t.stop > word.start]
        start = max(word.start, min((t.start for t in near), default=word.start))
        stop = min(word.stop, max((t.stop for t in near), default=word.stop))
        result.append(word._replace(start=start, stop=stop))
    return result


def best_tokens(words: Any) -> BestTokens:
    """Returns the most probable token of each frame, all that the decoding needs.

    Arguments
    ---------
    words : numpy.ndarray or torch.Tensor
        Log-probabilities [..., frames, tokens].

    Returns
    -------
    BestTokens

    Example
    -------
    >>> best_tokens(np.log([[0.2, 0.8], [0.9, 0.1]])).tokens
    array([1, 0])
    """
    values = _numpy(words)
    return BestTokens(values.argmax(-1), values.max(-1))


def speaker_items(
    probabilities: np.ndarray, decisions: Decisions, duration: float
) -> Timeline:
    """Decodes the turns of speakers.

    Arguments
    ---------
    probabilities : numpy.ndarray
        [frames, speakers].
    decisions, duration
        See :func:`decode`.

    Returns
    -------
    list of Item
    """
    median = width(decisions.speaker_median, decisions.frame_seconds)
    active = decide(probabilities, decisions.speaker_threshold, median)
    names = [f"speaker{number + 1}" for number in range(active.shape[1])]
    length = decisions.frame_seconds
    turns = segments(active, length, min(len(active) * length, duration), names)
    return _scored("speaker", turns, names, probabilities, length)


def event_items(
    probabilities: np.ndarray, decisions: Decisions, duration: float
) -> Timeline:
    """Decodes sound events.

    Arguments
    ---------
    probabilities : numpy.ndarray
        [frames, labels].
    decisions, duration
        See :func:`decode`.

    Returns
    -------
    list of Item
    """
    labels = list(decisions.event_labels)
    threshold, median, least = zip(*map(decisions.of, labels)) if labels else ((),) * 3
    length = decisions.frame_seconds
    found = decode_events(
        probabilities, labels, length, threshold, median, least, duration
    )
    return _scored("event", found, labels, probabilities, length)


def word_items(
    track: BestTokens, speaker: str, decisions: Decisions, duration: float
) -> Timeline:
    """Decodes the words of one speaker's track greedily.

    Arguments
    ---------
    track : BestTokens
        Best tokens [frames] and their log-probabilities.
    speaker : str
        Name of the speaker.
    decisions, duration
        See :func:`decode`.

    Returns
    -------
    list of Item
        The score of a word is the geometric mean of the highest probabilities of its
        tokens.
    """
    tokenizer, length = decisions.tokenizer, decisions.frame_seconds
    if tokenizer is None:
        raise ValueError("words need the tokenizer of the decisions")
    items = []
    for runs in _words(_runs(track, tokenizer.blank), tokenizer):
        text = tokenizer.decode([token for token, *_ in runs])
        start = min(runs[0][1] * length, duration)
        stop = min((runs[-1][2] + 1) * length, duration)
        if not text or start >= stop:
            continue
        score = float(np.exp(np.mean([value for *_, value in runs])))
        times = round(start, 6), round(stop, 6)
        items.append(Item("word", text, *times, speaker, min(score, 1.0)))
    return items


def width(seconds: float, frame_seconds: float) -> int:
    """Returns the odd number of frames next to a length in seconds.

    Arguments
    ---------
    seconds, frame_seconds : float
        Length of the filter, and of a frame.

    Returns
    -------
    int
        1 at least.

    Example
    -------
    >>> width(0.25, 0.02), width(0.02, 0.02), width(0.0, 0.02)
    (13, 1, 1)
    """
    return 2 * round((seconds / frame_seconds - 1 + CLOSE) / 2) + 1 if seconds else 1


def _scored(kind, found, names, probabilities, length):
    """Returns items of segments, each with its mean probability."""
    columns = {name: column for column, name in enumerate(names)}
    items = []
    for name, start, stop in found:
        first, last = round(start / length), math.ceil(stop / length - CLOSE)
        score = float(probabilities[first:last, columns[name]].mean())
        items.append(Item(kind, name, start, stop, "", score))
    return items


def _runs(track, blank):
    """Returns (token, first frame, last frame, log-probability at its peak) of the
    tokens of the best alignment."""
    edges = np.flatnonzero(np.diff(track.tokens, prepend=-1, append=-1))
    runs = [
        (int(track.tokens[a]), int(a), int(b) - 1, float(track.values[a:b].max()))
        for a, b in zip(edges, edges[1:])
    ]
    return [run for run in runs if run[0] != blank]


def _words(runs, tokenizer):
    """Groups tokens to words: at spaces, or at the pieces that begin a word, or each
    token alone."""
    space = getattr(tokenizer, "space", None)
    pieces = any(token.startswith(BEGINNING) for token in tokenizer.tokens)
    words: list[list] = [[]]
    for run in runs:
        text = tokenizer.tokens[run[0]]
        if run[0] in tokenizer.hidden:
            continue
        if space is not None and text == space:
            words.append([])
            continue
        if (pieces and text.startswith(BEGINNING)) or (not pieces and space is None):
            words.append([])
        words[-1].append(run)
    return [word for word in words if word]


def _numpy(values):
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values
