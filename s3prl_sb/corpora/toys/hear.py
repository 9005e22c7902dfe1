"""Toy HEAR: each task of the benchmark in its layout, with synthetic sounds.

The tasks have the names, folds and metrics of the originals, and fewer labels. Sounds
of everyday life are synthetic ones of ten kinds, notes have their pitches, and speech
is synthetic speech.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from s3prl_sb.corpora.espeak import SAMPLE_RATE
from s3prl_sb.corpora.hear import METADATA, VOCABULARY
from s3prl_sb.corpora.mixing.toy_sounds import KINDS
from s3prl_sb.corpora.toys import making
from s3prl_sb.dataio.manifest import SPLITS
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.terminal.messages import near

ACCURACY = ("top1_acc", "mAP", "d_prime", "aucroc")
PRECISION = ("mAP", "d_prime", "aucroc", "top1_acc")
BETWEEN = 0.3  # seconds, shortest time between two starts of events


class Task(NamedTuple):
    """Description of a toy task.

    ``make`` takes the labels that hold, the seconds and a random generator, and returns
    a waveform. ``folds`` is 0 for fixed splits.
    """

    name: str
    labels: tuple
    make: Callable
    seconds: float = 0.8
    folds: int = 0
    evaluation: tuple = ACCURACY
    split_mode: str = "new_split_kfold"
    prediction_type: str = "multiclass"
    embedding_type: str = "scene"
    further: dict = {}


def _sounds(kinds, labels, held, seconds, rng):
    """Returns the sum of the sounds of some labels."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    total = 0.01 * rng.standard_normal(len(time))
    for label in held:
        sound = KINDS[kinds[labels.index(label)]](time, SAMPLE_RATE, rng)
        total += sound / np.sqrt(np.mean(sound**2))
    return total


