"""Synthetic sounds of ten kinds for scenes.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from s3prl_sb.corpora.mixing.settings import MixError
from s3prl_sb.corpora.toys import making
from s3prl_sb.terminal.messages import near

SECONDS = (0.6, 3.0)  # length of a sound


def _sweep(frequency, rate):
    """Returns the sine of a frequency (Hz) at each sample."""
    return np.sin(2 * np.pi * np.cumsum(frequency) / rate)


def _siren(time, rate, rng):
    speed, height = rng.uniform(0.6, 1.2), rng.uniform(650, 850)
    return _sweep(height * 2 ** (0.5 * np.sin(2 * np.pi * speed * time)), rate)


def _beeps(time, rate, rng):
    tone = np.sin(2 * np.pi * rng.uniform(1800, 2200) * time)
    return tone * (time * rng.uniform(3, 5) % 1 < 0.6)


def _clicks(time, rate, rng):
    distance = round(rate / rng.uniform(8, 14))
    sound, decay = np.zeros(len(time)), np.exp(-np.arange(round(0.02 * rate)) / 40)
    for at in range(0, len(time) - len(decay), distance):
        sound[at : at + len(decay)] += decay * rng.standard_normal(len(decay))
    return sound


def _hiss(time, rate, rng):
    return np.diff(rng.standard_normal(len(time) + 1))


def _rumble(time, rate, rng):
    noise = np.cumsum(rng.standard_normal(len(time) + round(0.05 * rate)))
    width = round(0.05 * rate)  # takes the drift off
    slow = np.convolve(noise, np.ones(width) / width, "same")
    return (noise - slow)[width // 2 : width // 2 + len(time)]


def _bell(time, rate, rng):
    base, again = rng.uniform(900, 1100), rng.uniform(0.45, 0.7)
    partials = sum(np.sin(2 * np.pi * base * k * time) / k for k in (1.0, 2.76, 5.4))
    return partials * np.exp(-4 * (time % again))


def _buzz(time, rate, rng):
    return 2 * (time * rng.uniform(90, 130) % 1) - 1


def _whistle(time, rate, rng):
    trill = 1 + 0.02 * np.sin(2 * np.pi * rng.uniform(5, 8) * time)
    return _sweep(rng.uniform(2800, 3400) * trill, rate)


def _chirps(time, rate, rng):
    phase = time * rng.uniform(3.5, 5) % 1
    return _sweep(4200 + 2400 * phase, rate) * np.sin(np.pi * phase)


def _engine(time, rate, rng):
    beat = np.sin(2 * np.pi * rng.uniform(18, 26) * time)
    return (1 + beat) * making.noise("exercise_bike", len(time), rng)


#: Kinds of sounds; the first ones differ most.
KINDS = {
    "siren": _siren,
    "clicks": _clicks,
    "hiss": _hiss,
    "buzz": _buzz,
    "bell": _bell,
    "beeps": _beeps,
    "rumble": _rumble,
    "whistle": _whistle,
    "bird chirps": _chirps,
    "engine": _engine,
}


class ToySounds:
    """Synthetic sounds, see :class:`~s3prl_sb.corpora.mixing.sounds.SoundSource`.

    Arguments
    ---------
    labels : list of str
        Kinds, of :data:`KINDS`.
    rate : int
        Sample rate, Hz.

    Example
    -------
    >>> sounds, rng = ToySounds(["siren"]), making.random_generator(0, "example")
    >>> sounds.labels("test"), len(sounds.draw("test", "siren", rng, 0.5))
    (['siren'], 8000)
    """

    def __init__(self, labels: Sequence[str] = tuple(KINDS), rate: int = 16000):
        for label in labels:
            if label not in KINDS:
                raise MixError(f"no toy sound '{label}'. {near(label, list(KINDS))}")
        self._labels, self.rate = list(dict.fromkeys(labels)), rate

    def labels(self, split: str) -> list[str]:
        """Returns the labels of a split, which are those of all."""
        return self._labels

    def draw(
        self, split: str, label: str, rng: np.random.Generator, longest: float
    ) -> np.ndarray:
        """Makes a sound, [samples] of mean square 1."""
        seconds = min(longest, rng.uniform(*SECONDS))
        time = np.arange(round(seconds * self.rate)) / self.rate
        sound = KINDS[label](time, self.rate, rng)
        return sound / np.sqrt(np.mean(sound**2))

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that the sounds depend on."""
        return {"toy": making.VERSION, "labels": self._labels}
