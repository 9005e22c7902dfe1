"""Toy DESED: clips with synthetic sounds of ten kinds, which overlap.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.toys import making

SETS = {  # names of the file of events and of the folder of clips, both relative
    "train": (
        "train/synthetic21_train/soundscapes",
        "train/synthetic21_train/soundscapes",
    ),
    "validation": ("validation/validation", "validation/validation"),
    "eval": ("eval/public", "eval/public"),
}
HEADER = "filename\tonset\toffset\tevent_label"
FADE = 0.01  # seconds


class Sound(NamedTuple):
    """Parameters of a kind of sound: the fundamental in Hz (0: noise alone), the number
    of harmonics, the share of noise, and the beats per second (0: steady)."""

    pitch: float
    harmonics: int
    noise: str
    share: float
    beats: float


SOUNDS = {
    "Alarm_bell_ringing": Sound(2000, 2, "white_noise", 0.0, 8),
    "Blender": Sound(110, 20, "white_noise", 0.5, 0),
    "Cat": Sound(600, 4, "pink_noise", 0.1, 1.2),
    "Dishes": Sound(3600, 3, "white_noise", 0.4, 5),
    "Dog": Sound(320, 8, "pink_noise", 0.3, 2.5),
    "Electric_shaver_toothbrush": Sound(220, 12, "white_noise", 0.1, 0),
    "Frying": Sound(0, 0, "running_tap", 1.0, 12),
    "Running_water": Sound(0, 0, "pink_noise", 1.0, 0),
    "Speech": Sound(140, 15, "pink_noise", 0.2, 4),
    "Vacuum_cleaner": Sound(900, 3, "white_noise", 0.7, 0),
}


@making.toy
def desed(
    destination, train=60, validation=15, evaluation=15, weak=5, seconds=10.0, seed=0
):
    """Makes clips of domestic sounds, in the layout of DESED.

    Arguments
    ---------
    destination : str
        Folder to make, with ``metadata`` and ``audio``.
    train, validation, evaluation : int
        Number of clips of each set.
    weak : int
        Number of clips that are labelled without times.
    seconds : float
        Length of a clip.
    seed : int
        Seed of the clips.

    Returns
    -------
    pathlib.Path
    """
    counts = {"train": train, "validation": validation, "eval": evaluation}
    if min(counts.values()) < 1 or seconds < 4:
        raise ValueError("from 1 clip of each set, of 4 seconds or more, are needed")
    for split, count in counts.items():
        table, place = SETS[split]
        lines, clips = [HEADER], {}
        for number in range(count):
            rng = making.random_generator(seed, split, number)
            name = f"{split}{number}.wav"
            samples, events = scene(seconds, rng)
            clips[f"audio/{place}/{name}"] = samples
            lines += [f"{name}\t{a:.3f}\t{b:.3f}\t{label}" for label, a, b in events]
            lines += [f"{name}\t\t\t"] * (not events)
        path = destination / "metadata" / f"{table}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        making.write_lines(path, lines)
        making.write_clips(destination, clips.items(), len(clips))
    lines, clips = ["filename\tevent_labels"], {}
    for number in range(weak):
        samples, events = scene(seconds, making.random_generator(seed, "weak", number))
        clips[f"audio/train/weak/weak{number}.wav"] = samples
        labels = ",".join(sorted({label for label, _, _ in events}))
        lines.append(f"weak{number}.wav\t{labels}")
    making.write_lines(destination / "metadata/train/weak.tsv", lines)
    making.write_clips(destination, clips.items(), len(clips))


def scene(seconds, rng, labels=tuple(SOUNDS), most=4):
    """Makes a clip with sounds in pink noise.

    Arguments
    ---------
    seconds : float
        Length of the clip.
    rng : numpy.random.Generator
        Source of random numbers.
    labels : list of str
        Kinds of sounds, of ``SOUNDS``.
    most : int
        Largest number of sounds.

    Returns
    -------
    samples : numpy.ndarray
        [samples], at 16 kHz.
    events : list of (str, float, float)
        Label, onset and offset in seconds, to the millisecond.
    """
    samples = 0.003 * making.noise("pink_noise", round(seconds * SAMPLE_RATE), rng)
    events = []
    for _ in range(rng.integers(0 if most > 1 else 1, most + 1)):
        label = labels[rng.integers(len(labels))]
        length = round(min(rng.uniform(0.3, 3.0), seconds / 2), 3)
        start = round(rng.uniform(0, seconds - length), 3)
        events.append((label, start, round(start + length, 3)))
        sound = sounding(label, round(length * SAMPLE_RATE), rng)
        first = round(start * SAMPLE_RATE)
        samples[first : first + len(sound)] += sound * rng.uniform(0.03, 0.1)
    return samples, sorted(events, key=lambda event: event[1])


def sounding(label, samples, rng):
    """Makes a sound: [samples] at 16 kHz, of mean square 1 between its beats.

    Arguments
    ---------
    label : str
        Kind of sound, of ``SOUNDS``.
    samples : int
        Length.
    rng : numpy.random.Generator
        Source of random numbers.

    Returns
    -------
    numpy.ndarray

    Example
    -------
    >>> sounding("Dog", 8000, np.random.default_rng(0)).shape
    (8000,)
    """
    kind, time = SOUNDS[label], np.arange(samples) / SAMPLE_RATE
    sound = kind.share * making.noise(kind.noise, samples, rng)
    pitch = kind.pitch * rng.uniform(0.9, 1.1)
    tones = [
        np.sin(2 * np.pi * number * pitch * time + rng.uniform(0, 6)) / number
        for number in range(1, kind.harmonics + 1)
        if number * pitch < SAMPLE_RATE / 2
    ]
    if tones:
        tone = np.sum(tones, axis=0)
        sound += (1 - kind.share) * tone / np.sqrt(np.mean(tone**2))
    if kind.beats:
        sound *= 0.6 + 0.4 * np.cos(2 * np.pi * kind.beats * time)
    fade = min(round(FADE * SAMPLE_RATE), samples // 2)
    ramp = np.ones(samples)
    ramp[:fade] = np.linspace(0, 1, fade)
    ramp[samples - fade :] = np.linspace(1, 0, fade)
    return sound * ramp
