"""A small corpus for SUPERB/VC: two voices that say the same."""

import json

import numpy as np
import pytest
import soundfile
import torch
from clips import read_table, write, write_table

HEAD = {"hidden_size": 8, "channels": 8, "prenet_size": 8, "recurrent_dropout": 0}
# With more iterations the rounding of a spectrogram changes the waveform visibly
BUDGET = {"warmup_steps": 0, "lr": 0.01, "vocoder_iterations": 1}
BUDGET["head"] = json.dumps(HEAD)
UTTERANCES = {"train": 6, "valid": 2, "test": 2}
DROPOUT = True
RATE = 24000  # of converted speech


def corpus(folder):
    """VCC2020: the target's sentences, and a source speaker's to convert."""
    names = [f"TEF1/E1000{number}" for number in range(1, 7)]
    names += ["TEF1/E10061", "TEF1/E10062", "TEF1/E30001", "SEF1/E30001"]
    for number, name in enumerate(names):
        write(folder / f"{name}.wav", name < "T", number, seconds=0.3)
    return {}


def tables(folder):
    """The target speaker's clips to train, another speaker's to test."""
    paths = {}
    for split, count in UTTERANCES.items():
        rows = []
        for number in range(count):
            wav, target = f"{split}/{number}.wav", ""
            seconds = 0.3 + 0.02 * number
            write(folder / wav, int(split == "test"), number, seconds=seconds)
            if split == "test":
                target = f"target/{number}.wav"
                write(folder / target, 0, number, seconds=seconds)
            rows.append((f"{split}{number}", wav, target, "low"))
        columns = ("id", "wav", "target", "speaker")
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model converts as the run did, whose metrics are means over utterances."""
    rows = {row["id"]: row for row in read_table(run_folder / "predictions.csv")}
    given = read_table(folder / "test.csv")
    assert rows.keys() == {row["id"] for row in given}
    for row in given:
        wav = model.convert_file(folder / row["wav"])
        written, rate = soundfile.read(run_folder / rows[row["id"]]["wav"])
        assert rate == model.output_rate == RATE and len(written) == len(wav)
        np.testing.assert_allclose(written, wav.clamp(-1, 1).numpy(), atol=2e-4)
        assert torch.isfinite(wav).all()
    metrics = json.loads((run_folder / "results.json").read_text())["metrics"]
    for name, value in metrics.items():
        cells = [float(row[name]) for row in rows.values() if row[name]]
        assert value == pytest.approx(np.mean(cells), abs=1e-5)
