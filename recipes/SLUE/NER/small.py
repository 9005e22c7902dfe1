"""A small corpus for SLUE/NER."""

import json

import pytest
from clips import read_table, write, write_table

from s3prl_sb.metrics.entities import entities_in, entity_scores, without_marks
from s3prl_sb.metrics.transcription import wer

BUDGET = {"head": "{projection_size: 8, hidden_size: 8}"}
UTTERANCES = {"train": 8, "valid": 4, "test": 4}
DROPOUT = True  # two processes draw other random numbers than one
SPLITS = {"fine-tune": 8, "dev": 4, "test": 4}
ROWS = (
    ("in Rome, today", "[['GPE', 3, 4], ['DATE', 9, 5]]"),
    ("no.", "[]"),
    ("the Ode", "[['WORK_OF_ART', 4, 3]]"),
    ("EU's", "[['ORG', 0, 2]]"),
)
TEXTS = ("in [PLACE rome ] [WHEN today ]", "no", "the ode", "[ORG eu ] 's")


def corpus(folder):
    """Its folders and tables."""
    for place, (split, count) in enumerate(SPLITS.items()):
        rows = ["id\traw_text\tnormalized_text\tspeaker_id\tnormalized_ner"]
        for number in range(count):
            name = f"2013-en_21:26:0{number}_{split}"
            write(folder / split / f"{name}.ogg", number % 4, 10 * place + number)
            text, entities = ROWS[number % 4]
            rows.append(f"{name}\t\t{text}\tNone\t{entities}")
        table = folder / f"slue-voxpopuli_{split}.tsv"
        table.write_text("\n".join(rows) + "\n")
    return {}


def tables(folder):
    """Files of their own, and segments."""
    paths = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            write(folder / wav, number % 4, number, seconds=0.6 + 0.05 * number)
            segment = ("0.05", "0.55") if number > 1 else ("", "")
            rows.append((f"{split} {number}", wav, TEXTS[number % 4], *segment))
        columns = ("id", "wav", "transcription", "start", "stop")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model hears what the run wrote; the metrics are those of the texts."""
    rows = read_table(run_folder / "predictions.csv")
    predictions = {row["id"]: row["prediction"] for row in rows}
    references = {row["id"]: row["reference"] for row in rows}
    for number, row in enumerate(read_table(folder / "test.csv")):
        start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
        place = folder / row["wav"], start, stop
        text = model.transcribe_file(*place)
        assert text == predictions[row["id"]]
        assert model.entities_file(*place) == (without_marks(text), entities_in(text))
        assert references[row["id"]] == TEXTS[number]
    assert rows[0]["reference_entities"] == "PLACE: rome; WHEN: today"
    assert model.tokenizer.tokens[-4:] == ["[ORG", "[PLACE", "[WHEN", "]"]
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    expected = entity_scores(predictions, references)
    words = [
        {name: without_marks(text) for name, text in each.items()}
        for each in (predictions, references)
    ]
    expected["wer"] = wer(*words).rate
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)
