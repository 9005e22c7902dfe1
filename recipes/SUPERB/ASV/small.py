"""A small corpus for SUPERB/ASV."""

import json

import pytest
import soundfile
import torch
from clips import clip, read_table, write_table

from s3prl_sb.metrics.verification import equal_error_rate, minimum_detection_cost

BUDGET = {
    "grad_accumulation_factor": 1,
    "min_seconds": 0.1,
    "valid_speakers": 2,
    "embedding_size": 8,
    "head": "{hidden_size: 16, pooled_size: 24}",
}
UTTERANCES = {"train": 8, "valid": 4, "test": 4}


def write(path, speaker, number):
    """A clip with silence at its ends, which the recipe cuts off."""
    samples = clip(speaker, number, seconds=0.35 + 0.03 * (number % 4))
    samples[:1000] = samples[-2000:] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16000)


def corpus(folder):
    """Four speakers to train on and to validate with, two to test."""
    tested = []
    for speaker in range(6):
        home = "dev" if speaker < 4 else "test"
        for number in range(4):
            name = f"id1000{speaker}/video{number % 2}/{number:05d}.wav"
            write(folder / home / "wav" / name, speaker, number)
            if home == "test":
                tested.append(name)
    lines = [f"{int(a[:7] == b[:7])} {a} {b}" for a in tested for b in tested if a < b]
    (folder / "veri_test.txt").write_text("\n".join(lines) + "\n")
    return {}


def tables(folder):
    """A table of utterances and two of trials, each with speakers of its own."""
    paths = {}
    for first, (split, count) in zip((0, 10, 20), UTTERANCES.items()):
        speakers = {f"{split}/{n}.wav": first + n % 2 for n in range(count)}
        for number, (wav, speaker) in enumerate(speakers.items()):
            write(folder / wav, speaker, number)
        columns = ("id1", "id2", "wav_path1", "wav_path2", "label")
        rows = [
            (f"the {a}", f"the {b}", a, b, int(speakers[a] == speakers[b]))
            for a in speakers
            for b in speakers
            if a < b
        ]
        if split == "train":
            columns = ("id", "wav", "spk")
            rows = [(f"the {a}", a, f"speaker {s}") for a, s in speakers.items()]
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model scores and decides as the run did; metrics follow from the scores."""
    predictions = read_table(run_folder / "predictions.csv")
    rows = read_table(folder / "test.csv")
    results = json.loads((run_folder / "results.json").read_text())
    for row, written in zip(rows, predictions, strict=True):
        assert all(row[key] == written[key] for key in ("id1", "id2", "label"))
        files = [folder / row[f"wav_path{side}"] for side in "12"]
        score, same = model.verify_files(*files)
        assert score == pytest.approx(float(written["score"]), abs=2e-6)
        assert same == (score >= results["valid"]["threshold"])
    labels = torch.tensor([int(row["label"]) for row in predictions])
    scores = torch.tensor(
        [float(row["score"]) for row in predictions], dtype=torch.float64
    )
    accepted = torch.tensor([row["prediction"] == "1" for row in predictions])
    metrics = results["metrics"]
    assert metrics["eer"] == pytest.approx(equal_error_rate(scores, labels)[0])
    cost, _ = minimum_detection_cost(scores, labels)
    assert metrics["min_dcf"] == pytest.approx(cost)
    rate = accepted[labels == 0].double().mean().item()
    assert metrics["false_acceptance"] == pytest.approx(rate)
    paths = [str(folder / row["wav_path1"]) for row in rows[:3]]
    assert len(list(model.lines(paths))) == 2
