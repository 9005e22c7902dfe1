"""Recordings of two tones, one after the other, labelled in time."""

import csv
import json

import numpy as np
import pytest
import soundfile
from clips import clip, read_table, write_table

from s3prl_sb.dataio.ctm import ctm_lines

RATE = 16000  # Hz
RECORDINGS = {"train": 8, "valid": 4, "test": 4}


def recording(path, number):
    """Writes a recording; returns its (label, start, stop), which leave no gap."""
    turn, end = 0.2 + 0.03 * (number % 4), 0.5 + 0.05 * (number % 3)
    spans = [("low", 0.0, turn), ("high", turn, end)]
    tones = [clip(n, number, seconds=b - a) for n, (_, a, b) in enumerate(spans)]
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.concatenate(tones), RATE)
    return spans


def tables(folder):
    """A row a segment."""
    columns = ("record_id", "wav", "label", "start", "stop")
    paths = {}
    for split, count in RECORDINGS.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            for label, start, stop in recording(folder / wav, number):
                times = f"{start:.2f}", f"{stop:.2f}"
                rows.append((f"{split}{number}", wav, label, *times))
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model labels as the run did; the accuracy is that of all frames."""
    rows = read_table(run_folder / "predictions.csv")
    assert {row["id"] for row in rows} == {f"test{n}" for n in range(4)}
    written = (run_folder / "hyp.ctm").read_text().splitlines()
    with open(folder / "test.csv", newline="") as file:
        wavs = {row["record_id"]: row["wav"] for row in csv.DictReader(file)}
    for name, wav in wavs.items():
        segments = model.label_file(folder / wav)
        lines = [line for line in written if line.split()[0] == name]
        assert list(ctm_lines(name, segments)) == lines
    right = sum(float(row["frame_accuracy"]) * int(row["frames"]) for row in rows)
    results = json.loads((run_folder / "results.json").read_text())
    accuracy = right / sum(int(row["frames"]) for row in rows)
    assert results["metrics"]["frame_accuracy"] == pytest.approx(accuracy, abs=1e-5)
