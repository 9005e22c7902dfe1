"""Synthetic speech for scenes: voices of eSpeak NG with exact times of words.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
from typing import Any

import numpy as np

from s3prl_sb.corpora import espeak
from s3prl_sb.corpora.mixing.settings import MixError
from s3prl_sb.corpora.mixing.speech import Speech, plain, trimmed
from s3prl_sb.corpora.toys import making
from s3prl_sb.dataio import scenes

#: Words that sound different, the first ones of --words N.
WORDS = (
    "yes no stop go seven two nine house water Monday left right open music paper "
    "window three five"
).split()
SHARE = 0.2  # of the voices, for each of validation and test
SPOKEN = (2, 6)  # words of an utterance


class ToySpeech:
    """Voices that speak random words, see
    :class:`~s3prl_sb.corpora.mixing.speech.SpeechSource`.

    Arguments
    ---------
    voices : int
        Number of voices; a fifth each is of validation and test.
    words : int
        Size of the vocabulary, at most 18; 0 for sentences.
    rate : int
        Sample rate, Hz.
    join : float
        Seconds of the shortest pause that ends a turn.
    seed : int
        Seed of the choice of voices.

    Example
    -------
    >>> import pytest
    >>> _ = pytest.importorskip("espeakng_loader")
    >>> speech = ToySpeech(voices=6, words=2)
    >>> speech.speakers("test")
    ['voice01']
    """

    word_times: str | None = "exact"

    def __init__(
        self,
        voices: int = 20,
        words: int = 0,
        rate: int = 16000,
        join: float = 0.3,
        seed: int = 0,
    ):
        if voices < 3:
            raise MixError(f"{voices} voices: three splits need 3 or more.")
        if not 0 <= words <= len(WORDS):
            raise MixError(f"{words} words: toy speech has 0 (sentences) to 18.")
        people = making.plain_voices(voices, seed)
        self.voices = {f"voice{i:02d}": voice for i, voice in enumerate(people)}
        self.words, self.rate, self.join, self.seed = words, rate, join, seed

    @functools.cached_property
    def _split(self) -> dict[str, list[str]]:
        names = list(self.voices)
        few = max(1, round(len(names) * SHARE))
        valid, test, train = names[:few], names[few : 2 * few], names[2 * few :]
        return {"train": train, "valid": valid, "test": test}

    def speakers(self, split: str) -> list[str]:
        """Returns the names of the voices of a split."""
        return self._split[split]

    def draw(
        self, split: str, speaker: str, rng: np.random.Generator, longest: float
    ) -> Speech | None:
        """Speaks an utterance of at most ``longest`` seconds; None if a word is
        longer."""
        count = int(rng.integers(SPOKEN[0], SPOKEN[1] + 1))
        if self.words:
            texts = [WORDS[i] for i in rng.integers(self.words, size=count)]
        else:
            texts = making.passage(rng, 3 * count).split()
        voice = making.varied(self.voices[speaker], rng)
        while texts:
            speech = self._speak(voice, " ".join(texts))
            if len(speech.samples) <= longest * self.rate:
                return speech
            texts = texts[: len(texts) // 2]
        return None

    def _speak(self, voice, text):
        utterance = voice.speak(text)
        samples = utterance.samples.astype(np.float64)
        if self.rate != espeak.SAMPLE_RATE:
            samples = _resampled(samples, self.rate)
        words = [
            (start, stop, word)
            for *span, text in utterance.words
            for start, stop, word in _apart(text, span)
        ]
        spans = scenes.turns_of(words, self.join)
        return trimmed(samples, self.rate, spans, words)

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that the speech depends on."""
        return {
            "toy": making.VERSION,
            "voices": len(self.voices),
            "words": self.words,
            "seed": self.seed,
            "speakers": self._split,
            "word_times": self.word_times,
        }


def _apart(text, span):
    """Yields the words that English runs together, "of the", one by one."""
    return scenes.spread(list(filter(None, map(plain, text.split()))), [span])


def _resampled(samples, rate):
    import torch

    from s3prl_sb.audio.resampling import resample

    sig = torch.from_numpy(samples)
    return resample(sig.float(), espeak.SAMPLE_RATE, rate).double().numpy()
