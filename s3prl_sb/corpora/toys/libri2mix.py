"""A toy Libri2Mix for diarization: two voices at once, with the times of each.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.toys.making import (
    at_level,
    choose_voices,
    passage,
    random_generator,
    toy,
    write_clips,
    write_lines,
)

PAUSE = 0.2  # seconds: what separates two turns of a voice


@toy
def libri2mix(destination, train=120, dev=20, test=20, speakers=24, seed=0):
    """Mixtures of two voices, and Kaldi folders that say who speaks when.

    Arguments
    ---------
    destination : str
        Folder to make. It gets ``wav/<set>`` and ``data/<set>``; paths in ``wav.scp``
        are relative to it.
    train, dev, test : int
        Mixtures of each set, 5 to 12 s long.
    speakers : int
        Half of them are for training, a quarter each for the other sets.
    seed : int
        Another seed, other mixtures.

    Returns
    -------
    pathlib.Path
    """
    if speakers < 8 or min(train, dev, test) < 1:
        raise ValueError("from 8 speakers and 1 mixture of each set are needed")
    voices, quarter = choose_voices(speakers, seed), speakers // 4
    parts = {
        "train": (train, voices[2 * quarter :]),
        "dev": (dev, voices[:quarter]),
        "test": (test, voices[quarter : 2 * quarter]),
    }
    numbers = {voice: 100 + i for i, voice in enumerate(voices)}
    for split, (count, people) in parts.items():
        clips, folder = {}, destination / "data" / split
        folder.mkdir(parents=True)
        lines = {
            name: [] for name in ("wav.scp", "segments", "utt2spk", "reco2dur", "rttm")
        }
        for number in range(count):
            rng = random_generator(seed, split, number)
            pair = [people[i] for i in rng.permutation(len(people))[:2]]
            who = [numbers[voice] for voice in pair]
            mixture = f"{who[0]}-{number:04d}_{who[1]}-{number:04d}"
            samples, turns = _mix(pair, rng)
            clips[f"wav/{split}/{mixture}.wav"] = samples
            lines["wav.scp"].append(f"{mixture} wav/{split}/{mixture}.wav")
            lines["reco2dur"].append(f"{mixture} {len(samples) / SAMPLE_RATE:.2f}")
            for index, start, stop in turns:
                speaker = who[index]
                utterance = (
                    f"{speaker}_{mixture}_{start * 100:07.0f}_{stop * 100:07.0f}"
                )
                lines["segments"].append(
                    f"{utterance} {mixture} {start:.2f} {stop:.2f}"
                )
                lines["utt2spk"].append(f"{utterance} {speaker}")
                lines["rttm"].append(
                    f"SPEAKER {mixture} 1 {start:7.2f} {stop - start:7.2f} <NA> <NA> "
                    f"{speaker} <NA>"
                )
        write_clips(destination, clips.items(), len(clips))
        for name, text in lines.items():
            write_lines(folder / name, text if name == "rttm" else sorted(text))
        write_lines(folder / "spk2utt", _by_speaker(lines["utt2spk"]))


def _mix(pair, rng):
    """Samples of two voices, and the (voice, start, stop) of their turns."""
    sounds, turns, later = [], [], 0.0
    for index, voice in enumerate(pair):
        utterance = voice.speak(passage(rng, words=rng.uniform(8, 18)))
        start = round(later, 2)
        sound = at_level(utterance.samples.astype(np.float64), rng.uniform(-14, -8))
        sounds.append((round(start * SAMPLE_RATE), sound))
        turns += [(index, start + a, start + b) for a, b in _turns(utterance.words)]
        later = rng.uniform(0.2, 0.8) * utterance.duration
    samples = np.zeros(max(first + len(sound) for first, sound in sounds))
    for first, sound in sounds:
        samples[first : first + len(sound)] += sound
    floor = 10 ** (-60 / 20) * rng.standard_normal(len(samples))
    return samples + floor, sorted(turns, key=lambda turn: turn[1])


def _turns(words):
    """Words without a pause in between, joined."""
    turns = []
    for start, stop, _ in words:
        if turns and start - turns[-1][1] < PAUSE:
            start = turns.pop()[0]
        turns.append((start, stop))
    return turns


def _by_speaker(lines):
    """Kaldi's spk2utt from its utt2spk."""
    found = {}
    for line in sorted(lines):
        utterance, speaker = line.split()
        found.setdefault(speaker, []).append(utterance)
    return [" ".join((speaker, *found[speaker])) for speaker in sorted(found)]
