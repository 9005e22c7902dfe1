"""Killed with -9 at any moment and run again, a recipe ends bit-identical.

What "identical" covers is in ``conftest.assert_same_outcome``: each tensor of the
best checkpoint (featurizer, head, fine-tuned upstream, optimizers), the
predictions and the results.
"""

import random
import shutil
import time

import pytest
from conftest import KS, TINY, assert_same_outcome, command, run

HEAD = """
import torch
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier

class DropoutClassifier(UtteranceClassifier):
    def forward(self, features, lens):
        features = torch.nn.functional.dropout(features, 0.3, self.training)
        return super().forward(features, lens)
"""
NOISY_PIPES = """
train_pipes:
    - !new:s3prl_sb.dataio.pipes.LoadAudio
        sample_rate: !ref <sample_rate>
    - !new:s3prl_sb.dataio.pipes.RandomCrop
        seconds: 0.4
        seed: !ref <seed>
    - !new:s3prl_sb.dataio.pipes.AddNoise
        snr: [0, 20]
        seed: !ref <seed>
"""
#: What training depends on differs in each: nothing random but the order; crops,
#: noise, workers and dropout; a trained upstream with dropout, accumulation.
CASES = ("cached", "random", "finetuned")
#: Functions to be killed at, and where in the call.
POINTS = [
    ("os.replace", "before"),  # whatever is written whole or not at all
    ("os.replace", "after"),
    ("os.unlink", "after"),  # old checkpoints: half deleted
    ("torch.save", "half"),  # new checkpoints: half written
    ("safetensors.torch.save_file", "half"),  # the cache
    ("s3prl_sb.brains.base.SSLBrain.fit_batch", "after"),
    ("speechbrain.Brain.evaluate_batch", "after"),
]


@pytest.fixture(scope="module")
def recipes(corpus, tmp_path_factory):
    """``recipes(case, output)``: the arguments of a case."""
    folder = tmp_path_factory.mktemp("recipes")
    card = folder / "tiny.yaml"
    card.write_text(TINY)
    (folder / "dropout_head.py").write_text(HEAD)  # beside the YAML that names it
    text = (KS / "hparams/train.yaml").read_text()
    before, _, rest = text.partition("train_pipes:")
    rest = rest.partition("eval_pipes:")[2]
    text = f"{before}{NOISY_PIPES}eval_pipes:{rest}"
    noisy = folder / "noisy.yaml"
    noisy.write_text(
        text.replace(
            "s3prl_sb.lobes.heads.utterance.UtteranceClassifier",
            "dropout_head.DropoutClassifier",
        )
    )
    common = {
        "data_folder": corpus,
        "labels": "folders",
        "version": "v0.02",
        "total_steps": 10,
        "steps_per_epoch": 5,
        "batch_size": 8,
        "lr": 0.01,
        "ckpt_interval_steps": 2,
    }
    loaders = "{batch_size: 8, balance: label, num_workers: 1}"
    cases = {
        "cached": {"upstream": "fbank_no_cmvn"},
        "random": {
            "upstream": card,
            "hparams": noisy,
            "cache": "off",
            "train_dataloader_opts": loaders,
            "valid_dataloader_opts": "{batch_size: 8, num_workers: 0}",
            "test_dataloader_opts": "{batch_size: 8, num_workers: 0}",
        },
        "finetuned": {
            "upstream": card,
            "freeze": False,
            "lr_upstream": 0.001,
            "grad_accumulation_factor": 2,
            "ckpt_interval_steps": 3,  # not in step with the accumulation
            "train_dataloader_opts": loaders.replace("1", "0"),
            "valid_dataloader_opts": "{batch_size: 8, num_workers: 0}",
            "test_dataloader_opts": "{batch_size: 8, num_workers: 0}",
        },
    }
    return lambda case, output: command(KS, output, **{**common, **cases[case]})


