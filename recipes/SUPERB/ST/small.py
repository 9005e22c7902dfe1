"""A small corpus for SUPERB/ST."""

import itertools
import json

import pytest
from clips import read_table, write, write_table

from s3prl_sb.metrics.translation import bleu

HEAD = "hidden_size: 8, num_heads: 2, ffn_size: 8, channels: 16"
BUDGET = {
    "head": f"{{{HEAD}, encoder_layers: 1, decoder_layers: 1}}",
    "batch_seconds": "null",
    "grad_accumulation_factor": 1,
    "beam": 3,
    "max_tokens": 8,
    "ctc_weight": 0.3,
    # The biases of attention's keys have no effect, and a gradient of rounding errors,
    # which Adam makes as large as any other.
    "opt_class": "sgd",
}
UTTERANCES = {"train": 8, "valid": 4, "test": 4}
DROPOUT = True  # two processes draw other random numbers than one
MARKS = ("train", "train_covost", "dev", "test")
TEXTS = (
    ("a cat", "eine Katze"),
    ("the dog's egg", "das Ei des Hundes, ja!"),
    ("no", "nein"),
    ("see", "sieh"),
)


def corpus(folder):
    """Common Voice's folder, and CoVoST 2's table."""
    sentences, translations = [("path", "sentence")], [("path", "translation", "split")]
    for number, (split, texts) in enumerate(itertools.product(MARKS, TEXTS)):
        name = f"clip{number}.wav"
        write(folder / "en/clips" / name, number % 4, number)
        sentences.append((name, texts[0]))
        translations.append((name, texts[1], split))
    for name, rows in (("validated", sentences), ("covost_v2.en_de", translations)):
        lines = "".join("\t".join(row) + "\n" for row in rows)
        (folder / "en" / f"{name}.tsv").write_text(lines)
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
            rows.append((f"{split} {number}", wav, *TEXTS[number % 4], *segment))
        columns = ("id", "wav", "transcription", "translation", "start", "stop")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model writes what the run wrote; the files are those of sacreBLEU."""
    rows = read_table(run_folder / "predictions.csv")
    predictions = {row["id"]: row["prediction"] for row in rows}
    references = {row["id"]: row["reference"] for row in rows}
    assert any(predictions.values())
    for row in read_table(folder / "test.csv"):
        start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
        text = model.translate_file(folder / row["wav"], start, stop)
        assert text == predictions[row["id"]]
        assert row["translation"] == references[row["id"]]
    for name, texts in (("hyp", predictions), ("ref", references)):
        lines = (run_folder / f"{name}.txt").read_text().splitlines()
        assert lines == list(texts.values())
    found = json.loads((run_folder / "results.json").read_text())
    measured = bleu(predictions, references)
    assert found["metrics"]["bleu"] == pytest.approx(measured.score)
    assert found["test"]["signatures"]["bleu"] == measured.signature
