"""A small corpus for SUPERB/ASR."""

import json

import pytest
from clips import read_table, write, write_table

from s3prl_sb.metrics.transcription import cer, wer

BUDGET = {"head": "{projection_size: 8, hidden_size: 8}"}
UTTERANCES = {"train": 8, "valid": 4, "test": 4}
DROPOUT = True  # two processes draw other random numbers than one
TEXTS = ("A CAT", "THE DOG'S EGG", "NO", "SEE")
SPLITS = ("train-clean-100", "dev-clean", "test-clean")


def corpus(folder):
    """LibriSpeech's folders, each of two speakers."""
    for split in SPLITS:
        for speaker in (19, 26):
            chapter, lines = folder / split / str(speaker) / "495", []
            for number, text in enumerate(TEXTS):
                name = f"{speaker}-495-{number:04d}"
                write(chapter / f"{name}.flac", number, speaker)
                lines.append(f"{name} {text}\n")
            (chapter / f"{speaker}-495.trans.txt").write_text("".join(lines))
    return {}


def tables(folder):
    """Files of their own, and segments."""
    paths = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            write(folder / wav, number % 4, number, seconds=0.3 + 0.05 * number)
            segment = ("0.05", "0.25") if number > 1 else ("", "")
            # Lower case, as a user's text may be.
            text = TEXTS[number % 4].lower() if number % 2 else TEXTS[number % 4]
            rows.append((f"{split} {number}", wav, text, *segment))
        columns = ("id", "wav", "transcription", "start", "stop")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model hears what the run wrote; the error rates are those of the texts."""
    rows = read_table(run_folder / "predictions.csv")
    predictions = {row["id"]: row["prediction"] for row in rows}
    references = {row["id"]: row["reference"] for row in rows}
    assert any(predictions.values())
    for row in read_table(folder / "test.csv"):
        start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
        text = model.transcribe_file(folder / row["wav"], start, stop)
        assert text == predictions[row["id"]]
        assert row["transcription"].upper() == references[row["id"]]
    for name, texts in (("hyp", predictions), ("ref", references)):
        lines = (run_folder / f"{name}.txt").read_text().splitlines()
        assert dict(line.split("\t") for line in lines) == texts
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    assert metrics["wer"] == pytest.approx(wer(predictions, references).rate)
    assert metrics["cer"] == pytest.approx(cer(predictions, references).rate)
