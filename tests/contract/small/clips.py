"""Clips that small corpora are made of: tones in noise."""

import csv

import numpy as np
import soundfile


def clip(label, number, seconds=0.4):
    """The same samples for the same arguments; the pitch tells the label."""
    rng = np.random.default_rng([label, number])
    time = np.arange(int(seconds * 16000)) / 16000
    tone = 0.1 * np.sin(2 * np.pi * 300 * (label + 1) * time)
    return tone + 0.02 * rng.standard_normal(len(time))


def write(path, label, number, **kwargs):
    """Writes a clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, clip(label, number, **kwargs), 16000)


def write_table(path, columns, rows):
    """Writes a CSV."""
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def read_table(path):
    """Reads one."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
