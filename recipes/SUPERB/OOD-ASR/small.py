"""A small corpus for SUPERB/OOD-ASR."""

import json

import pytest
from clips import read_table, write, write_table

from s3prl_sb.metrics.transcription import cer, wer

BUDGET = {"head": "{projection_size: 8, hidden_size: 8}"}
UTTERANCES = {"train": 6, "valid": 4, "test": 4}
DROPOUT = True  # two processes draw other random numbers than one
TEXTS = ("SÍ", "QUÉ NIÑO", "NO", "ÉL")
HEADER = "client_id\tpath\tsentence\taccent\n"


def corpus(folder):
    """Common Voice's Spanish, and three conversations of SBCSAE."""
    for table in ("train", "dev", "test"):
        rows = []
        for number, text in enumerate(TEXTS):
            path = f"{table}_{number}.mp3"
            write(folder / f"es/clips/{path}".replace(".mp3", ".wav"), number, number)
            accent = "mexicano" if number else "andino"
            rows.append(f"who\t{path}\t¡{text.lower()}!\t{accent}\n")
        (folder / f"es/{table}.tsv").write_text(HEADER + "".join(rows), "utf-8")
    for number in (1, 47, 54):
        write(folder / f"SBCSAE/mp3/{number:02d}.wav", 1, number, seconds=0.8)
        lines = ["0.00 0.30\tA:\t(H) It's", "0.30 0.75\tB:\tno,\n"]
        transcript = folder / f"SBCSAE/trn/SBC{number:03d}.trn"
        transcript.parent.mkdir(exist_ok=True)
        transcript.write_text("\n".join(lines))
    return {"language": "[es, sbcsae]"}


def tables(folder):
    """Files of their own, and segments."""
    paths = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            write(folder / wav, number % 4, number, seconds=0.3 + 0.05 * number)
            segment = ("0.05", "0.25") if number > 1 else ("", "")
            # Lower case, as a user's text may be; one character is not in training
            text = TEXTS[number % 4].lower() if number % 2 else TEXTS[number % 4]
            text += "Ü" if split == "test" and not number else ""
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
    assert model.tokenizer.tokens == [
        *("<pad>", "<eos>", "<unk>", " "),
        *sorted(set("".join(TEXTS)) - {" "}),
    ]
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    assert metrics["wer"] == pytest.approx(wer(predictions, references).rate)
    assert metrics["cer"] == pytest.approx(cer(predictions, references).rate)
    assert metrics["error_rate"] == metrics["wer"]
