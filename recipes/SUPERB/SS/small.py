"""A small corpus for SUPERB/SS: two tones at once."""

import json

import numpy as np
import pytest
import soundfile
import torch
from clips import clip, read_table, write_table

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.metrics.separation import best_permutation, si_sdr

BUDGET = {"head": "{hidden_size: 8, num_layers: 1}", "n_fft": 256, "win_length": 256}
UTTERANCES = {"train": 8, "valid": 4, "test": 4}
DROPOUT = True
FOLDERS = {"train": "train-100", "valid": "dev", "test": "test"}
PARTS = ("mix_clean", "s1", "s2")


def mixture(folder, name, number, parts=PARTS):
    """Writes a mixture and its sources; gives their paths."""
    seconds = 0.4 + 0.03 * (number % 4)
    sources = [clip(label, number, seconds=seconds) for label in (0, 3 + number % 2)]
    paths = [folder / part / f"{name}.wav" for part in parts]
    for path, samples in zip(paths, (sum(sources), *sources)):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, 16000)
    return paths


def corpus(folder):
    """LibriMix's folders."""
    for split, part in FOLDERS.items():
        for number in range(UTTERANCES[split]):
            first = 10 * (list(FOLDERS).index(split) + 1)
            name = f"{first}-1-{number:04d}_{first + 1}-1-{number:04d}"
            mixture(folder / part, name, number)
    return {}


def tables(folder):
    """A column a source, and a segment of one mixture."""
    made = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            paths = mixture(folder / split, str(number), number)
            segment = ("0.05", "0.4") if number == 1 else ("", "")
            paths = [path.relative_to(folder) for path in paths]
            rows.append((f"{split}{number}", *paths, *segment))
        columns = ("id", "wav", "source_1", "source_2", "start", "stop")
        made[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return made


def check(run_folder, model, folder):
    """The metrics are those of what the model makes of the files, in the best order."""
    predictions = {r["id"]: r for r in read_table(run_folder / "predictions.csv")}
    rows = {row["id"]: row for row in read_table(folder / "test.csv")}
    assert predictions.keys() == rows.keys()
    for name, row in rows.items():
        times = [float(row[key]) if row[key] else None for key in ("start", "stop")]
        found, rate = model.separate_file(folder / row["wav"], *times)
        mixed, *sources = (
            load_waveform(name, str(folder / row[key]), *times)
            for key in ("wav", "source_1", "source_2")
        )
        true = torch.stack(sources)
        assert (rate, found.shape) == (16000, true.shape)
        after = si_sdr(found[best_permutation(found, true)], true).mean().item()
        written = predictions[name]
        assert after == pytest.approx(float(written["si_sdr"]), abs=2e-3)
        better = after - si_sdr(mixed.expand_as(true), true).mean().item()
        assert better == pytest.approx(float(written["si_sdr_improvement"]), abs=4e-3)
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    mean = np.mean([float(r["si_sdr_improvement"]) for r in predictions.values()])
    assert metrics["si_sdr_improvement"] == pytest.approx(mean, abs=1e-3)
