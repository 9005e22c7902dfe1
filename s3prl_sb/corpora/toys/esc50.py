"""Toy ESC-50: clips of synthetic sounds, in five folds.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.mixing.toy_sounds import KINDS, ToySounds
from s3prl_sb.corpora.toys import making
from s3prl_sb.storage.csv_files import write_csv

FOLDS = range(1, 6)
COLUMNS = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]


@making.toy
def esc50(destination, labels=8, clips=4, seconds=2.0, seed=0):
    """Makes clips with one sound each, in the layout of ESC-50.

    Arguments
    ---------
    destination : str
        Folder to make, with ``meta/esc50.csv`` and ``audio``.
    labels : int
        Number of kinds of sounds, at most 10. Half of them belong to ESC-10.
    clips : int
        Number of clips of each kind in a fold.
    seconds : float
        Length of a clip.
    seed : int
        Seed of the clips.

    Returns
    -------
    pathlib.Path
    """
    if clips < 1 or not 2 <= labels <= len(KINDS) or seconds < 0.1:
        raise ValueError("At least 1 clip, 2 to 10 labels and 0.1 seconds are needed")
    sounds, rows, jobs = ToySounds(), [], []
    kinds = list(KINDS)[:labels]
    numbers = ((f, n, k) for f in FOLDS for n in range(clips) for k in range(labels))
    for fold, number, target in numbers:
        kind, recording = kinds[target], 100 + number
        file = f"{fold}-{recording}-A-{target}.wav"
        esc10 = 2 * target < labels
        name = kind.replace(" ", "_")
        rows.append([file, fold, target, name, esc10, recording, "A"])
        jobs.append((f"audio/{file}", [kind]))
    (destination / "meta").mkdir()
    write_csv(destination / "meta/esc50.csv", COLUMNS, rows)
    made = (clip(sounds, *job, seconds, seed) for job in jobs)
    making.write_clips(destination, made, len(jobs))


def clip(sounds, path, kinds, seconds, seed):
    """Makes a clip with sounds at random times in pink noise.

    Arguments
    ---------
    sounds : s3prl_sb.corpora.mixing.toy_sounds.ToySounds
        The sounds.
    path : str
        Name of the clip, which its random numbers depend on.
    kinds : list of str
        Kinds of the sounds.
    seconds : float
        Length of the clip.
    seed : int
        Seed of the clips.

    Returns
    -------
    path : str
    samples : numpy.ndarray
        [samples], at 16 kHz.

    Example
    -------
    >>> clip(ToySounds(), "a.wav", ["siren", "bell"], 0.5, seed=0)[1].shape
    (8000,)
    """
    rng = making.random_generator(seed, path)
    samples = np.zeros(round(seconds * SAMPLE_RATE))
    for kind in kinds:
        sound = sounds.draw("", kind, rng, seconds) * 10 ** (rng.uniform(-8, 0) / 20)
        start = rng.integers(len(samples) - len(sound) + 1)
        samples[start : start + len(sound)] += sound
    return path, making.recorded(samples, rng, snr=(10, 30), peak=(-20, -3))