@pytest.fixture(scope="module")
def uninterrupted(recipes, launcher, tmp_path_factory):
    """``uninterrupted(case)``: the output of a whole run, and its seconds."""
    done = {}

    def get(case):
        if case not in done:
            output = tmp_path_factory.mktemp(case) / "whole"
            started = time.monotonic()
            assert launcher.run(recipes(case, output)) == 0
            done[case] = output, time.monotonic() - started
        return done[case]

    return get


@pytest.mark.parametrize("case", CASES)
def test_killed_at_random_moments(case, recipes, uninterrupted, launcher, tmp_path):
    expected, seconds = uninterrupted(case)
    moments = random.Random(case)
    output = tmp_path / "output"
    for _ in range(3):
        delay = moments.uniform(0.1, 0.9 * seconds)
        if launcher.run(recipes(case, output), kill_after=delay) == 0:
            break
    else:
        assert launcher.run(recipes(case, output)) == 0
    assert_same_outcome(output, expected)


def kill_again_and_again(argv, launcher, point, how):
    """Each start is killed at a later call than the one before; gives the starts."""
    call = 1
    for starts in range(1, 20):
        kill = {"point": point, "call": call, "how": how}
        if launcher.run(argv, kill=kill) == 0:
            return starts
        call += 1 + call // 2
    raise AssertionError("it never ends")


@pytest.mark.parametrize("point, how", POINTS)
def test_killed_in_the_middle_of_things(
    point, how, recipes, uninterrupted, launcher, tmp_path
):
    argv = recipes("cached", tmp_path / "output")
    starts = kill_again_and_again(argv, launcher, point, how)
    assert starts > 1, f"{point} is never called"
    assert_same_outcome(tmp_path / "output", uninterrupted("cached")[0])
    assert not rubbish(tmp_path / "output")


def rubbish(output):
    """Returns the names of half files and half checkpoints that kills have left."""
    found = list(output.rglob("*"))
    names = [p.name for p in found if p.name.endswith((".part", ".tmp"))]
    names += [p.name for p in found if p.name.startswith(("saving-", "deleting-"))]
    checkpoints = (output / "save").glob("CKPT*")
    return names + [p.name for p in checkpoints if not (p / "CKPT.yaml").is_file()]


@pytest.mark.parametrize(
    "case, point, how",
    [("random", "os.unlink", "after"), ("finetuned", "torch.save", "half")],
)
def test_killed_while_checkpoints_come_and_go(
    case, point, how, recipes, uninterrupted, launcher, tmp_path
):
    argv = recipes(case, tmp_path / "output")
    for call in (4, 9, 14):
        launcher.run(argv, kill={"point": point, "call": call, "how": how})
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "output", uninterrupted(case)[0])


def test_killed_while_the_results_are_written(
    recipes, uninterrupted, launcher, tmp_path
):
    expected = uninterrupted("cached")[0]
    output = tmp_path / "output"
    shutil.copytree(expected, output)
    for name in ("results.json", "predictions.csv"):
        (output / name).unlink()
    kill_again_and_again(recipes("cached", output), launcher, "os.replace", "before")
    assert_same_outcome(output, expected)


def test_a_finished_run_started_again_changes_nothing(
    recipes, uninterrupted, launcher, tmp_path
):
    expected = uninterrupted("cached")[0]
    output = tmp_path / "output"
    shutil.copytree(expected, output)
    assert launcher.run(recipes("cached", output)) == 0
    assert_same_outcome(output, expected)


def test_the_real_command_resumes(recipes, uninterrupted, launcher, tmp_path):
    """The same without a fork server."""
    output = tmp_path / "output"
    argv = recipes("cached", output)
    kill = {
        "point": "s3prl_sb.brains.base.SSLBrain.fit_batch",
        "call": 7,
        "how": "after",
    }
    assert launcher.run(argv, kill=kill) == -9
    assert "The run goes on: step" in run(argv)
    assert_same_outcome(output, uninterrupted("cached")[0])
