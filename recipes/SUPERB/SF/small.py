"""A small corpus for SUPERB/SF."""

import json

import pytest
from clips import read_table, write, write_table

from s3prl_sb.dataio.slots import without_marks
from s3prl_sb.metrics import slots as metrics
from s3prl_sb.metrics.transcription import wer

BUDGET = {"head": "{projection_size: 8, hidden_size: 8}"}
UTTERANCES = {"train": 8, "valid": 4, "test": 4}
DROPOUT = True  # two processes draw other random numbers than one
REQUESTS = (
    ("PLAY THE WHO", "O artist artist", "PLAY B-artist THE WHO E-artist"),
    ("PLAY ABBA , NOW", "O artist O O", "PLAY B-artist ABBA E-artist NOW"),
    ("COLD TODAY", "sky when", "B-sky COLD E-sky B-when TODAY E-when"),
    ("STOP !", "O O", "STOP"),
)
VOICES = {"train": ("Ivy", "Joey"), "valid": ("Amy", "Nicole"), "test": ("Emma",)}


def corpus(folder):
    """Its folders and texts, and a recording by a voice of another split."""
    lines = []
    for split, voices in VOICES.items():
        for voice in (*voices, "Aditi"):
            for number, (text, iob, _) in enumerate(REQUESTS):
                name = f"{voice}-snips-{split}-{number}"
                write(folder / split / f"{name}.wav", number, len(voice))
                lines.append(f"{name} BOS {text} EOS\tO {iob} PlayMusic\n")
    (folder / "all.iob.snips.txt").write_text("".join(lines))
    (folder / "slots.txt").write_text("O\nartist\nsky\nwhen\n")
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
            text, iob, _ = REQUESTS[number % 4]
            # Lower case, as a user's text may be.
            text = text.lower() if number % 2 else text
            rows.append((f"{split} {number}", wav, text, iob, *segment))
        columns = ("id", "wav", "transcription", "iob", "start", "stop")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model hears what the run wrote; the metrics are those of the texts."""
    rows = read_table(run_folder / "predictions.csv")
    predictions = {row["id"]: row["prediction"] for row in rows}
    references = {row["id"]: row["reference"] for row in rows}
    assert any(predictions.values())
    slots = model.tokenizer.arguments["slots"]
    assert slots == ["artist", "sky", "when"]
    for number, row in enumerate(read_table(folder / "test.csv")):
        start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
        place = folder / row["wav"], start, stop
        text = model.transcribe_file(*place)
        assert text == predictions[row["id"]]
        words, found = model.fill_file(*place)
        assert (words, found) == (
            without_marks(text, slots),
            metrics.slot_values(text),
        )
        assert references[row["id"]] == REQUESTS[number % 4][2]
    for name, texts in (("hyp", predictions), ("ref", references)):
        lines = (run_folder / f"{name}.txt").read_text().splitlines()
        assert dict(line.split("\t") for line in lines) == texts
    assert [row["reference_slots"] for row in rows][1] == "artist: ABBA"
    scores = json.loads((run_folder / "results.json").read_text())["metrics"]
    both = predictions, references
    words = [{k: without_marks(t, slots) for k, t in texts.items()} for texts in both]
    assert scores["wer"] == pytest.approx(wer(*words).rate)
    assert scores["slot_type_f1"] == pytest.approx(metrics.slot_type_f1(*both))
    for name in ("slot_value_cer", "slot_value_wer"):
        assert scores[name] == pytest.approx(getattr(metrics, name)(*both).rate)
    for name in ("slot_edit_f1_full", "slot_edit_f1_part"):
        assert scores[name] == pytest.approx(getattr(metrics, name)(*both))
