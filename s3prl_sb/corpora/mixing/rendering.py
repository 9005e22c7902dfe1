"""Waveforms and truth of a scene.

The parts of a scene (each speaker, each sound, the background) are rounded to integers
of 16 bits, and a mixture is the sum of integers: the parts add up to it exactly, and
the twins of a scene share their samples.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from s3prl_sb.corpora.mixing.activity import level_of
from s3prl_sb.corpora.mixing.layout import Layout
from s3prl_sb.corpora.mixing.rooms import Room
from s3prl_sb.dataio import scenes

FULL = 2**15  # of 16 bits
PEAK = 0.95  # of full scale; a louder scene is made softer as a whole


class Part(NamedTuple):
    """Samples of a sound, of which the first is ``start`` in the scene.

    A scene of an hour with hundreds of sounds has no room for each in full length.
    """

    start: int
    samples: np.ndarray

    def add_to(self, wave: np.ndarray) -> None:
        """Adds the samples to those of a scene."""
        wave[self.start : self.start + len(self.samples)] += self.samples


class Rendered(NamedTuple):
    """A scene as integers.

    Arguments
    ---------
    speech : dict
        ``{speaker: [samples]}``, int32 within 16 bits.
    sounds : list of Part
        Sound of each event.
    background : numpy.ndarray
        [samples].
    """

    speech: dict[str, np.ndarray]
    sounds: list[Part]
    background: np.ndarray

    def twin(self, kind: str) -> np.ndarray:
        """Returns the mixture of a twin, "both", "speech" or "sounds", [samples]."""
        wave = self.background.copy()
        for stem in self.speech.values() if kind != "sounds" else ():
            wave += stem
        for part in self.sounds if kind != "speech" else ():
            part.add_to(wave)
        return wave

    def stem(self, number: int) -> np.ndarray:
        """Returns the sound of an event alone, [samples]."""
        wave = np.zeros_like(self.background)
        self.sounds[number].add_to(wave)
        return wave


def render(layout: Layout, noise: np.ndarray, rate: int, room: Room | None) -> Rendered:
    """Makes the waveforms of a scene.

    Arguments
    ---------
    layout : Layout
        Turns and sounds with their times.
    noise : numpy.ndarray
        Background, [samples] of mean square 1.
    rate : int
        Sample rate, Hz.
    room : Room, optional
        Room that speakers and sounds are in. The direct path is not delayed, so that
        the times of the layout hold; reverberation lasts longer.

    Returns
    -------
    Rendered
    """
    speech: dict[str, np.ndarray] = {}
    responses: dict[str, np.ndarray] = {}
    for speaker, start, part, level in layout.turns:
        stem = speech.setdefault(speaker, np.zeros(layout.samples))
        spans = [(round(a * rate), round(b * rate)) for a, b in part.spans]
        if room is not None and speaker not in responses:
            responses[speaker] = room.response()
        wave = _leveled(part.samples, spans, level, responses.get(speaker))
        Part(start, wave[: layout.samples - start]).add_to(stem)
    sounds = []
    for _, start, sound, snr in layout.events:
        response = room.response() if room is not None else None
        # The level of a sound is that of its active parts, which is 1
        wave = _leveled(sound, None, layout.level - snr, response)
        sounds.append(Part(start, wave[: layout.samples - start]))
    background = noise * 10 ** ((layout.level - layout.background) / 20)
    loudest = _loudest(speech.values(), sounds, background)
    scale = PEAK / max(loudest, PEAK) * FULL
    return Rendered(
        {speaker: _rounded(stem, scale) for speaker, stem in speech.items()},
        [Part(start, _rounded(wave, scale)) for start, wave in sounds],
        _rounded(background, scale),
    )


def _loudest(speech, sounds, background):
    """Returns the largest sample of the twins of a scene."""
    peaks = []
    for with_speech, with_sounds in ((True, False), (False, True), (True, True)):
        wave = background.copy()
        for stem in speech if with_speech else ():
            wave += stem
        for part in sounds if with_sounds else ():
            part.add_to(wave)
        peaks.append(float(np.abs(wave).max()))
    return max(peaks)


def _leveled(samples, spans, level, response):
    """Returns a waveform at a level in dB; without spans, its level is 1."""
    gain = 10 ** (level / 20) / (1.0 if spans is None else level_of(samples, spans))
    if response is not None:
        dry = level_of(samples, [(0, len(samples))])
        samples = _convolved(samples, response)
        whole = [(0, len(samples) - len(response) + 1)]
        gain *= dry / level_of(samples, whole)
    return gain * samples


def _convolved(samples, response):
    from scipy.signal import fftconvolve

    return fftconvolve(samples, response)


def _rounded(stem, scale):
    return np.rint(stem * scale).astype(np.int32)


def truth(
    layout: Layout, rate: int, word_times: str | None, kinds: Sequence[str]
) -> dict[str, Any]:
    """Returns what is true of a scene with all its parts.

    Arguments
    ---------
    layout : Layout
        Turns and sounds with their times.
    rate : int
        Sample rate, Hz.
    word_times : str
        "exact" or "estimated"; None: the words are not known.
    kinds : list of str
        "speech" and "sounds", as far as the mix has them.

    Returns
    -------
    dict
        ``segments``, ``words`` and ``events``, see :mod:`s3prl_sb.dataio.scenes`, and
        ``snr``.
    """
    segments, words, events = [], [], []
    for turn in layout.turns:
        offset = turn.start / rate
        spans = [(offset + a, offset + b) for a, b in turn.speech.spans]
        segments += [(turn.speaker, start, stop) for start, stop in spans]
        for start, stop, word in turn.speech.words or ():
            words.append((turn.speaker, offset + start, offset + stop, word))
    for event in layout.events:
        start, stop = event.start, event.start + len(event.samples)
        events.append((event.label, start / rate, stop / rate))
    return {
        "segments": segments,
        "words": words if word_times is not None or "speech" not in kinds else None,
        "events": events,
        "snr": _mean(event.snr for event in layout.events),
    }


def _mean(values):
    values = list(values)
    return round(sum(values) / len(values), 3) if values else None


def records(
    wavs: dict[str, str], duration: float, content: dict[str, Any], **further: Any
) -> dict[str, dict[str, Any]]:
    """Returns the records of the twins of a scene.

    Arguments
    ---------
    wavs : dict
        ``{twin: path}``.
    duration : float
        Seconds.
    content : dict
        See :func:`truth`.
    **further
        ``word_times`` and ``scene``.

    Returns
    -------
    dict
        ``{twin: record}``. The twin "speech" has no events, and "sounds" no speech:
        their lists are empty, for nothing of the kind is there.

    Example
    -------
    >>> content = {"segments": [], "words": None, "events": [("dog", 0.5, 1.0)]}
    >>> pair = {"both": "a.wav", "speech": "b.wav"}
    >>> twins = records(pair, 2.0, {**content, "snr": 5.0}, scene="a")
    >>> twins["both"]["events"], twins["speech"]["events"], twins["speech"]["snr"]
    ([['dog', 0.5, 1.0]], [], None)
    """
    made = {}
    for twin, wav in wavs.items():
        kept = dict(content)
        if twin == "speech":
            kept.update(events=[], snr=None)
        elif twin == "sounds":
            kept.update(segments=[], words=[])
        made[twin] = scenes.scene_record(wav, duration, **kept, twin=twin, **further)
    return made
