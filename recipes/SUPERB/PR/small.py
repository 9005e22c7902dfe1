"""A small corpus for SUPERB/PR."""

import json

import pytest
from clips import read_table, write, write_table

from s3prl_sb.metrics.transcription import per

UTTERANCES = {"train": 8, "valid": 4, "test": 4}
PARTS = {"train-clean-100": 8, "dev-clean": 4, "test-clean": 4}
WORDS = {"OH": "OW1", "SO": "S OW1", "SEE": "S IY1", "EAT": "IY1 T"}


def corpus(folder):
    """LibriSpeech with a chapter in each part, and a lexicon."""
    words = list(WORDS)
    for speaker, (part, count) in enumerate(PARTS.items(), 19):
        chapter = folder / part / str(speaker) / "198"
        lines = []
        for number in range(count):
            name = f"{speaker}-198-{number:04d}"
            write(chapter / f"{name}.flac", number % 4, number)
            lines.append(f"{name} {words[number % 4]}")
        text = "\n".join(lines) + "\n"
        (chapter / f"{speaker}-198.trans.txt").write_text(text)
    entries = [f"{word}\t{phones}\n" for word, phones in WORDS.items()]
    (folder / "librispeech-lexicon.txt").write_text("".join(entries))
    return {}


def tables(folder):
    """One table with phones, two with texts to look up."""
    words, paths = list(WORDS), {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav, word = f"{split}/{number}.wav", words[number % 4]
            write(folder / wav, number % 4, number, seconds=0.3 + 0.05 * number)
            label = WORDS[word] if split == "train" else word.lower()
            rows.append((f"{split} {number}", wav, label))
        columns = ("id", "wav", "phones" if split == "train" else "transcription")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    (folder / "lexicon.txt").write_text(
        "".join(f"{word} {phones}\n" for word, phones in WORDS.items())
    )
    return {**paths, "lexicon": f"[{folder / 'lexicon.txt'}]"}


def check(run_folder, model, folder):
    """The export hears what the run heard; the metric follows from that."""
    rows = read_table(run_folder / "predictions.csv")
    predictions = {row["id"]: row["prediction"] for row in rows}
    references = {row["id"]: row["reference"] for row in rows}
    assert any(predictions.values())
    for row in read_table(folder / "test.csv"):
        phones = model.transcribe_file(folder / row["wav"])
        assert phones == predictions[row["id"]]
        assert references[row["id"]] == WORDS[row["transcription"].upper()]
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    assert metrics["per"] == pytest.approx(per(predictions, references).rate)
