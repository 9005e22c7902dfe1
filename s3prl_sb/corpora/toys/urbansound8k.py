"""Toy UrbanSound8K: clips of synthetic sounds, in ten folds.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.corpora.mixing.toy_sounds import KINDS, ToySounds
from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.esc50 import clip
from s3prl_sb.storage.csv_files import write_csv

FOLDS = range(1, 11)
COLUMNS = ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID"]
#: Classes of the corpus, each with another synthetic sound.
CLASSES = (
    "air_conditioner car_horn children_playing dog_bark drilling engine_idling "
    "gun_shot jackhammer siren street_music"
).split()


@making.toy
def urbansound8k(destination, labels=10, clips=2, seconds=1.5, seed=0):
    """Makes clips with one sound each, in the layout of UrbanSound8K.

    Arguments
    ---------
    destination : str
        Folder to make, with ``metadata`` and ``audio``.
    labels : int
        Number of classes, at most 10.
    clips : int
        Number of clips of each class in a fold.
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
    for fold in FOLDS:
        for number in range(clips * labels):
            source, target = 1000 * fold + number, number % labels
            file = f"{source}-{target}-0-0.wav"
            times = [0, seconds, 1]
            rows.append([file, source, *times, fold, target, CLASSES[target]])
            jobs.append((f"audio/fold{fold}/{file}", [list(KINDS)[target]]))
    (destination / "metadata").mkdir()
    table = destination / "metadata/UrbanSound8K.csv"
    write_csv(table, [*COLUMNS, "class"], rows)
    made = (clip(sounds, *job, seconds, seed) for job in jobs)
    making.write_clips(destination, made, len(jobs))
