"""Toy NSynth: notes of synthetic instruments, described by their pitch and family.

Authors
 * The s3prl_sb developers, 2026
"""

import json
from typing import NamedTuple

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.toys import making

A4, MIDI_A4, OCTAVE = 440.0, 69, 12  # Hz, its MIDI number, half tones


class Instrument(NamedTuple):
    """Sound of a family: the decay of harmonics with their number, the share of odd
    harmonics alone, and the decay of a note in 1/seconds."""

    decay: float
    odd: float
    fading: float


FAMILIES = {
    "bass": Instrument(2.0, 0.0, 3.0),
    "brass": Instrument(0.6, 0.0, 0.5),
    "flute": Instrument(2.5, 0.0, 0.2),
    "guitar": Instrument(1.2, 0.0, 5.0),
    "organ": Instrument(0.9, 1.0, 0.0),
}


@making.toy
def nsynth(destination, train=240, valid=60, test=60, pitches=24, seconds=1.0, seed=0):
    """Plays notes, in the layout of NSynth.

    Arguments
    ---------
    destination : str
        Folder to make, with ``nsynth-train``, ``nsynth-valid`` and ``nsynth-test``.
    train, valid, test : int
        Number of notes of each set.
    pitches : int
        Number of pitches, from 48 on.
    seconds : float
        Length of a note.
    seed : int
        Seed of the notes.

    Returns
    -------
    pathlib.Path
    """
    if min(train, valid, test) < 1 or not 2 <= pitches <= 48:
        raise ValueError("At least 1 note of each set and 2 to 48 pitches are needed")
    jobs = []
    counts = {"train": train, "valid": valid, "test": test}
    for first, (split, count) in zip((0, 800, 900), counts.items()):
        described = {}
        for number in range(count):
            pitch, family = 48 + number % pitches, list(FAMILIES)[number // pitches % 5]
            made = first + number // (5 * pitches)  # no instrument is in two sets
            instrument = f"{family}_synthetic_{made:03d}"
            note = f"{instrument}-{pitch:03d}-100"
            described[note] = {
                "note_str": note,
                "pitch": pitch,
                "velocity": 100,
                "instrument_str": instrument,
                "instrument_family_str": family,
                "sample_rate": SAMPLE_RATE,
            }
            jobs.append((f"nsynth-{split}/audio/{note}.wav", pitch, family))
        folder = destination / f"nsynth-{split}"
        folder.mkdir()
        text = json.dumps(described, indent=1)
        making.write_lines(folder / "examples.json", [text])
    notes = ((path, note_of(path, *job, seconds, seed)) for path, *job in jobs)
    making.write_clips(destination, notes, len(jobs))


def note_of(path, pitch, family, seconds, seed):
    """Plays a note.

    Arguments
    ---------
    path : str
        Name of the note, which its random numbers depend on.
    pitch : int
        MIDI number.
    family : str
        Family of the instrument, of ``FAMILIES``.
    seconds : float
        Length of the note.
    seed : int
        Seed of the notes.

    Returns
    -------
    numpy.ndarray
        [samples], at 16 kHz.

    Example
    -------
    >>> note_of("a.wav", 69, "organ", 0.5, seed=0).shape
    (8000,)
    """
    rng, kind = making.random_generator(seed, path), FAMILIES[family]
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    frequency = A4 * 2 ** ((pitch - MIDI_A4) / OCTAVE)
    sound = np.zeros(len(time))
    for number in range(1, int(SAMPLE_RATE / 2 / frequency) + 1):
        level = number ** -(kind.decay + rng.uniform(-0.1, 0.1))
        level *= 1 - kind.odd * (number % 2 == 0)
        phase = rng.uniform(0, 2 * np.pi)
        sound += level * np.sin(2 * np.pi * number * frequency * time + phase)
    sound *= np.exp(-kind.fading * time)
    return making.recorded(sound, rng, snr=(25, 40), kind="pink_noise")
