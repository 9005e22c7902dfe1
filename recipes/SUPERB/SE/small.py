"""A small corpus for SUPERB/SE: tones in noise."""

import json

import numpy as np
import pytest
import soundfile
from clips import clip, read_table, write_table

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.metrics.perceptual import pesq
from s3prl_sb.metrics.separation import si_sdr

BUDGET = {"head": "{hidden_size: 8, num_layers: 1}", "n_fft": 256, "win_length": 256}
UTTERANCES = {"train": 8, "valid": 4, "test": 4}
DROPOUT = True
SPEAKERS = {"train": ["p225"], "valid": ["p226", "p287"], "test": ["p232"]}


def pair(folder, name, number, ends=("noisy", "clean")):
    """Writes a noisy and a clean clip; gives their paths."""
    clean = clip(number % 3, number, seconds=0.4 + 0.03 * (number % 4))
    noise = 0.05 * np.random.default_rng(number).standard_normal(len(clean))
    paths = [folder / end / f"{name}.wav" for end in ends]
    for path, samples in zip(paths, (clean + noise, clean)):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, 16000)
    return paths


def corpus(folder):
    """VoiceBank-DEMAND's folders."""
    for split, speakers in SPEAKERS.items():
        part = "testset" if split == "test" else "trainset_28spk"
        ends = f"noisy_{part}_wav", f"clean_{part}_wav"
        for speaker in speakers:
            for number in range(UTTERANCES[split] // len(speakers)):
                pair(folder, f"{speaker}_{number:03d}", number, ends)
    return {}


def tables(folder):
    """Pairs of files, and segments of one pair."""
    made = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            noisy, clean = pair(folder / split, str(number), number)
            segment = ("0.05", "0.4") if number == 1 else ("", "")
            paths = [path.relative_to(folder) for path in (noisy, clean)]
            rows.append((f"{split}{number}", *paths, *segment))
        columns = ("id", "wav", "clean", "start", "stop")
        made[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return made


def check(run_folder, model, folder):
    """The metrics are those of what the model makes of the files."""
    predictions = {r["id"]: r for r in read_table(run_folder / "predictions.csv")}
    rows = {row["id"]: row for row in read_table(folder / "test.csv")}
    assert predictions.keys() == rows.keys()
    for name, row in rows.items():
        times = [float(row[key]) if row[key] else None for key in ("start", "stop")]
        speech, rate = model.enhance_file(folder / row["wav"], *times)
        clean = load_waveform(name, str(folder / row["clean"]), *times)
        found, measures = predictions[name], si_sdr(speech, clean).item()
        assert (rate, len(speech)) == (16000, len(clean))
        assert measures == pytest.approx(float(found["si_sdr"]), abs=2e-3)
        score = pesq(speech, clean, rate)
        assert score == pytest.approx(float(found["pesq"]), abs=2e-3)
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    for key in ("pesq", "si_sdr", "si_sdr_improvement"):
        mean = np.mean([float(row[key]) for row in predictions.values()])
        assert metrics[key] == pytest.approx(mean, abs=1e-3)
