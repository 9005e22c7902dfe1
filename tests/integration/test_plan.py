"""A plan says what the run then does."""

import json
import re

import pytest
from command_lines import command
from conftest import KS
from tasks import RECIPES, small

from s3prl_sb.cli import main

COUNT = """
from s3prl_sb.lobes.upstreams.hubert import Hubert
encode, path = Hubert.encode_packed, {path!r}
def counting(self, waveforms, *args, **kwargs):
    with open(path, "a") as file:
        file.write(f"{{sum(len(w) for w in waveforms)}}\\n")
    return encode(self, waveforms, *args, **kwargs)
Hubert.encode_packed = counting
"""
BUDGET = {"total_steps": 6, "steps_per_epoch": 3, "batch_size": 4}


#: A part of the training set is cached: what is shorter than the crop.
IN_PART = {"cache": "auto", "crop_seconds": 0.6, "total_steps": 30}


@pytest.mark.parametrize("more", [{"cache": "auto"}, {"cache": "off"}, IN_PART])
def test_the_plan_of_a_run(more, corpus, tiny_card, launcher, tmp_path):
    given = {
        "data_folder": corpus,
        "labels": "folders",
        "upstream": tiny_card,
        **BUDGET,
        **more,
    }
    given["train_dataloader_opts"] = "{num_workers: 0}"
    argv = command(KS, tmp_path / "planned", plan=True, **given)
    assert launcher.run(argv) == 0
    plan = json.loads((tmp_path / "planned/plan.json").read_text())
    assert not list((tmp_path / "planned/cache").glob("*/*.safetensors"))
    assert not (tmp_path / "planned/results.json").exists()
    counts = tmp_path / "counts.txt"
    prelude = COUNT.format(path=str(counts))
    argv = command(KS, tmp_path / "run", **given)
    assert launcher.run(argv, prelude=prelude) == 0
    samples = sum(map(int, counts.read_text().split()))
    assert samples / 16000 == pytest.approx(plan["upstream"], rel=0.1)
    assert plan["speed"] > 0 and plan["gflop"] > 0 and plan["update"] > 0


def test_the_plan_of_several_folds(launcher, tmp_path):
    """A benchmark plans ER as one run: the sums over its folds."""
    given = small("SUPERB/ER").corpus(tmp_path / "corpus")
    given = {"data_folder": tmp_path / "corpus", "upstream": "fbank_no_cmvn", **given}
    budget = {**BUDGET, "train_dataloader_opts": "{num_workers: 0}", "plan": True}
    argv = command(RECIPES["SUPERB/ER"], tmp_path / "out", **{**given, **budget})
    assert launcher.run(argv) == 0
    plan = json.loads((tmp_path / "out/plan.json").read_text())
    folds = [tmp_path / f"out/fold{fold}/plan.json" for fold in range(1, 6)]
    folds = [json.loads(path.read_text()) for path in folds]
    assert plan["updates"] == 5 * BUDGET["total_steps"] and len(plan["parts"]) == 15
    assert plan["upstream"] == pytest.approx(sum(fold["upstream"] for fold in folds))
    assert not (tmp_path / "out/results.json").exists()


@pytest.mark.parametrize("form", ["cache", "npy"])
def test_the_plan_of_an_extraction(form, corpus, tiny_card, tmp_path, capsys):
    argv = ["extract", str(corpus), "--upstream", str(tiny_card), "--format", form]
    argv += ["--output", str(tmp_path / "out"), "--layers", "1"]
    assert main([*argv, "--plan", "--engine", "slurm", "--jobs", "3"]) == 0
    said = capsys.readouterr().out
    assert not (tmp_path / "out").exists() and "48 utterances" in said
    size = float(re.search(r"features of ([\d.]+) kB", said)[1]) * 1e3
    assert main(argv) == 0
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    written = sum(
        f.stat().st_size for f in files if f.suffix in (".npy", ".safetensors")
    )
    assert written == pytest.approx(size, rel=0.2)  # headers besides
