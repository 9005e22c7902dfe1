"""Toy AMI: meetings of four speakers, who sometimes overlap.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.libri2mix import turns_of
from s3prl_sb.dataio.rttm import write_rttm

PEOPLE = 4  # in a meeting
OVERLAP, SILENCE = 1.5, 2.0  # largest, in seconds, between two turns


@making.toy
def ami(destination, train=12, dev=3, test=3, seconds=40.0, speakers=24, seed=0):
    """Speaks meetings, with annotation in the layout of AMI-diarization-setup.

    Arguments
    ---------
    destination : str
        Folder to make, with ``amicorpus/<meeting>/audio``, ``only_words/rttms``,
        ``uems`` and ``lists``.
    train, dev, test : int
        Number of meetings of each set.
    seconds : float
        Approximate length of a meeting.
    speakers : int
        Number of speakers: half for training, a quarter each for the other sets.
    seed : int
        Seed of the meetings.

    Returns
    -------
    pathlib.Path
    """
    if speakers < 4 * PEOPLE or min(train, dev, test) < 1:
        raise ValueError(
            f"from {4 * PEOPLE} speakers and 1 meeting of each set are needed"
        )
    voices, quarter = making.choose_voices(speakers, seed), speakers // 4
    sets = {
        "train": (train, "TS2", voices[2 * quarter :]),
        "dev": (dev, "DV3", voices[:quarter]),
        "test": (test, "EN4", voices[quarter : 2 * quarter]),
    }
    names = {  # such as FEE005: the gender comes first
        voice: f"{voice.gender.upper()}EE{number:03d}"
        for number, voice in enumerate(voices, 5)
    }
    for split, (count, prefix, people) in sets.items():
        meetings = {f"{prefix}{number:03d}a": number for number in range(count)}
        folders = {}
        for kind in ("only_words/rttms", "uems"):
            folders[kind] = destination / kind / split
            folders[kind].mkdir(parents=True)
        (destination / "lists").mkdir(exist_ok=True)
        making.write_lines(destination / f"lists/{split}.meetings.txt", meetings)
        clips = {}
        for meeting, number in meetings.items():
            rng = making.random_generator(seed, split, number)
            present = [people[i] for i in rng.permutation(len(people))[:PEOPLE]]
            samples, turns = _meet(present, seconds, rng)
            clips[f"amicorpus/{meeting}/audio/{meeting}.Mix-Headset.wav"] = samples
            turns = [(names[voice], start, stop) for voice, start, stop in turns]
            rttm = folders["only_words/rttms"] / f"{meeting}.rttm"
            write_rttm({meeting: turns}, rttm)
            uem = f"{meeting} 1 0.000 {len(samples) / SAMPLE_RATE:.6f}"
            making.write_lines(folders["uems"] / f"{meeting}.uem", [uem])
        making.write_clips(destination, clips.items(), len(clips))


def _meet(voices, seconds, rng):
    """Returns the samples of a meeting, and the (voice, start, stop) of its turns."""
    levels = {voice: rng.uniform(-16, -10) for voice in voices}
    sounds, turns, at, last = [], [], 0.5, None
    while at < seconds:
        voice = voices[rng.integers(len(voices))]
        if voice is last:
            continue
        last, words = voice, rng.uniform(3, 14)
        utterance = voice.speak(making.passage(rng, words))
        start = round(at, 2)
        sound = making.at_level(utterance.samples.astype(np.float64), levels[voice])
        sounds.append((round(start * SAMPLE_RATE), sound))
        turns += [(voice, start + a, start + b) for a, b in turns_of(utterance.words)]
        at = max(at, start + utterance.duration + rng.uniform(-OVERLAP, SILENCE))
    samples = np.zeros(max(first + len(sound) for first, sound in sounds))
    for first, sound in sounds:
        samples[first : first + len(sound)] += sound
    samples = making.add_noise(samples, rng, snr=30, kind="pink_noise")
    return samples, sorted(turns, key=lambda turn: turn[1])
