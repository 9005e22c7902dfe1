"""Tables of labelled utterances, and what a classifier has to say of them."""

import json

import pytest
from clips import read_table, write, write_table

UTTERANCES = {"train": 8, "valid": 4, "test": 4}


def tables(folder):
    """Files of their own, and segments of one file."""
    paths = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            write(folder / wav, number % 2, number, seconds=0.3 + 0.05 * number)
            segment = ("0.05", "0.25") if number > 1 else ("", "")
            label = ("low", "high, clear")[number % 2]
            rows.append((f"{split} {number}", wav, label, *segment))
        columns = ("id", "wav", "label", "start", "stop")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model says what the run wrote."""
    predictions = {r["id"]: r for r in read_table(run_folder / "predictions.csv")}
    rows = read_table(folder / "test.csv")
    assert set(predictions) == {row["id"] for row in rows}
    for row in rows:
        start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
        label, score = model.classify_file(folder / row["wav"], start, stop)
        expected = predictions[row["id"]]
        assert (label, row["label"]) == (expected["prediction"], expected["label"])
        assert score == pytest.approx(float(expected["score"]), abs=2e-6)
    right = sum(row["prediction"] == row["label"] for row in predictions.values())
    results = json.loads((run_folder / "results.json").read_text())
    assert results["metrics"]["accuracy"] == pytest.approx(right / len(predictions))
