"""Toy Libri2Mix: mixtures of two voices, their sources, and their segments.

The voices are the same in both modes: in *max* one begins after the other and both are
whole; in *min* both begin at once, and the longer one is cut.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.toys import making

PAUSE = 0.2  # shortest pause between two turns of a voice, in seconds
MODES = ("max", "min")
PARTS = ("mix_clean", "s1", "s2")
COLUMNS = "mixture_ID,mixture_path,source_1_path,source_2_path,length"


@making.toy
def libri2mix(destination, train=120, dev=20, test=20, speakers=24, seed=0):
    """Speaks mixtures of two voices, with their sources.

    The annotation of *max* has both forms: LibriMix's tables, and S3PRL's Kaldi folders
    with the true times of the words. *min* has the tables.

    Arguments
    ---------
    destination : str
        Folder to make, with ``wav16k/{max,min}/{train-100,dev,test}`` with
        ``mix_clean``, ``s1`` and ``s2``, ``wav16k/{max,min}/metadata``, and
        ``data/{train,dev,test}``; paths are relative to it.
    train, dev, test : int
        Number of mixtures of each set, 5 to 12 s long; in *min* 3 to 7 s.
    speakers : int
        Number of speakers: half for training, a quarter each for the other sets.
    seed : int
        Seed of the mixtures.

    Returns
    -------
    pathlib.Path
    """
    if speakers < 8 or min(train, dev, test) < 1:
        raise ValueError("from 8 speakers and 1 mixture of each set are needed")
    voices, quarter = making.choose_voices(speakers, seed), speakers // 4
    sets = {
        "train-100": (train, voices[2 * quarter :]),
        "dev": (dev, voices[:quarter]),
        "test": (test, voices[quarter : 2 * quarter]),
    }
    numbers = {voice: 100 + i for i, voice in enumerate(voices)}
    for subset, (count, people) in sets.items():
        split = subset.partition("-")[0]  # the name in the seed
        clips, kaldi = {}, _KaldiFolder()
        tables = {mode: [COLUMNS] for mode in MODES}
        for number in range(count):
            rng = making.random_generator(seed, split, number)
            pair = [people[i] for i in rng.permutation(len(people))[:2]]
            who = [numbers[voice] for voice in pair]
            name = f"{who[0]}-{number:04d}_{who[1]}-{number:04d}"
            waves, turns = _mix(pair, rng)
            for mode, sounds in waves.items():
                paths = [f"wav16k/{mode}/{subset}/{part}/{name}.wav" for part in PARTS]
                clips.update(zip(paths, sounds))
                row = (name, *paths, str(len(sounds[0])))
                tables[mode].append(",".join(row))
            turns = [(who[index], start, stop) for index, start, stop in turns]
            recording = f"wav16k/max/{subset}/{PARTS[0]}/{name}.wav"
            kaldi.add(name, recording, turns, len(waves["max"][0]) / SAMPLE_RATE)
        making.write_clips(destination, clips.items(), len(clips))
        for mode, table in tables.items():
            metadata = destination / f"wav16k/{mode}/metadata"
            metadata.mkdir(exist_ok=True)
            making.write_lines(metadata / f"mixture_{subset}_mix_clean.csv", table)
        kaldi.write(destination / "data" / split)


class _KaldiFolder:
    """Content of a Kaldi folder for diarization."""

    def __init__(self):
        self.lines = {
            name: [] for name in ("wav.scp", "segments", "utt2spk", "reco2dur", "rttm")
        }

    def add(self, name, path, turns, duration):
        """Adds a recording; its turns are (speaker, start, stop)."""
        self.lines["wav.scp"].append(f"{name} {path}")
        self.lines["reco2dur"].append(f"{name} {duration:.2f}")
        for speaker, start, stop in turns:
            utterance = f"{speaker}_{name}_{start * 100:07.0f}_{stop * 100:07.0f}"
            self.lines["segments"].append(f"{utterance} {name} {start:.2f} {stop:.2f}")
            self.lines["utt2spk"].append(f"{utterance} {speaker}")
            self.lines["rttm"].append(
                f"SPEAKER {name} 1 {start:7.2f} {stop - start:7.2f} <NA> <NA> "
                f"{speaker} <NA>"
            )

    def write(self, folder):
        """Writes the files, sorted as Kaldi wants them."""
        folder.mkdir(parents=True)
        for name, text in self.lines.items():
            making.write_lines(folder / name, text if name == "rttm" else sorted(text))
        making.write_lines(folder / "spk2utt", _by_speaker(self.lines["utt2spk"]))


def _mix(pair, rng):
    """Returns the mixture of two voices and each source by mode, and the turns of
    *max*: (voice, start, stop)."""
    sounds, turns, later = [], [], 0.0
    for index, voice in enumerate(pair):
        utterance = voice.speak(making.passage(rng, words=rng.uniform(8, 18)))
        start = round(later, 2)
        samples = utterance.samples.astype(np.float64)
        sound = making.at_level(samples, rng.uniform(-14, -8))
        sounds.append((round(start * SAMPLE_RATE), sound))
        turns += [(index, start + a, start + b) for a, b in turns_of(utterance.words)]
        later = rng.uniform(0.2, 0.8) * utterance.duration
    sources = np.zeros((2, max(first + len(sound) for first, sound in sounds)))
    for source, (first, sound) in zip(sources, sounds):
        source[first : first + len(sound)] = sound
    floor = 10 ** (-60 / 20) * rng.standard_normal(sources.shape[1])
    shortest = min(len(sound) for _, sound in sounds)
    cut = np.stack([sound[:shortest] for _, sound in sounds])
    waves = {"max": (sources.sum(0) + floor, *sources), "min": (cut.sum(0), *cut)}
    return waves, sorted(turns, key=lambda turn: turn[1])


def turns_of(words):
    """Joins words that no pause separates.

    Arguments
    ---------
    words : list
        (start, stop, word), in seconds.

    Returns
    -------
    list of (float, float)

    Example
    -------
    >>> turns_of([(0.1, 0.4, "good"), (0.5, 0.8, "day"), (1.5, 1.8, "sir")])
    [(0.1, 0.8), (1.5, 1.8)]
    """
    turns = []
    for start, stop, _ in words:
        if turns and start - turns[-1][1] < PAUSE:
            start = turns.pop()[0]
        turns.append((start, stop))
    return turns


def _by_speaker(lines):
    """Returns the lines of Kaldi's spk2utt for those of utt2spk."""
    utterances = {}
    for line in sorted(lines):
        utterance, speaker = line.split()
        utterances.setdefault(speaker, []).append(utterance)
    return [" ".join((speaker, *utterances[speaker])) for speaker in sorted(utterances)]
