"""The recipe runs on its small corpus, and learns it."""

import json
import subprocess
import sys
from pathlib import Path

import small

RECIPE = Path(__file__).parent
BUDGET = {"total_steps": 60, "steps_per_epoch": 20, "lr": 0.003}
SPLITS = ("train", "valid", "test")
LOADERS = {f"{split}_dataloader_opts": "{num_workers: 0}" for split in SPLITS}


def test_it_learns(tmp_path):
    keys = {"data_folder": tmp_path / "corpus", **small.corpus(tmp_path / "corpus")}
    keys |= {**BUDGET, **LOADERS, "output_folder": tmp_path / "run", "cache": "off"}
    command = [sys.executable, "-m", "s3prl_sb.cli", "run", str(RECIPE)]
    command += [f"--{key}={value}" for key, value in keys.items()]
    done = subprocess.run([*command, "--noprogressbar"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["task"] == "my_task"
    assert results["metrics"]["accuracy"] > 0.6  # chance: 1/2
