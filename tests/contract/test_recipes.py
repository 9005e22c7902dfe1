"""Every recipe: its YAML, its README, and its whole way from audio to predictions."""

import csv
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import ruamel.yaml
import soundfile
from speechbrain.utils.run_opts import RunOptions

from s3prl_sb import resources
from s3prl_sb.experiment import load_recipe
from s3prl_sb.inference import Classifier, export, load

RECIPES = resources.recipes()
ROOT = resources.folder("recipes").parent
TINY = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config: {hidden_size: 16, ffn_size: 16, num_layers: 2, num_heads: 2,
             position_groups: 2, position_kernel: 8,
             conv_layers: [[8, 10, 5], [8, 8, 4], [8, 4, 4]]}
"""
SPLITS = {"train": 8, "valid": 4, "test": 4}
BUDGET = {"total_steps": 4, "steps_per_epoch": 2, "batch_size": 4}
SCHEMA = {
    "task": str,
    "upstream": str,
    "chosen_by": dict,
    "metrics": dict,
    "utterances": dict,
    "seed": int,
    "total_steps": int,
    "best_step": int,
    "layers": list,
    "layer_weights": list,
    "seconds": float,
    "peak_memory_gb": float,
    "device": str,
    "versions": dict,
}


def every_recipe(function):
    return pytest.mark.parametrize("name", RECIPES)(function)


def every_yaml(function):
    files = [
        f for folder in RECIPES.values() for f in sorted(folder.glob("hparams/*.yaml"))
    ]
    ids = [str(file.relative_to(ROOT)) for file in files]
    return pytest.mark.parametrize("file", files, ids=ids)(function)


def keys(file):
    """The top-level keys of a YAML file."""
    return [
        k for k in ruamel.yaml.YAML().load(file.read_text("utf-8")) if k[:2] != "__"
    ]


def run_options():
    """SpeechBrain's own options, such as --debug."""
    actions = RunOptions._create_parser()._actions
    return {o[2:] for a in actions for o in a.option_strings if o.startswith("--")}


