"""Toy X-ARES: a folder of tars for each task of clips, with synthetic sounds.

Authors
 * The s3prl_sb developers, 2026
"""

import io
import json
import tarfile
from typing import NamedTuple

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.mixing.toy_sounds import KINDS, ToySounds
from s3prl_sb.corpora.toys import making
from s3prl_sb.corpora.toys.esc50 import clip
from s3prl_sb.corpora.xares import MANY, SEPARATOR


class Task(NamedTuple):
    """Layout of a task: names of its tars with a place for the fold or the split, the
    folds or the splits, and the key of the label in the JSON."""

    tars: str
    parts: tuple
    key: str


SPLITS = ("train", "valid", "test")
TASKS = {
    "asvspoof2015": Task("asvspoof_{}_0000000", (*SPLITS[:2], "eval"), "binary_spoof"),
    "cremad": Task("wds-audio-{}-0000000", SPLITS, "label"),
    "esc50": Task("wds-audio-fold-{}-0000000", tuple(range(1, 6)), "label"),
    "fluentspeechcommands": Task(
        "fluentspeechcommands_{}_0000000", SPLITS, "transcription"
    ),
    "freemusicarchive": Task("fma_small_{}_0000000", SPLITS, "genre"),
    "fsd50k": Task("fsd50k_{}_0000000", ("train", "validation", "eval"), "soundevent"),
    "fsdkaggle2018": Task("fsd18_{}_0000000", ("train", "test"), "sound"),
    "gtzan_genre": Task("gtzan_fold_{}_0000000", tuple(range(10)), "genre"),
    "libricount": Task("libricount_fold0{}", tuple(range(5)), "num_speakers"),
    "librispeechmalefemale": Task(
        "{}-0000000", ("train-clean-100", "dev-clean", "test-clean"), "gender"
    ),
    "nsynthinstument": Task("nsynth_{}_0000000", SPLITS, "instrument_family_str"),
    "ravdess": Task("ravdess_fold_{}_0000000", tuple(range(4)), "emotion"),
    "speechcommandsv1": Task("wds-audio-{}-0000000", SPLITS, "labels"),
    "urbansound8k": Task(
        "urbansound_fold{}_0000000", tuple(range(1, 11)), "soundevent"
    ),
    "vocalimitations": Task(
        "vocal_imitations_fold0{}_0000000", tuple(range(3)), "imitation"
    ),
    "vocalsound": Task("wds-audio-{}-0000000", SPLITS, "label"),
    "voxceleb1": Task("voxceleb1_{}_0000000", SPLITS, "speakerid"),
    "voxlingua33": Task("{}_0000000", ("train_subset", "dev"), "labels"),
}


@making.toy
def xares(destination, labels=4, clips=2, training=12, seconds=0.6, seed=0):
    """Makes the tars of each task, in the layout of X-ARES.

    Arguments
    ---------
    destination : str
        Folder to make, with a folder for each task.
    labels : int
        Number of labels of a task, at most 10.
    clips : int
        Number of clips of a label in a fold, or in a set for validation or test.
    training : int
        Number of clips of a label in a training set.
    seconds : float
        Length of a clip.
    seed : int
        Seed of the clips.

    Returns
    -------
    pathlib.Path
    """
    if min(clips, training) < 1 or not 2 <= labels <= len(KINDS) or seconds < 0.1:
        raise ValueError("At least 1 clip, 2 to 10 labels and 0.1 seconds are needed")
    sounds, kinds, total = ToySounds(), list(KINDS)[:labels], 0
    for task, (tars, parts, _) in TASKS.items():
        (destination / task).mkdir()
        total += sum(_count(part, clips, training) * labels for part in parts)
    bar = iter(making.shown(range(total), total))
    for task, (tars, parts, key) in TASKS.items():
        for part in parts:
            path = destination / task / f"{tars.format(part)}.tar"
            with tarfile.open(path, "w") as tar:
                for number in range(_count(part, clips, training) * labels):
                    chosen = [kinds[number % labels]]
                    if task == MANY and number % 3 == 0:
                        chosen.append(kinds[(number + 1) % labels])
                    name = f"{part}{number:04d}"
                    _, samples = clip(sounds, f"{task}/{name}", chosen, seconds, seed)
                    _add(tar, name, samples, {key: SEPARATOR.join(chosen)})
                    next(bar)
    next(bar, None)  # ends the bar


def _count(part, clips, training):
    """Returns the number of clips of a label in a fold or a split."""
    return training if "train" in str(part) else clips


def _add(tar, name, samples, description):
    """Adds a sound and its description to a tar."""
    import soundfile

    audio = io.BytesIO()
    pcm = np.rint(samples * (2**15 - 1)).astype(np.int16)
    soundfile.write(audio, pcm, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    text = json.dumps(description).encode()
    for ending, content in (("wav", audio.getvalue()), ("json", text)):
        member = tarfile.TarInfo(f"{name}.{ending}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
