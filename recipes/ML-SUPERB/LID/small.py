"""A small corpus for ML-SUPERB/LID."""

import json

import pytest
from clips import read_table, write, write_table

BUDGET = {
    "head": "{reduced_size: 16, hidden_size: 8, num_heads: 2, ffn_size: 8, "
    "num_layers: 1}",
    "grad_accumulation_factor": 1,
    "lr": 1.0e-5,  # some gradients are zero but for rounding, which Adam scales up
}
UTTERANCES = {"train": 6, "valid": 4, "test": 4}
DROPOUT = True  # two processes draw other random numbers than one
LANGUAGES = ("eng", "fra")


def corpus(folder):
    """Two languages."""
    for language, code in enumerate(LANGUAGES):
        home = folder / "mls" / code
        for split in ("train", "dev", "test"):
            names = [f"mls_{code}_{split}_{number}" for number in range(4)]
            for number, name in enumerate(names):
                write(home / f"wav/{name}.wav", language, number)
            lines = [f"{name} a a text\n" for name in names]
            (home / f"transcript_10min_{split}.txt").write_text("".join(lines))
    return {}


def tables(folder):
    """Files of their own, and segments."""
    paths = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            write(folder / wav, number % 2, number, seconds=0.4 + 0.05 * number)
            segment = ("0.05", "0.35") if number > 1 else ("", "")
            rows.append((f"{split} {number}", wav, LANGUAGES[number % 2], *segment))
        columns = ("id", "wav", "language", "start", "stop")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model hears what the run wrote; the accuracy is that of the first token."""
    rows = {row["id"]: row for row in read_table(run_folder / "predictions.csv")}
    right = 0
    for row in read_table(folder / "test.csv"):
        start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
        text = model.transcribe_file(folder / row["wav"], start, stop)
        assert text == rows[row["id"]]["prediction"]
        assert row["language"] == rows[row["id"]]["reference"]
        right += text.split()[:1] == [row["language"]]
    assert model.tokenizer.tokens == ["<pad>", "<eos>", "<unk>", *LANGUAGES]
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    assert metrics["accuracy"] == pytest.approx(right / len(rows))
