"""A small corpus for VCC2018/MOS: the louder the noise, the lower the score."""

import json

import pytest
from clips import read_table, write, write_table

from s3prl_sb.corpora import vcc2018

BUDGET = {"warmup_steps": 0}
UTTERANCES = {"train": 8, "valid": 4, "test": 4}
JUDGES = ("ann", "bob", "cyd")


def corpus(folder):
    """Two systems and three judges."""
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            task = ("HUB", "SPO")[number % 2]
            name = f"N0{number % 2}_VCC2TF1_VCC2SF1_{split}{number}_{task}.wav"
            wav = folder / vcc2018.AUDIO / name
            write(wav, number % 2, number, seconds=0.3 + 0.05 * number)
            mean = 4.0 - 2 * (number % 2)
            for place, judge in enumerate(JUDGES if split == "train" else JUDGES[:1]):
                rows.append((name, mean, mean + place - 1, judge))
        write_table(folder / vcc2018.LISTS[split], vcc2018.COLUMNS, rows)
    results = folder / vcc2018.RESULTS
    results.parent.mkdir()
    write_table(results, ("N00_HUB", "N01_SPO"), [(3.9, 2.1)])
    return {}


def tables(folder):
    """Rows of judges for training; files of their own, and segments, to test."""
    paths = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            write(folder / wav, number % 2, number, seconds=0.3 + 0.05 * number)
            segment = ("0.05", "0.25") if number > 1 else ("", "")
            system, value = ("good", "bad")[number % 2], 4 - number % 2 - number / 10
            for place, judge in enumerate(JUDGES[:2] if split == "train" else ("",)):
                row = (f"{split} {number}", wav, value + place, system, *segment)
                rows.append((*row, judge) if judge else row)
        columns = ("id", "wav", "value", "system", "start", "stop")
        columns += ("judge",) if split == "train" else ()
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model says what the run wrote."""
    predictions = {r["id"]: r for r in read_table(run_folder / "predictions.csv")}
    rows = read_table(folder / "test.csv")
    assert set(predictions) == {row["id"] for row in rows}
    errors = []
    for row in rows:
        start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
        value = model.predict_file(folder / row["wav"], start, stop)
        expected = predictions[row["id"]]
        assert value == pytest.approx(float(expected["prediction"]), abs=2e-5)
        assert float(row["value"]) == pytest.approx(float(expected["value"]))
        assert row["system"] == expected["system"]
        errors.append((float(row["value"]) - value) ** 2)
    results = json.loads((run_folder / "results.json").read_text())
    mean = sum(errors) / len(errors)
    assert results["metrics"]["mse"] == pytest.approx(mean, abs=1e-4)
    systems = {row["system"]: row for row in read_table(run_folder / "systems.csv")}
    assert systems["good"]["utterances"] == "2"
