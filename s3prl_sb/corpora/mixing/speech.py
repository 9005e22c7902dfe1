"""Speech that scenes are mixed from: utterances of speakers, in files.

Authors
 * The s3prl_sb developers, 2026
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.corpora.mixing.activity import active_spans
from s3prl_sb.corpora.mixing.settings import MixError
from s3prl_sb.dataio import scenes
from s3prl_sb.identity import digest
from s3prl_sb.identity.content import hash_files

MARGIN = 0.05  # seconds around the first and the last word
SPEAKS = 30.0  # dB below the loudest frame: speech, where words have no times
CUT = 0.2  # seconds of the shortest pause at which an utterance is cut


class Speech(NamedTuple):
    """A drawn utterance.

    Arguments
    ---------
    samples : numpy.ndarray
        [samples], float64.
    spans : list of (float, float)
        When it is spoken, seconds from its first sample, pauses within a turn
        included.
    words : list of (float, float, str)
        Start, stop and word; None if the text is not known.
    """

    samples: np.ndarray
    spans: list[tuple[float, float]]
    words: list | None


class SpeechSource(Protocol):
    """Speakers of the splits, and what they say."""

    #: "exact", "estimated", or None without words.
    word_times: str | None

    def speakers(self, split: str) -> list[str]:
        """Returns the names of the speakers of a split."""

    def draw(
        self, split: str, speaker: str, rng: np.random.Generator, longest: float
    ) -> Speech | None:
        """Draws an utterance of at most ``longest`` seconds; None if there is none."""

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that the speech depends on."""


class Utterance(NamedTuple):
    """An utterance in a file.

    Arguments
    ---------
    name : str
        Its id, for errors.
    wav : str
        The file.
    start, stop : float
        Limits in the file, seconds; None for the whole file.
    duration : float
        Seconds.
    text : str
        Transcription; None if unknown.
    words : list of (float, float, str)
        Start and stop in the utterance, seconds, and the word; None if unknown.
    """

    name: str
    wav: str
    start: float | None
    stop: float | None
    duration: float
    text: str | None
    words: list | None = None


def plain(word: str) -> str:
    """Returns a word in capitals, without punctuation at its ends.

    Example
    -------
    >>> plain('"Don\\'t,'), plain("--")
    ("DON'T", '')
    """
    kept = [i for i, character in enumerate(word) if _is_part(character)]
    return word[kept[0] : kept[-1] + 1].upper() if kept else ""


def _is_part(character):
    """Returns whether a character at the end of a word belongs to it.

    Marks, such as the vowel signs of Devanagari, are no ``\\w``.
    """
    return character in "'_" or unicodedata.category(character)[0] in "LNM"


