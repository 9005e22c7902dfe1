"""A small corpus for SUPERB/IC."""

import json

import pytest
from clips import read_table, write, write_table

UTTERANCES = {"train": 8, "valid": 4, "test": 4}
SLOTS = ("action", "object", "location")
INTENTS = (("on", "heat", "none"), ("on", "lights", "den, upstairs"))
INTENTS += (("off", "lights", "none"), ("off", "heat", "den, upstairs"))


def corpus(folder):
    """The corpus' tables, each of another speaker."""
    (folder / "data").mkdir(parents=True)
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            path = f"wavs/speakers/{split}/{number}.wav"
            write(folder / path, number % 4, number)
            rows.append((number, path, split, "Do it, now", *INTENTS[number % 4]))
        columns = ("", "path", "speakerId", "transcription", *SLOTS)
        write_table(folder / f"data/{split}_data.csv", columns, rows)
    return {}


def tables(folder):
    """A column for each slot; files of their own, and segments of one file."""
    paths = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            write(folder / wav, number % 4, number, seconds=0.3 + 0.05 * number)
            segment = ("0.05", "0.25") if number > 1 else ("", "")
            rows.append((f"{split} {number}", wav, *INTENTS[number % 4], *segment))
        columns = ("id", "wav", *SLOTS, "start", "stop")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model says what the run wrote."""
    predictions = {r["id"]: r for r in read_table(run_folder / "predictions.csv")}
    rows = read_table(folder / "test.csv")
    assert set(predictions) == {row["id"] for row in rows}
    right = dict.fromkeys(("", *SLOTS), 0)
    for row in rows:
        start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
        intent, score = model.classify_file(folder / row["wav"], start, stop)
        expected = predictions[row["id"]]
        assert intent == {slot: expected[f"{slot}_prediction"] for slot in SLOTS}
        assert all(row[slot] == expected[f"{slot}_label"] for slot in SLOTS)
        assert score == pytest.approx(float(expected["score"]), abs=2e-6)
        for slot in SLOTS:
            right[slot] += intent[slot] == row[slot]
        right[""] += all(intent[slot] == row[slot] for slot in SLOTS)
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    for slot, count in right.items():
        name = f"accuracy_{slot}" if slot else "accuracy"
        assert metrics[name] == pytest.approx(count / len(rows))