# ---------------------------------------------------------------------- the files
@every_yaml
def test_yaml_loads(file, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    output = f"output_folder: {tmp_path}/out"
    for upstream, size, layers in ((tmp_path / "tiny.yaml", 16, 3), ("mel", 80, 1)):
        hparams = load_recipe(file, f"upstream: {upstream}\n{output}")
        assert hparams["upstream_model"].output_size == size
        assert hparams["featurizer"].num_layers == layers
        assert hparams["head"](num_classes=5).projection.in_features == size
        for pipes in (hparams["train_pipes"], hparams["eval_pipes"]):
            assert pipes and all(callable(pipe) for pipe in pipes)


@every_yaml
def test_keys_are_no_run_options(file):
    """argparse takes --opt for --optimizer_step_limit: the key could not be set.

    An option of the very same name is fine where the Brain reads it from the YAML
    too, as it does with max_grad_norm.
    """
    options = run_options()
    for key in keys(file):
        taken = [o for o in options if o.startswith(key) and o != key]
        exact = key in options
        assert exact or not taken, (
            f"'--{key}' on the command line is taken for {' or '.join(sorted(taken))}, "
            "an option of SpeechBrain: give the key another name"
        )


@every_yaml
def test_every_key_is_used(file):
    """By another key, by train.py, by the package or by SpeechBrain's Brain."""
    yaml = file.read_text("utf-8")
    sources = [file.parents[1] / "train.py", *(ROOT / "s3prl_sb").rglob("*.py")]
    code = "\n".join(path.read_text("utf-8") for path in sources)
    options = run_options()
    for key in keys(file):
        in_yaml = re.search(rf"<{key}[\[.>]", yaml)
        in_code = re.search(rf'hparams.*"{key}"|hparams\.{key}\b', code)
        assert in_yaml or in_code or key in options, f"nothing reads '{key}'"


@every_recipe
def test_readme(name):
    folder = RECIPES[name]
    text = (folder / "README.md").read_text("utf-8")
    known = {key for file in folder.glob("hparams/*.yaml") for key in keys(file)}
    named = set(re.findall(r"(?<![\w-])--([a-z]\w*)", text))
    for key in named - {"nproc_per_node", "nnodes", "node_rank"}:  # torchrun's
        assert key in known | run_options(), f"--{key} in {name}/README.md is no key"
    assert f"s3prl-sb run {name} " in text
    for key in ("data_folder", "upstream", "total_steps"):
        assert key in named, f"{name}/README.md does not say what --{key} does"
    assert (folder / "train.py").read_text("utf-8").startswith("#!/usr/bin/env python3")


# -------------------------------------------------------------------- its whole way
def clip(label, number, seconds=0.4):
    rng = np.random.default_rng([label, number])
    time = np.arange(int(seconds * 16000)) / 16000
    return 0.1 * np.sin(
        2 * np.pi * 300 * (label + 1) * time
    ) + 0.02 * rng.standard_normal(len(time))


def write(path, label, number, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, clip(label, number, **kwargs), 16000)


def speech_commands(folder):
    """Two folders of words, with lists."""
    lists = {"validation_list.txt": [], "testing_list.txt": []}
    for label, word in enumerate(("cat", "dog")):
        for number in range(8):
            name = f"{word}/{number:08x}_nohash_0.wav"
            write(folder / name, label, number)
            if number < 4:
                list(lists.values())[number % 2].append(name)
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return {"labels": "folders", "version": "v0.02"}


def voxceleb1(folder):
    """Two speakers of three videos."""
    lines = []
    for label in range(2):
        for number in range(6):
            name = f"id1000{label}/video{number % 3}/{number:05d}.wav"
            write(folder / "dev/wav" / name, label, number)
            lines.append(f"{number % 3 + 1} {name}")
    (folder / "iden_split.txt").write_text("\n".join(lines) + "\n")
    return {}


#: A small corpus in the layout that the recipe reads, and what it needs to be said.
CORPORA = {"SUPERB/KS": speech_commands, "SUPERB/SID": voxceleb1}


def run(name, output, *options, **overrides):
    """Runs a recipe as its user would."""
    overrides = {**BUDGET, "output_folder": output, **overrides}
    overrides.setdefault("cache_folder", output / "cache")
    loaders = {
        f"{split}_dataloader_opts": "{num_workers: 0, batch_size: 4}"
        for split in ("train", "valid", "test")
    }
    pairs = [f"--{key}={value}" for key, value in {**loaders, **overrides}.items()]
    folder = RECIPES[name]
    script, hparams = folder / "train.py", folder / "hparams/train.yaml"
    done = subprocess.run(
        [sys.executable, script, hparams, "--noprogressbar", *options, *pairs],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=output.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return output


def test_every_recipe_has_a_small_corpus():
    assert set(CORPORA) == set(RECIPES), "write a few files in the new corpus' layout"


@every_recipe
def test_debug_run_on_its_corpus(name, tmp_path):
    said = CORPORA[name](tmp_path / "corpus")
    said["data_folder"] = tmp_path / "corpus"
    output = run(name, tmp_path / "out", "--debug", upstream="fbank_no_cmvn", **said)
    results = json.loads((output / "results.json").read_text())
    assert results["task"] == name and results["upstream"] == "fbank_no_cmvn"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """``finished(name)``: a whole run on tables of a user's own, without a cache."""
    done = {}

    def finished(name):
        if name not in done:
            folder = tmp_path_factory.mktemp(name.replace("/", "-"))
            (folder / "tiny.yaml").write_text(TINY)
            tables = {f"{split}_csv": table(folder, split) for split in SPLITS}
            upstream = folder / "tiny.yaml"
            done[name] = run(
                name, folder / "out", upstream=upstream, cache="off", **tables
            )
        return done[name]

    return finished


def table(folder, split):
    """A CSV with files of their own, and segments of one file."""
    rows = []
    for number in range(SPLITS[split]):
        label = number % 2
        wav = f"{split}/{number}.wav"
        write(folder / wav, label, number, seconds=0.3 + 0.05 * number)
        segment = ("0.05", "0.25") if number > 1 else ("", "")
        rows.append((f"{split} {number}", wav, ("low", "high, clear")[label], *segment))
    with open(folder / f"{split}.csv", "w", newline="") as file:
        csv.writer(file).writerows([("id", "wav", "label", "start", "stop"), *rows])
    return folder / f"{split}.csv"


@every_recipe
def test_results(name, finished):
    results = json.loads((finished(name) / "results.json").read_text())
    found = {key: type(value) for key, value in results.items()}
    assert found == SCHEMA
    assert results["task"] == name and results["total_steps"] == BUDGET["total_steps"]
    assert results["chosen_by"]["metric"] in results["metrics"]
    assert isinstance(results["chosen_by"]["highest"], bool)
    assert results["utterances"] == SPLITS
    assert 0 < results["best_step"] <= BUDGET["total_steps"]
    assert len(results["layer_weights"]) == len(results["layers"]) == 3
    assert sum(results["layer_weights"]) == pytest.approx(1, abs=1e-5)
    assert all(isinstance(value, float) for value in results["metrics"].values())
    assert set(results["versions"]) == {"s3prl_sb", "speechbrain", "torch"}


@every_recipe
def test_what_a_run_leaves(name, finished):
    left = {path.name for path in finished(name).iterdir()}
    assert {
        "results.json",
        "predictions.csv",
        "train_log.txt",
        "hyperparams.yaml",
    } <= left
    assert {"log.txt", "env.log", "save"} <= left
    assert not [file for file in left if file.startswith(".")]


@every_recipe
def test_predictions_are_those_of_the_export(name, finished, tmp_path):
    run_folder = finished(name)
    with open(run_folder / "predictions.csv", newline="") as file:
        predictions = {row["id"]: row for row in csv.DictReader(file)}
    with open(run_folder.parent / "test.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(predictions) == {row["id"] for row in rows}
    exported = export(run_folder, tmp_path / "exported")
    for model in (Classifier.from_hparams(str(exported)), load(run_folder)):
        for row in rows:
            start, stop = (float(row[k]) if row[k] else None for k in ("start", "stop"))
            wav = run_folder.parent / row["wav"]
            label, score = model.classify_file(wav, start, stop)
            expected = predictions[row["id"]]
            assert (label, row["label"]) == (expected["prediction"], expected["label"])
            assert score == pytest.approx(float(expected["score"]), abs=1e-5)
    right = sum(row["prediction"] == row["label"] for row in predictions.values())
    accuracy = json.loads((exported / "results.json").read_text())["metrics"][
        "accuracy"
    ]
    assert accuracy == pytest.approx(right / len(predictions))