def _note(held, seconds, rng):
    """Returns a note with three partials; the labels are MIDI numbers."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    total = 0.01 * rng.standard_normal(len(time))
    for pitch in held:
        base = 440 * 2 ** ((int(pitch) - 69) / 12)
        tone = sum(np.sin(2 * np.pi * base * k * time) / k for k in (1, 2, 3))
        total += tone * np.exp(-rng.uniform(1, 2) * time)
    return total


def _strokes(labels, held, seconds, rng):
    """Returns a stroke on a drum, which decays faster for later labels."""
    number = labels.index(held[0])
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 110 * 1.4**number * time)
    noise = rng.standard_normal(len(time)) * (0.1 + 0.2 * (number % 2))
    return (tone + noise) * np.exp(-4 * (number + 1) * time)


def _speech(text, seconds, rng, **changes):
    """Returns a text, spoken by a random voice and cut or padded to a length."""
    voice = list(making.plain_voices(8, 0))[rng.integers(8)]
    voice = making.varied(voice, rng)
    spoken = voice.speak(text, **changes).trimmed()[: round(seconds * SAMPLE_RATE)]
    sound = np.zeros(round(seconds * SAMPLE_RATE))
    sound[: len(spoken)] = spoken
    return making.add_noise(sound, rng, rng.uniform(20, 35))


def _word(held, seconds, rng):
    return _speech(held[0], seconds, rng)


def _language(held, seconds, rng):
    return _speech(making.passage(rng, 4), seconds, rng, voice=held[0])


MANNERS = {
    "angry": {"rate": 230, "pitch": 70, "pitch_range": 70},
    "happy": {"rate": 190, "pitch": 95, "pitch_range": 90},
    "neutral": {"rate": 170, "pitch": 45, "pitch_range": 40},
    "sad": {"rate": 110, "pitch": 15, "pitch_range": 10},
}


def _emotion(held, seconds, rng):
    return _speech(making.passage(rng, 4), seconds, rng, **MANNERS[held[0]])


def _crowd(held, seconds, rng):
    """Returns as many voices at once as the label says."""
    total = 0.001 * rng.standard_normal(round(seconds * SAMPLE_RATE))
    for _ in range(int(held[0])):
        total += _speech(making.passage(rng, 4), seconds, rng)
    return total


def _music_or_speech(held, seconds, rng):
    if held[0] == "speech":
        return _speech(making.passage(rng, 4), seconds, rng)
    root = rng.integers(48, 60)
    return _note([root, root + 4, root + 7], seconds, rng)


def _of_sounds(name, labels, kinds=None, **options):
    """Returns a task whose labels are kinds of sounds."""
    labels = tuple(labels.split("|"))
    kinds = list(KINDS) if kinds is None else kinds
    return Task(name, labels, functools.partial(_sounds, kinds, labels), **options)


def _of_drums(name, labels, **options):
    labels = tuple(labels.split("|"))
    return Task(name, labels, functools.partial(_strokes, labels), **options)


PITCHES = tuple(map(str, range(57, 65)))
ANY: dict[str, Any] = {"prediction_type": "multilabel"}
EVENTS: dict[str, Any] = {**ANY, "embedding_type": "event", "seconds": 6.0}
MAESTRO: dict[str, Any] = {
    "use_scoring_for_early_stopping": False,
    "evaluation_params": {
        "event_postprocessing_grid": {"median_filter_ms": [150], "min_duration": [50]}
    },
}
PITCH: dict[str, Any] = {"evaluation": ("pitch_acc", "chroma_acc")}
COMMANDS: dict[str, Any] = {"labels": ("yes", "no", "up", "stop"), "make": _word}
BEES: dict[str, Any] = {
    "kinds": ["buzz", "engine"],
    "evaluation": ("aucroc", *ACCURACY[1:3]),
}
TASKS = (
    Task("speech_commands-v0.0.2-5h", **COMMANDS, evaluation=ACCURACY[:1]),
    Task("speech_commands-v0.0.2-full", **COMMANDS, evaluation=ACCURACY[:1]),
    Task("nsynth_pitch-v2.2.3-5h", PITCHES, _note, **PITCH),
    Task("nsynth_pitch-v2.2.3-50h", PITCHES, _note, **PITCH),
    _of_sounds(
        "esc50-v2.0.0-full",
        "siren|keyboard_typing|rain|chainsaw|church_bells",
        folds=5,
        split_mode="presplit_kfold",
    ),
    _of_sounds(
        "fsd50k-v1.0-full", "Siren|Typing|Hiss|Buzz|Bell", evaluation=PRECISION, **ANY
    ),
    _of_sounds("tfds_gtzan-1.0.0-full", "blues|disco|metal|pop", folds=10),
    Task(
        "tfds_gtzan_music_speech-1.0.0-full",
        ("music", "speech"),
        _music_or_speech,
        folds=10,
    ),
    Task("tfds_crema_d-1.0.0-full", tuple(MANNERS), _emotion, folds=5),
    Task("libricount-v1.0.0-hear2021-full", ("0", "1", "2", "3"), _crowd, folds=5),
    _of_sounds(
        "vocal_imitation-v1.1.3-full",
        "Siren|Typing|Wind|Bee|Ding",
        folds=3,
        evaluation=PRECISION,
    ),
    Task(
        "vox_lingua_top10-hear2021-full",
        ("de", "en-us", "fr", "ru"),
        _language,
        folds=5,
    ),
    _of_drums("mridangam_stroke-v1.5-full", "bheem|cha|dheem|dhin", folds=5),
    _of_drums("mridangam_tonic-v1.5-full", "B|C|D|E", folds=5),
    _of_drums("beijing_opera-v1.0-hear2021-full", "Bangu|Daluo|Naobo|Xiaoluo", folds=5),
    _of_drums("gunshot_triangulation-v1.0-full", "mic1|mic2|mic3|mic4", folds=7),
    _of_sounds("beehive_states_fold0-v2-full", "queen|no queen", **BEES),
    _of_sounds("beehive_states_fold1-v2-full", "queen|no queen", **BEES),
    _of_sounds(
        "dcase2016_task2-hear2021-full",
        "alert|keyboard|drawer|phone",
        evaluation=("event_onset_200ms_fms", "segment_1s_er"),
        **EVENTS,
    ),
    Task(
        "maestro-v3.0.0-5h",
        PITCHES[:4],
        _note,
        folds=5,
        evaluation=("event_onset_50ms_fms", "event_onset_offset_50ms_20perc_fms"),
        further=MAESTRO,
        **EVENTS,
    ),
)


@making.toy
def hear(destination, clips=2, tasks=None, seed=0):
    """Makes the tasks of HEAR, each in ``tasks/<name>-<version>-<mode>``.

    Arguments
    ---------
    destination : str
        Folder to make.
    clips : int
        Number of clips of each label in a fold. A training set has four times as many,
        a validation or test set as many; of event tasks, of each set.
    tasks : list of str, optional
        Names of the folders of some tasks. Default: all.
    seed : int
        Seed of the clips.

    Returns
    -------
    pathlib.Path
    """
    names = [task.name for task in TASKS]
    for name in tasks or ():
        if name not in names:
            raise ValueError(f"no task '{name}'. {near(name, names)}")
    if clips < 1:
        raise ValueError("At least 1 clip is needed")
    jobs = []  # path, task, labels or events
    for task in TASKS:
        if tasks is None or task.name in tasks:
            jobs += _layout(destination / "tasks" / task.name, task, clips, seed)
    made = (_made(*job, seed) for job in jobs)
    making.write_clips(destination, made, len(jobs))


def _layout(folder, task, clips, seed):
    """Writes the lists of a task; returns its clips."""
    folder.mkdir(parents=True)
    splits = [f"fold{n:02d}" for n in range(task.folds)] if task.folds else SPLITS
    metadata = {
        "task_name": task.name.split("-")[0],
        "version": task.name.split("-", 1)[1].rpartition("-")[0],
        "mode": task.name.rpartition("-")[2],
        "embedding_type": task.embedding_type,
        "prediction_type": task.prediction_type,
        "split_mode": task.split_mode if task.folds else "trainvaltest",
        "splits": list(splits),
        "sample_duration": task.seconds,
        "evaluation": list(task.evaluation),
        **task.further,
    }
    making.write_lines(folder / METADATA, [json.dumps(metadata, indent=1)])
    rows = list(enumerate(sorted(task.labels)))
    write_csv(folder / VOCABULARY, ["idx", "label"], rows)
    jobs = []
    for split in splits:
        count, content = clips * (4 if split == "train" else 1), {}
        count *= 1 if task.embedding_type == "event" else len(task.labels)
        for number in range(count):
            name = f"{split}_{number:03d}.wav"
            path = (
                f"{folder.relative_to(folder.parents[1])}/{SAMPLE_RATE}/{split}/{name}"
            )
            rng = making.random_generator(seed, path)
            content[name] = _content(task, number, rng)
            jobs.append((path, task, content[name]))
        making.write_lines(folder / f"{split}.json", [json.dumps(content, indent=1)])
    return jobs


def _content(task, number, rng):
    """Returns the labels of a clip, or its events in milliseconds."""
    if task.embedding_type == "scene":
        held = [task.labels[number % len(task.labels)]]
        if task.prediction_type == "multilabel" and rng.random() < 0.5:
            held.append(rng.choice([name for name in task.labels if name not in held]))
        return sorted(map(str, held))
    events, start = [], rng.uniform(0.1, 0.5)
    while start < task.seconds - 0.5:
        stop = min(start + rng.uniform(0.4, 0.8), task.seconds)
        label, times = str(rng.choice(task.labels)), (start, stop)
        start_end = dict(zip(("start", "end"), (round(1000 * t, 1) for t in times)))
        events.append({"label": label, **start_end})
        start = max(start + BETWEEN, stop + rng.uniform(-0.2, 0.6))
    return events


def _made(path, task, content, seed):
    """Returns the path and the waveform of a clip."""
    rng = making.random_generator(seed, path, "sound")
    if task.embedding_type == "scene":
        sound = task.make(content, task.seconds, rng)
    else:
        sound = 0.01 * rng.standard_normal(round(task.seconds * SAMPLE_RATE))
        for event in content:
            start = round(event["start"] / 1000 * SAMPLE_RATE)
            seconds = (event["end"] - event["start"]) / 1000
            part = task.make([event["label"]], seconds, rng)
            part = part[: len(sound) - start]
            sound[start : start + len(part)] += part
    return path, making.at_level(sound, rng.uniform(-8, -3))
