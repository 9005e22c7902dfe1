"""Toy DESED: clips with synthetic sounds of ten kinds, which overlap.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.mixing.toy_sounds import KINDS
from s3prl_sb.corpora.toys import making

SETS = {  # names of the files of events, and of the folders of clips
    "train": "train/synthetic21_train/soundscapes",
    "validation": "validation/validation",
    "eval": "eval/public",
}
HEADER = "filename\tonset\toffset\tevent_label"
#: DESED's labels to kinds of synthetic sounds.
SOUNDS = {
    "Alarm_bell_ringing": "bell",
    "Blender": "buzz",
    "Cat": "whistle",
    "Dishes": "clicks",
    "Dog": "bird chirps",
    "Electric_shaver_toothbrush": "beeps",
    "Frying": "hiss",
    "Running_water": "rumble",
    "Speech": "siren",
    "Vacuum_cleaner": "engine",
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
        place, lines, clips = SETS[split], [HEADER], {}
        for number in range(count):
            rng = making.random_generator(seed, split, number)
            name = f"{split}{number}.wav"
            samples, events = scene(seconds, rng)
            clips[f"audio/{place}/{name}"] = samples
            lines += [f"{name}\t{a:.3f}\t{b:.3f}\t{label}" for label, a, b in events]
            lines += [f"{name}\t\t\t"] * (not events)
        path = destination / "metadata" / f"{place}.tsv"
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


def scene(seconds, rng, most=4):
    """Makes a clip with sounds in pink noise.

    Arguments
    ---------
    seconds : float
        Length of the clip.
    rng : numpy.random.Generator
        Source of random numbers.
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
    events, labels = [], list(SOUNDS)
    for _ in range(rng.integers(0, most + 1)):
        label = labels[rng.integers(len(labels))]
        length = round(min(rng.uniform(0.3, 3.0), seconds / 2), 3)
        start = round(rng.uniform(0, seconds - length), 3)
        events.append((label, start, round(start + length, 3)))
        time = np.arange(round(length * SAMPLE_RATE)) / SAMPLE_RATE
        sound = KINDS[SOUNDS[label]](time, SAMPLE_RATE, rng)
        sound *= rng.uniform(0.03, 0.08) / np.sqrt(np.mean(sound**2))
        first = round(start * SAMPLE_RATE)
        samples[first : first + len(sound)] += sound
    samples *= min(1, 0.99 / np.abs(samples).max())
    return samples, sorted(events, key=lambda event: event[1])