class RecordedSpeech:
    """Utterances in files, see :class:`SpeechSource`.

    An utterance whose words have times is cut at its pauses if it is long; others are
    drawn whole. Without times, the words are spread over where the utterance sounds.

    Arguments
    ---------
    splits : dict
        ``{split: {speaker: [Utterance, …]}}``.
    rate : int
        Sample rate, Hz.
    longest_turn : float
        Seconds of the longest utterance that is not cut.
    join : float
        Seconds of the shortest pause that ends a turn.
    """

    def __init__(
        self,
        splits: Mapping[str, Mapping[str, Sequence[Utterance]]],
        rate: int,
        longest_turn: float = 8.0,
        join: float = 0.3,
    ):
        self.rate, self.join = rate, join
        self.splits = {
            split: {
                speaker: [
                    piece for each in utterances for piece in cut(each, longest_turn)
                ]
                for speaker, utterances in sorted(people.items())
            }
            for split, people in splits.items()
        }
        every = [u for people in splits.values() for us in people.values() for u in us]
        timed, said = (
            [getattr(u, key) is not None for u in every] for key in ("words", "text")
        )
        self.word_times: str | None = None
        if all(timed) or all(said):
            self.word_times = "exact" if all(timed) else "estimated"

    def speakers(self, split: str) -> list[str]:
        """Returns the names of the speakers of a split."""
        return list(self.splits[split])

    def shortest(self, split: str) -> float:
        """Returns the seconds of the shortest utterance of a split."""
        people = self.splits[split].values()
        return min(u.duration for utterances in people for u in utterances)

    def draw(
        self, split: str, speaker: str, rng: np.random.Generator, longest: float
    ) -> Speech | None:
        """Draws an utterance of at most ``longest`` seconds; None if there is none."""
        utterances = self.splits[split][speaker]
        fitting = [u for u in utterances if u.duration <= longest]
        if not fitting:
            return None
        return self._load(fitting[int(rng.integers(len(fitting)))])

    def _load(self, utterance):
        wave = load_waveform(
            utterance.name, utterance.wav, utterance.start, utterance.stop, self.rate
        )
        samples = wave.double().numpy()
        if utterance.words is not None and self.word_times == "exact":
            spans = scenes.turns_of(utterance.words, self.join)
            words = utterance.words
        else:
            found = active_spans(samples, self.rate, SPEAKS, self.join)
            found = found or [(0, len(samples))]
            spans = [(a / self.rate, b / self.rate) for a, b in found]
            words = None
            if self.word_times is not None:
                texts = list(filter(None, map(plain, (utterance.text or "").split())))
                words = scenes.spread(texts, spans) if texts else []
        speech = trimmed(samples, self.rate, spans, words)
        parts = [(round(a * self.rate), round(b * self.rate)) for a, b in speech.spans]
        if not any(np.any(speech.samples[start:stop]) for start, stop in parts):
            raise MixError(
                f"'{utterance.name}' ({utterance.wav}) is silent where it should be "
                "spoken. Remove it from the list, or correct the times of its words."
            )
        return speech

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that the speech depends on."""
        files = sorted(
            {u.wav for p in self.splits.values() for us in p.values() for u in us}
        )
        hashes = hash_files(files, progressbar=True)
        listed = {
            split: {
                speaker: [[hashes[u.wav], *u._replace(wav="", name="")] for u in us]
                for speaker, us in people.items()
            }
            for split, people in self.splits.items()
        }
        return {
            "utterances": {s: sum(map(len, p.values())) for s, p in listed.items()},
            "speakers": {split: list(people) for split, people in listed.items()},
            "word_times": self.word_times,
            "sha256": {split: digest(people) for split, people in listed.items()},
        }


def trimmed(samples: np.ndarray, rate: int, spans: list, words: list | None) -> Speech:
    """Cuts off what is before the first span and after the last one.

    Arguments
    ---------
    samples : numpy.ndarray
        [samples].
    rate : int
        Sample rate, Hz.
    spans : list of (float, float)
        When it is spoken, seconds.
    words : list of (float, float, str)
        Words with their times, or None.

    Returns
    -------
    Speech

    Example
    -------
    >>> speech = trimmed(np.ones(300), 100, [(1.0, 2.0)], [(1.0, 2.0, "YES")])
    >>> len(speech.samples), round(speech.spans[0][0], 6)
    (110, 0.05)
    """
    first = max(0, round((spans[0][0] - MARGIN) * rate))
    last = min(len(samples), round((spans[-1][1] + MARGIN) * rate))
    shift = first / rate
    kept = [(start - shift, min(stop, last / rate) - shift) for start, stop in spans]
    if words is not None:
        words = [(start - shift, stop - shift, word) for start, stop, word in words]
    return Speech(samples[first:last], kept, words)


def cut(utterance: Utterance, longest: float) -> list[Utterance]:
    """Cuts a long utterance at its pauses, if its words have times.

    Arguments
    ---------
    utterance : Utterance
        The utterance.
    longest : float
        Seconds that a piece should have at most; one without pauses may be longer.

    Returns
    -------
    list of Utterance
        Pieces in their order.

    Example
    -------
    >>> words = [(0.5, 1.0, "GO"), (1.1, 2.0, "AWAY"), (3.0, 3.5, "NOW")]
    >>> [p.text for p in cut(Utterance("a", "a.wav", None, None, 4.0, "", words), 2.5)]
    ['GO AWAY', 'NOW']
    """
    words = utterance.words
    if not words or utterance.duration <= longest:
        return [utterance]
    pieces, begin, end = [], 0, 0.0
    for i in range(1, len(words) + 1):
        end = max(end, words[i - 1][1])  # words of real alignments may overlap
        if i == len(words) or (
            words[i][0] - end >= CUT and _next_end(words, i) - words[begin][0] > longest
        ):
            pieces.append(_piece(utterance, words[begin:i]))
            begin = i
    return pieces


def _next_end(words, i):
    """Returns the end of the run of words that begins with the i-th one."""
    for before, after in zip(words[i:], words[i + 1 :]):
        if after[0] - before[1] >= CUT:
            return before[1]
    return words[-1][1]


def _piece(utterance, words):
    """Returns the part of an utterance with some of its words."""
    start = max(0.0, words[0][0] - MARGIN)
    stop = min(utterance.duration, max(last for _, last, _ in words) + MARGIN)
    offset = utterance.start or 0.0
    return utterance._replace(
        start=round(offset + start, 6),
        stop=round(offset + stop, 6),
        duration=round(stop - start, 6),
        text=" ".join(word for _, _, word in words),
        words=[(a - start, b - start, word) for a, b, word in words],
    )
