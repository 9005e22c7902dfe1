"""A small corpus for HEAR/events: a task in HEAR's layout, with fixed splits."""

import csv
import json

import numpy as np
import pytest
import soundfile
from clips import clip, read_table, write_table

from s3prl_sb.metrics.sound_events import event_measures

BUDGET = {
    "passes": False,
    "grid": "null",
    "patience": "null",
    "chunk_seconds": 0.6,
    "head": "{name: single_linear}",
    "psds": "[psds1]",
    "choose_by": "segment_f1",
}
# Chunks in training, one and a half a recording
UTTERANCES = {"train": 16, "valid": 4, "test": 4}
LABELS = ("a low tone", "a high tone")  # with spaces, as names of sounds have
RECORDINGS = {"train": 8, "valid": 4, "test": 4}
RATE = 16000  # Hz


def recording(path, number):
    """Two tones that overlap; writes them, and gives which is when."""
    times = [(0.1, 0.5), (0.3 + 0.05 * (number % 4), 0.85)]
    samples = 0.005 * np.random.default_rng(number).standard_normal(round(0.9 * RATE))
    for label, (start, stop) in enumerate(times):
        tone = clip(3 * label, number, seconds=stop - start)
        first = round(start * RATE)
        samples[first : first + len(tone)] += tone
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE)
    return list(zip(LABELS, times))


def corpus(folder):
    """HEAR's layout, at one sample rate."""
    task = {
        "task_name": "tones",
        "embedding_type": "event",
        "prediction_type": "multilabel",
        "split_mode": "trainvaltest",
        "splits": list(RECORDINGS),
        "evaluation": ["event_onset_200ms_fms", "segment_1s_er"],
    }
    for split, count in RECORDINGS.items():
        content = {}
        for number in range(count):
            name = f"{split}{number}.wav"
            events = recording(folder / "16000" / split / name, number)
            content[name] = [
                {"label": label, "start": 1000 * start, "end": 1000 * stop}
                for label, (start, stop) in events
            ]
        (folder / f"{split}.json").write_text(json.dumps(content))
    (folder / "task_metadata.json").write_text(json.dumps(task))
    rows = "".join(f"{number},{label}\n" for number, label in enumerate(LABELS))
    (folder / "labelvocabulary.csv").write_text(f"idx,label\n{rows}")
    return {}


def tables(folder):
    """A row an event."""
    columns = ("record_id", "wav", "label", "start", "stop")
    paths = {}
    for split, count in RECORDINGS.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            for label, times in recording(folder / wav, number):
                rows.append((f"{split}{number}", wav, label, *times))
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model finds what the run found; the scores are those of its tables."""
    rows = read_table(run_folder / "predictions.csv")
    names = [f"test{number}" for number in range(4)]
    assert [row["id"] for row in rows] == names
    sides = []
    for side in ("ref", "hyp"):
        sides.append({name: [] for name in names})
        with open(run_folder / f"{side}.tsv", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                times = float(row["onset"]), float(row["offset"])
                name = row["filename"].removesuffix(".wav")
                sides[-1][name].append((row["event_label"], *times))
    wavs = {row["record_id"]: row["wav"] for row in read_table(folder / "test.csv")}
    assert {label for events in sides[0].values() for label, *_ in events} == {*LABELS}
    for name, wav in wavs.items():
        found = model.label_file(folder / wav)
        assert [(e[0], round(e[1], 3), round(e[2], 3)) for e in found] == sides[1][name]
    results = json.loads((run_folder / "results.json").read_text())
    assert results["chosen_by"]["metric"] == "segment_f1"
    durations = {row["id"]: float(row["duration"]) for row in rows}
    measures = event_measures(*sides, durations, list(LABELS))
    for name, value in measures.items():
        assert results["metrics"][name] == pytest.approx(value, abs=1e-6)
    for name in ("threshold", "median", "min_duration"):
        chosen = results["valid"][name]
        assert results["metrics"][name] == chosen == getattr(model.hparams, name)
