"""Enhancement of unseen speakers, and separation learned by heart, of real speech."""

import csv

import pytest
import torch
from conftest import REPOSITORY, command, results

from s3prl_sb.inference import load
from s3prl_sb.metrics.separation import best_permutation, si_sdr

CARD = """
fbank: !new:s3prl_sb.lobes.upstreams.features.KaldiFeatures
    feature: fbank
    num_mel_bins: 80
    frame_length: 25.0
    frame_shift: 20.0
    deltas: 2
    cmvn: True
"""
LOADERS = {
    f"{split}_dataloader_opts": "{num_workers: 0}"
    for split in ("train", "valid", "test")
}


def run(launcher, task, output, steps, **overrides):
    """A training of a small network without recurrence; gives its metrics."""
    card = output.with_name("fbank.yaml")
    card.write_text(CARD)
    given = {"upstream": card, "total_steps": steps, "steps_per_epoch": steps}
    given |= {"lr": 0.003, **LOADERS, **overrides}
    argv = command(REPOSITORY / "recipes/SUPERB" / task, output, **given)
    assert launcher.run(argv) == 0
    return results(output)["metrics"]


def test_overfits_two_mixtures(data_folder, launcher, tmp_path):
    """By more than 10 dB; and the model gives these sources."""
    folder = data_folder / "Libri2Mix/wav16k/min/test"
    names = sorted(path.name for path in (folder / "mix_clean").iterdir())[:2]
    parts = ("mix_clean", "s1", "s2")
    with open(tmp_path / "two.csv", "w", newline="") as file:
        rows = [[*(folder / part / name for part in parts), 0.5, 2.5] for name in names]
        columns = ["wav", "source_1", "source_2", "start", "stop"]
        csv.writer(file).writerows([columns, *rows])
    tables = {f"{split}_csv": tmp_path / "two.csv" for split in ("train", "valid")}
    tables["test_csv"] = tables["train_csv"]
    head = {"head": "{name: mlp, hidden_size: 256}", "batch_size": 2}
    metrics = run(launcher, "SS", tmp_path / "out", 200, **tables, **head)
    assert metrics["si_sdr_improvement"] > 10, metrics
    model = load(tmp_path / "out")
    mixture, *clean = (folder / part / names[0] for part in parts)
    clean = torch.stack([model.load_file(path, 0.5, 2.5) for path in clean])
    found, _ = model.separate_file(mixture, 0.5, 2.5)
    order = best_permutation(found, clean)
    with open(tmp_path / "out/predictions.csv", newline="") as file:
        row = next(csv.DictReader(file))
    again = si_sdr(found[order], clean).mean().item()
    assert again == pytest.approx(float(row["si_sdr"]), abs=0.01)


def test_enhances_unseen_speakers(data_folder, launcher, tmp_path):
    """Better by every measure than the noisy recordings."""
    pytest.importorskip("pesq")
    metrics = run(
        launcher,
        "SE",
        tmp_path / "out",
        150,
        data_folder=data_folder / "VoiceBank_like",
        valid_speakers="[p446, p8051]",
        head="{name: mlp, hidden_size: 128}",
        mask_activation="sigmoid",
        batch_size=4,
    )
    assert metrics["pesq"] > metrics["input_pesq"] + 0.05, metrics
    assert metrics["si_sdr_improvement"] > 1, metrics
