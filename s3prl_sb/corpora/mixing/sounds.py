"""Sounds that scenes are mixed from: labelled clips in files.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.corpora.mixing.activity import active_spans, level_of
from s3prl_sb.corpora.mixing.settings import MixError
from s3prl_sb.identity import digest
from s3prl_sb.identity.content import hash_files

SOUNDS = 35.0  # dB below the loudest frame of a clip
JOIN = 0.5  # seconds of the longest silence within a sound
SHORTEST = 0.05  # seconds of the shortest sound
FADE = 0.01  # seconds over which a sound that is cut fades


class SoundSource(Protocol):
    """Labels of the splits, and their sounds."""

    def labels(self, split: str) -> list[str]:
        """Returns the labels of a split."""

    def draw(
        self, split: str, label: str, rng: np.random.Generator, longest: float
    ) -> np.ndarray:
        """Draws a sound of at most ``longest`` seconds: [samples], float64, with a mean
        square of 1."""

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that the sounds depend on."""


class Clip(NamedTuple):
    """A clip in a file.

    Arguments
    ---------
    name : str
        Its id, for errors.
    wav : str
        The file.
    start, stop : float
        Limits in the file, seconds; None for the whole file.
    label : str
        The sound.
    """

    name: str
    wav: str
    start: float | None
    stop: float | None
    label: str


class RecordedSounds:
    """Clips in files, see :class:`SoundSource`.

    A clip is trimmed to where it sounds. One with several sounds that are half a
    second apart or more gives one of them.

    Arguments
    ---------
    splits : dict
        ``{split: [Clip, …]}``.
    rate : int
        Sample rate, Hz.
    """

    def __init__(self, splits: Mapping[str, Sequence[Clip]], rate: int):
        self.rate, self.splits = rate, {}
        for split, clips in splits.items():
            by_label: dict[str, list[Clip]] = {}
            for clip in sorted(clips):
                by_label.setdefault(clip.label, []).append(clip)
            self.splits[split] = dict(sorted(by_label.items()))

    def labels(self, split: str) -> list[str]:
        """Returns the labels of a split."""
        return list(self.splits[split])

    def draw(
        self, split: str, label: str, rng: np.random.Generator, longest: float
    ) -> np.ndarray:
        """Draws a sound of at most ``longest`` seconds, [samples] of mean square 1."""
        clips = self.splits[split][label]
        order = rng.permutation(len(clips))
        choice, place = rng.random(2)
        for clip in (clips[i] for i in order):
            wave = load_waveform(clip.name, clip.wav, clip.start, clip.stop, self.rate)
            samples = wave.double().numpy()
            spans = active_spans(samples, self.rate, SOUNDS, JOIN, SHORTEST)
            if spans:
                start, stop = spans[int(choice * len(spans))]
                return self._cut(samples[start:stop], longest, place)
        raise MixError(
            f"None of the {len(clips)} clips of '{label}' in the {split} set sounds, "
            f"such as {clips[0].wav}. Leave this label out."
        )

    def _cut(self, sound, longest, place):
        """Returns a part of a sound with fades, or the whole sound, at level 1."""
        most = round(longest * self.rate)
        if len(sound) > most:
            first = round(place * (len(sound) - most))
            fade = np.linspace(0, 1, max(2, round(FADE * self.rate)))
            sound = sound[first : first + most].copy()
            sound[: len(fade)] *= fade
            sound[-len(fade) :] *= fade[::-1]
        spans = active_spans(sound, self.rate, SOUNDS, 0.0) or [(0, len(sound))]
        return sound / level_of(sound, spans)

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that the sounds depend on."""
        every = [
            clip
            for labels in self.splits.values()
            for clips in labels.values()
            for clip in clips
        ]
        hashes = hash_files(sorted({clip.wav for clip in every}), progressbar=True)
        listed = {
            split: [
                [hashes[clip.wav], *clip._replace(wav="", name="")]
                for clips in labels.values()
                for clip in clips
            ]
            for split, labels in self.splits.items()
        }
        return {
            "clips": {split: len(clips) for split, clips in listed.items()},
            "labels": {split: list(labels) for split, labels in self.splits.items()},
            "sha256": {split: digest(clips) for split, clips in listed.items()},
        }
