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
    for split, part in (("train", wavs[2:]), ("valid", wavs[:1]), ("test", wavs[1:2])):
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


def test_noise_is_heard(data_folder, launcher, tmp_path):
    """The levels have their order, and an export says the same."""
    given = tables(data_folder / "VCC2016", tmp_path)
    loaders = {f"{s}_dataloader_opts": LOADER for s in ("train", "valid", "test")}
    recipe = REPOSITORY / "recipes/VCC2018/MOS"
    given = {**given, **loaders, **BUDGET, "upstream": "fbank_no_cmvn"}
    argv = command(recipe, tmp_path / "run", **given)
    assert launcher.run(argv) == 0
    metrics = results(tmp_path / "run")["metrics"]
    assert metrics["system_srcc"] > 0.99 and metrics["lcc"] > 0.9
    model = load(export(tmp_path / "run", tmp_path / "exported"))
    scores = [model.predict_file(tmp_path / f"test0-{value}.wav") for value in NOISES]
    assert scores == sorted(scores) and 1 <= scores[0] and scores[-1] <= 5
    with open(tmp_path / "run/predictions.csv", newline="") as file:
        told = sorted(float(row["prediction"]) for row in csv.DictReader(file))
    assert np.allclose(told, scores, atol=1e-4)
