"""Prediction of numbers on real speech: VCC2016 in noise, whose level is the value."""

import csv

import numpy as np
import soundfile
from conftest import REPOSITORY, command, results

from s3prl_sb.inference import export, load

NOISES = {1.0: 0.3, 2.5: 0.03, 4.0: 0.001}  # values to levels of white noise
LOADER = "{num_workers: 0, batch_size: 8}"
BUDGET = {"total_steps": 60, "steps_per_epoch": 30, "warmup_steps": 5, "lr": 0.003}


def tables(source, folder):
    """Utterances of four speakers at three levels; they are systems too."""
    wavs = sorted(source.rglob("*.wav"))[::4]
    assert len(wavs) > 12
    paths = {}
    parts = {"train": wavs[6:], "valid": wavs[:2], "test": wavs[2:6]}
    for split, part in parts.items():
        paths[f"{split}_csv"] = folder / f"{split}.csv"
        with open(paths[f"{split}_csv"], "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["wav", "value", "system"])
            for number, wav in enumerate(part):
                samples, rate = soundfile.read(wav, frames=24000)
                for value, level in NOISES.items():
                    noise = np.random.default_rng(number).standard_normal(len(samples))
                    name = f"{split}{number}-{value}.wav"
                    noisy = np.clip(samples + level * noise, -1, 1)
                    soundfile.write(folder / name, noisy, rate)
                    writer.writerow([name, value, f"noise{level}"])
    return paths


def test_overfits_real_speech(data_folder, launcher, tmp_path):
    """The scores of eight utterances, which say nothing, by two judges are learned."""
    wavs = sorted((data_folder / "VCC2016").rglob("*.wav"))[::12][:8]
    scores = np.linspace(1.3, 4.7, 8)[[3, 0, 6, 1, 7, 4, 2, 5]]
    table = tmp_path / "few.csv"
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "wav", "value", "judge", "stop"])
        for number, (wav, score) in enumerate(zip(wavs, scores)):
            for judge, bias in (("ann", -0.2), ("bob", 0.2)):
                row = (f"{number} {judge}", wav, score + bias, judge, 1.5)
                writer.writerow(row)
    given = {f"{split}_csv": table for split in ("train", "valid", "test")}
    loaders = {f"{s}_dataloader_opts": LOADER for s in ("train", "valid", "test")}
    given.update(loaders, upstream="fbank_no_cmvn", grad_accumulation_factor=1)
    given.update(total_steps=150, steps_per_epoch=150, warmup_steps=5, lr=0.003)
    argv = command(REPOSITORY / "recipes/VCC2018/MOS", tmp_path / "run", **given)
    assert launcher.run(argv) == 0
    metrics = results(tmp_path / "run")["metrics"]
    assert metrics["lcc"] > 0.99 and metrics["mse"] < 0.05, metrics


def test_noise_is_heard(data_folder, launcher, tmp_path):
    """The levels have their order, and an export says the same."""
    given = tables(data_folder / "VCC2016", tmp_path)
    loaders = {f"{s}_dataloader_opts": LOADER for s in ("train", "valid", "test")}
    recipe = REPOSITORY / "recipes/VCC2018/MOS"
    given = {**given, **loaders, **BUDGET, "upstream": "fbank_no_cmvn"}
    argv = command(recipe, tmp_path / "run", **given)
    assert launcher.run(argv) == 0
    metrics = results(tmp_path / "run")["metrics"]
    # Three other seeds reach 1, and 0.94 to 0.99; predictions by chance have 0.
    assert metrics["system_srcc"] > 0.99 and metrics["lcc"] > 0.85, metrics
    model = load(export(tmp_path / "run", tmp_path / "exported"))
    scores = [model.predict_file(tmp_path / f"test0-{value}.wav") for value in NOISES]
    assert scores == sorted(scores) and 1 <= scores[0] and scores[-1] <= 5
    with open(tmp_path / "run/predictions.csv", newline="") as file:
        told = {row["id"]: float(row["prediction"]) for row in csv.DictReader(file)}
    told = [told[f"test0-{value}"] for value in NOISES]
    assert np.allclose(told, scores, atol=1e-4)
