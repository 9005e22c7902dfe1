"""Schedules, late unfreezing and early stopping: exact in whole programs."""

import json

import pytest
import torch
from conftest import KS, TINY, assert_same_outcome, command, results, trained

STILL = ("dropout", "attention_dropout", "activation_dropout", "input_dropout")
STEPS = {"total_steps": 24, "steps_per_epoch": 3}


@pytest.fixture(scope="module")
def argv(corpus, tmp_path_factory):
    """``argv(output, …)``: the arguments of a fine-tuning with everything."""
    folder = tmp_path_factory.mktemp("optimization")
    (folder / "tiny.yaml").write_text(TINY)
    still = TINY + "".join(f"        {name}: 0.0\n" for name in STILL)
    (folder / "still.yaml").write_text(still)
    text = (KS / "hparams/train.yaml").read_text()
    (folder / "adamw.yaml").write_text(text.replace("optim.Adam", "optim.AdamW"))
    (folder / "sgd.yaml").write_text(text.replace("optim.Adam", "optim.SGD"))

    def argv(output, upstream="tiny", hparams="adamw", **overrides):
        everything = {
            "data_folder": corpus,
            "labels": "folders",
            "version": "v0.02",
            **STEPS,
            "batch_size": 8,
            "lr": 0.01,
            "upstream": folder / f"{upstream}.yaml",
            "freeze": False,
            "lr_upstream": 0.001,
            "grad_accumulation_factor": 2,
            "ckpt_interval_steps": 3,  # not in step with the accumulation
            "scheduler": "{name: cosine, min_lr: 0.1}",
            "warmup_steps": 0.2,
            "weight_decay_on": "matrices",
            "layer_decay": 0.5,
            "unfreeze_after": 4,
            "patience": 2,
            "train_dataloader_opts": "{batch_size: 8, num_workers: 0}",
            "valid_dataloader_opts": "{batch_size: 8, num_workers: 0}",
            "test_dataloader_opts": "{batch_size: 8, num_workers: 0}",
        }
        hparams = folder / f"{hparams}.yaml"
        return command(KS, output, hparams=hparams, **{**everything, **overrides})

    return argv


@pytest.fixture(scope="module")
def whole(argv, launcher, tmp_path_factory):
    """The output of a whole run, which stops early."""
    output = tmp_path_factory.mktemp("whole") / "output"
    assert launcher.run(argv(output)) == 0
    return output


def test_it_stops_and_says_so(argv, whole, launcher):
    found = results(whole)
    stop = found["best_step"] + 2 * 3
    assert found["stopped"] == {"step": stop, "patience": 2}
    assert stop < found["total_steps"] == 24 and found["lr"] == 0.01
    log = (whole / "log.txt").read_text()
    reason = f"step {stop}: 2 validations without a better accuracy (patience)"
    assert f"Training stops at {reason}" in log
    lines = (whole / "train_log.txt").read_text().splitlines()
    assert len(lines) == stop // 3 + 1 and "lr_upstream" in lines[0]
    before = trained(whole)
    assert launcher.run(argv(whole)) == 0  # once more: nothing is trained
    log = (whole / "log.txt").read_text().rpartition("Training stops")[2]
    assert f"It has stopped at {reason}" in log
    assert results(whole) == found and trained(whole).keys() == before.keys()
    again = (whole / "train_log.txt").read_text().splitlines()
    assert again == lines


@pytest.mark.parametrize(
    "point, how, calls",
    [
        ("s3prl_sb.brains.base.SSLBrain.fit_batch", "after", (5, 9)),
        ("torch.save", "half", (14,)),
        ("os.replace", "after", (8,)),
        # Right after the validation that ends it
        ("s3prl_sb.brains.stopping.Stopping.is_due", "before", (2, 2)),
    ],
)
def test_killed_and_resumed(point, how, calls, argv, whole, launcher, tmp_path):
    command_line = argv(tmp_path / "output")
    for call in calls:
        kill = {"point": point, "call": call, "how": how}
        assert launcher.run(command_line, kill=kill) == -9
    assert launcher.run(command_line) == 0
    assert_same_outcome(tmp_path / "output", whole)


def test_two_processes_are_as_one(argv, launcher, tmp_path):
    """Without dropout, and with SGD: Adam magnifies errors of rounding."""
    options = {"upstream": "still", "hparams": "sgd", "lr_upstream": 0.01}
    assert launcher.run(argv(tmp_path / "one", **options)) == 0
    assert launcher.run_distributed(argv(tmp_path / "two", **options)) == 0
    weights, others = trained(tmp_path / "two"), trained(tmp_path / "one")
    assert weights.keys() == others.keys()
    for name, value in others.items():
        if torch.is_tensor(value):
            torch.testing.assert_close(weights[name], value, atol=1e-5, rtol=1e-3)
    ours, theirs = results(tmp_path / "two"), results(tmp_path / "one")
    assert ours["stopped"] == theirs["stopped"]
    assert ours["best_step"] == theirs["best_step"]


def test_a_stopped_run_stays_stopped(argv, whole, launcher, tmp_path):
    """More steps change a schedule that ends with them; else nothing, as it stopped."""
    error = launcher.failure(argv(whole, total_steps=30))
    assert "total_steps 24, not 30 (scheduler and warmup_steps depend on it)" in error
    options = {"scheduler": "constant", "warmup_steps": 2}
    output = tmp_path / "output"
    assert launcher.run(argv(output, **options)) == 0
    first = json.loads((output / "results.json").read_text())
    assert first["stopped"] is not None
    assert launcher.run(argv(output, **options, total_steps=60)) == 0
    then = json.loads((output / "results.json").read_text())
    assert then["stopped"] == first["stopped"] and then["metrics"] == first["metrics"]


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"freeze": True}, "layer_decay 0.5 is for a trained upstream"),
        ({"freeze": True, "layer_decay": "null"}, "unfreeze_after 4 is for a trained"),
        (
            {"unfreeze_after": 24},
            "unfreeze_after 24 leaves no update of total_steps 24",
        ),
        ({"scheduler": "cosin"}, "scheduler is constant, linear, cosine"),
        ({"scheduler": "{name: noam, min_lr: 0}"}, "noam has no option 'min_lr'"),
        ({"warmup_steps": 24}, "warmup_steps 24 leaves no update of total_steps 24"),
        ({"patience": 0}, "patience is a whole number from 1 on or null"),
    ],
)
def test_refused_before_data_are_read(overrides, message, argv, launcher, tmp_path):
    output = tmp_path / "output"
    assert message in launcher.failure(argv(output, **overrides))
    assert not (output / "save/train.json").exists()
