"""Toy FSD50K: clips of one to three synthetic sounds, with all their labels.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.mixing.toy_sounds import KINDS, ToySounds
from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.esc50 import clip
from s3prl_sb.storage.csv_files import write_csv

MOST = 3  # sounds of a clip
#: Classes above some of the labels, as in AudioSet's ontology.
ABOVE = {"Siren": "Alarm", "Bell": "Alarm", "Beeps": "Alarm", "Bird_chirps": "Animal"}


@making.toy
def fsd50k(
    destination, train=120, valid=40, test=40, labels=8, seconds=(1.5, 3.0), seed=0
):
    """Makes clips with several sounds each, in the layout of FSD50K.

    Arguments
    ---------
    destination : str
        Folder to make, with ``FSD50K.ground_truth`` and the folders of audio.
    train, valid, test : int
        Number of clips of each set.
    labels : int
        Number of kinds of sounds, at most 10.
    seconds : tuple of float
        Shortest and longest clip.
    seed : int
        Seed of the clips.

    Returns
    -------
    pathlib.Path
    """
    if min(train, valid, test) < 1 or not MOST <= labels <= len(KINDS):
        raise ValueError("At least 1 clip of each set and 3 to 10 labels are needed")
    sounds, jobs = ToySounds(), []
    truth = destination / "FSD50K.ground_truth"
    truth.mkdir()
    for part, sizes in {"dev": (train, valid), "eval": (test,)}.items():
        columns, rows = ["fname", "labels", "mids"], []
        for number in range(sum(sizes)):
            rng = making.random_generator(seed, part, number)
            # Every kind is in every set that has as many clips
            kinds = [list(KINDS)[number % labels]]
            others = rng.permutation(labels)[: rng.integers(MOST)]
            kinds += [k for k in (list(KINDS)[i] for i in others) if k not in kinds]
            named = [kind.replace(" ", "_").capitalize() for kind in kinds]
            named += [ABOVE[name] for name in named if name in ABOVE]
            row = [number, ",".join(dict.fromkeys(named)), ""]
            rows.append(row + ["train" if number < train else "val"] * (part == "dev"))
            length = rng.uniform(*seconds)
            jobs.append((f"FSD50K.{part}_audio/{number}.wav", kinds, length))
        write_csv(truth / f"{part}.csv", columns + ["split"] * (part == "dev"), rows)
    made = (clip(sounds, *job, seed) for job in jobs)
    making.write_clips(destination, made, len(jobs))
