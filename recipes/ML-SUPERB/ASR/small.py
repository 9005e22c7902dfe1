"""A small corpus for ML-SUPERB/ASR."""

import csv
import json

import pytest
from clips import read_table, write, write_table

from s3prl_sb.brains.multilingual import mark_of, without_marks
from s3prl_sb.metrics.transcription import cer

BUDGET = {
    "head": "{reduced_size: 16, hidden_size: 8, num_heads: 2, ffn_size: 8, "
    "num_layers: 1}",
    "grad_accumulation_factor": 1,
    "lr": 1.0e-5,  # some gradients are zero but for rounding, which Adam scales up
}
UTTERANCES = {"train": 6, "valid": 4, "test": 4}
DROPOUT = True  # two processes draw other random numbers than one
SOURCES = ("mls/eng", "voxforge/fra", "fleurs/kea")
TEXTS = {"eng": ("no", "Oh!"), "fra": ("où ?", "ça"), "kea": ("[-] nau", "sin")}


def corpus(folder):
    """Three languages, one of them a few-shot one, and a recording without samples."""
    for language, source in enumerate(SOURCES):
        home, code = folder / source, source[-3:]
        for split in ("train", "dev", "test"):
            lines = []
            for number in range(4):
                first = {"train": 51, "dev": 1, "test": 21}[split]
                name = f"{source[:-4]}_{code}_{first + number:06d}"
                seconds = 0.0 if number == 3 and split == "test" else 0.3
                write(home / f"wav/{name}.wav", language, number, seconds=seconds)
                lines.append(f"{name} a {TEXTS[code][number % 2]}\n")
            path = home / f"transcript_10min_{split}.txt"
            path.write_text("".join(lines), "utf-8")
    return {"language": "multilingual", "lid_token": True}


def tables(folder):
    """Files of their own, and segments."""
    paths = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav, code = f"{split}/{number}.wav", ("eng", "fra")[number % 2]
            write(folder / wav, number % 2, number, seconds=0.4 + 0.05 * number)
            segment = ("0.05", "0.35") if number > 1 else ("", "")
            text = TEXTS[code][number // 2 % 2].strip("!? ")
            text += "Ü" if split == "test" and not number else ""  # not in training
            rows.append((f"{split} {number}", wav, text, code, *segment))
        columns = ("id", "wav", "transcription", "language", "start", "stop")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return {**paths, "lid_token": True}


def check(run_folder, model, folder):
    """The model hears what the run wrote; the error rates are those of the texts."""
    rows = read_table(run_folder / "predictions.csv")
    predictions = {row["id"]: row["prediction"] for row in rows}
    references = {row["id"]: row["reference"] for row in rows}
    assert any(predictions.values())
    languages = {}
    for row in read_table(folder / "test.csv"):
        start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
        text = model.transcribe_file(folder / row["wav"], start, stop)
        assert text == predictions[row["id"]]
        expected = f"[{row['language']}] {row['transcription'].upper()}"
        assert references[row["id"]] == expected
        languages.setdefault(row["language"], []).append(row["id"])
    marks = [mark_of(language) for language in ("eng", "fra")]
    assert model.tokenizer.tokens[-2:] == marks
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    texts = [
        {name: without_marks(text, marks) for name, text in each.items()}
        for each in (predictions, references)
    ]
    assert metrics["cer"] == pytest.approx(cer(*texts).rate)
    right = sum(
        predictions[n].split()[:1] == references[n].split()[:1] for n in texts[1]
    )
    assert metrics["accuracy"] == pytest.approx(right / len(references))
    with open(run_folder / "languages.csv", newline="") as file:
        rates = {row["language"]: float(row["cer"]) for row in csv.DictReader(file)}
    for language, names in languages.items():
        both = [{name: each[name] for name in names} for each in texts]
        assert rates[language] == pytest.approx(cer(*both).rate, abs=1e-6)
