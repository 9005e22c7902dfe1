"""A small corpus for SUPERB/QbE."""

import json

import pytest
import torch
from clips import clip, read_table, write, write_table

from s3prl_sb.metrics.retrieval import maximum_term_weighted_value

UTTERANCES = {"documents": 6, "valid": 3, "test": 3}
KILLS = [
    ("s3prl_sb.dataio.cache.FeatureCache.write", 2, "after"),
    ("s3prl_sb.brains.layer_scores.write", 1, "after"),
    ("safetensors.torch.save_file", 1, "half"),
    ("s3prl_sb.brains.results.write", 1, "before"),
]


def corpus(folder):
    """QUESST14's folders and lists, with two documents in another language."""
    scoring = folder / "scoring"
    listed = {"utterances": [], "dev": [], "eval": []}
    for number in range(6):
        name = f"quesst14_{number:05d}"
        write(folder / f"Audio/{name}.wav", number % 3, number)
        language = "nnenglish" if number < 4 else "czech"
        listed["utterances"].append(f"quesst14Database/Audio/{name}.wav {language}")
    for split in ("dev", "eval"):
        lines = []
        for number in range(3):
            name = f"quesst14_{split}_{number:04d}"
            home = f"{split}_queries/{name}.wav"
            write(folder / home, number, 10 + number, seconds=0.3)
            language = "nnenglish" if number < 2 else "czech"
            listed[split].append(f"quesst14Database/{home} {language}")
            for held in (number, number + 3):
                lines.append(f"LEXEME quesst14_{held:05d} 1 0 0.4 {name} lex <NA> <NA>")
        truth = scoring / f"groundtruth_quesst14_{split}/quesst14_{split}.rttm"
        truth.parent.mkdir(parents=True)
        truth.write_text("\n".join(lines) + "\n")
    for name, lines in listed.items():
        (scoring / f"language_key_{name}.lst").write_text("\n".join(lines) + "\n")
    return {}


def tables(folder):
    """Documents, of which some are segments, and queries."""
    rows = []
    for number in range(6):
        wav = f"documents/{number}.wav"
        write(folder / wav, number % 3, number, seconds=0.5)
        segment = ("0.05", "0.45") if number > 3 else ("", "")
        rows.append((f"document {number}", wav, *segment))
    columns = ("id", "wav", "start", "stop")
    paths = {"documents_csv": write_table(folder / "documents.csv", columns, rows)}
    for split in ("valid", "test"):
        rows = []
        for number in range(3):
            wav = f"{split}/{number}.wav"
            write(folder / wav, number, 10 + number, seconds=0.3)
            held = f"document {number} ; document {number + 3}" if number else ""
            rows.append((f"{split} {number}", wav, held))
        columns = ("id", "wav", "documents")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model finds what the run wrote; the measure is that of the scores."""
    rows = read_table(run_folder / "predictions.csv")
    costs = {(row["query"], row["document"]): float(row["cost"]) for row in rows}
    queries = read_table(folder / "test.csv")
    documents = read_table(folder / "documents.csv")
    assert len(costs) == len(queries) * len(documents)
    whole = {str(folder / d["wav"]): d["id"] for d in documents if not d["start"]}
    for query in queries:
        matches = model.search(folder / query["wav"], list(whole))
        assert [m.score for m in matches] == sorted(m.score for m in matches)[::-1]
        for match in matches:
            cost = costs[query["id"], whole[match.path]]
            assert match.score == pytest.approx(-cost, abs=2e-6)
            assert 0 <= match.start < match.stop <= len(clip(0, 0, 0.5)) / 16000
    held = {query["id"]: query["documents"].split(" ; ") for query in queries}
    for row in rows:
        assert row["true"] == str(int(row["document"] in held[row["query"]]))
        assert row["detected"] == str(int(float(row["score"]) > 2))
    shape = (len(queries), len(documents))
    scores = torch.tensor([float(row["score"]) for row in rows]).view(shape)
    true = torch.tensor([int(row["true"]) for row in rows]).view(shape)
    results = json.loads((run_folder / "results.json").read_text())
    value = maximum_term_weighted_value(scores, true)[0]
    assert results["metrics"]["mtwv"] == pytest.approx(value, abs=1e-6)
    layers = read_table(run_folder / "layers.csv")
    best = max(layers, key=lambda row: float(row["valid_mtwv"]))
    assert results["layers"] == [int(best["layer"])]
    assert (run_folder / "stdlist/test/benchmark.stdlist.xml").is_file()
