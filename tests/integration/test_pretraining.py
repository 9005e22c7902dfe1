"""Pre-training on tones: killed and resumed, in two processes, stopped, refused."""

import json
import random
from pathlib import Path

import pytest
import torch
from conftest import assert_same_outcome, command, results, trained
from safetensors.torch import load_file

TOY = Path(__file__).resolve().parents[1] / "pretraining_toy"
POINTS = [
    ("os.replace", "after", 9),
    ("torch.save", "half", 7),
    ("s3prl_sb.brains.training.TrainingBrain.fit_batch", "after", 9),
    ("speechbrain.Brain.evaluate_batch", "after", 2),
    ("s3prl_sb.brains.pretrained_card.save_card", "before", 2),
]


def toy(output, *options, **overrides):
    hparams = TOY / "hparams/tiny.yaml"
    words = command(TOY, output, *options, hparams=hparams, **overrides)
    place = words.index("--cache_folder")  # nothing is cached
    return words[:place] + words[place + 2 :]


def accumulated(output):
    """Two batches an update, checkpoints that are not in step with them, a worker."""
    overrides = {"grad_accumulation_factor": 2, "ckpt_interval_steps": 3}
    return toy(output, **overrides, train_dataloader_opts="{num_workers: 1}")


@pytest.fixture(scope="module")
def whole(launcher, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "output"
    assert launcher.run(accumulated(output)) == 0
    return output


def card_weights(output):
    """The weights beside the card, by the name that the card gives."""
    source = (output / "card.yaml").read_text().partition("source: ")[2].split()[0]
    return load_file(output / source)


def assert_same_card(output, expected):
    ours, theirs = card_weights(output), card_weights(expected)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (output / "card.yaml").read_text() == (expected / "card.yaml").read_text()


@pytest.mark.parametrize("point, how, call", POINTS)
def test_killed_and_resumed(point, how, call, whole, launcher, tmp_path):
    argv = accumulated(tmp_path / "output")
    assert launcher.run(argv, kill={"point": point, "how": how, "call": call}) == -9
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "output", whole)
    assert_same_card(tmp_path / "output", whole)


def test_killed_at_random_moments(whole, launcher, tmp_path):
    moments, argv = random.Random(3), accumulated(tmp_path / "output")
    for _ in range(4):
        if launcher.run(argv, kill_after=moments.uniform(0.1, 1.5)) == 0:
            break
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "output", whole)


def test_two_processes_train_as_one_with_dropout(launcher, tmp_path):
    """SGD, because Adam makes a gradient of rounding errors as large as any other."""
    sgd = {
        "opt_class": "!name:torch.optim.SGD {lr: 0.1}",
        "grad_accumulation_factor": 2,
    }
    one, two = tmp_path / "one", tmp_path / "two"
    assert launcher.run(toy(one, **sgd)) == 0
    assert launcher.run_distributed(toy(two, **sgd)) == 0
    ours, theirs = trained(two), trained(one)
    for name, value in theirs.items():
        if torch.is_tensor(value):
            torch.testing.assert_close(ours[name], value, atol=2e-5, rtol=1e-4)
    ours, theirs = results(two), results(one)
    assert ours["metrics"] == pytest.approx(theirs["metrics"], abs=2e-5)
    assert ours["hours_learned_from"] == theirs["hours_learned_from"]
    for here, there in zip(ours["history"], theirs["history"]):
        assert here["train"] == pytest.approx(there["train"], abs=2e-5)


def test_the_outcome(whole):
    found = results(whole)
    assert found["task"] == "pretraining/tiny" and found["unreadable"] == 1
    assert [point["step"] for point in found["history"]] == [4, 8, 12]
    best = min(found["history"], key=lambda point: point["valid"]["loss"])
    assert found["best_step"] == best["step"]
    assert found["metrics"] == pytest.approx(best["valid"])
    said = (whole / "log.txt").read_text()
    assert "Network: tiny (Apc)" in said and ", trained from scratch; " in said
    assert "bad.wav\tit is empty\n" in (whole / "save/unreadable.tsv").read_text()
    log = (whole / "train_log.txt").read_text().splitlines()
    assert len(log) == 3 and all("valid chance" in line for line in log)


def test_the_card_is_an_upstream(whole):
    from s3prl_sb.lobes.upstreams import load

    upstream = load(str(whole / "card.yaml"))
    states, _ = upstream(torch.randn(1, 8000), torch.ones(1))
    assert len(states) == upstream.num_layers
    saved = torch.load(
        next(
            path.parent
            for path in whole.glob("save/CKPT*/brain.ckpt")
            if f"optimizer_step: {results(whole)['best_step']}\n" in path.read_text()
        )
        / "objective.ckpt"
    )
    weights = upstream.network.state_dict()
    for name, weight in weights.items():
        assert torch.equal(saved[f"network.network.{name}"], weight)


def test_pictures_and_curves(launcher, tmp_path):
    argv = toy(tmp_path / "output", total_steps=4)
    assert launcher.run(argv, plots=True) == 0
    for name in ("reconstruction.png", "training.png"):
        assert (tmp_path / "output" / name).read_bytes()[:4] == b"\x89PNG"


def test_collapse_stops(launcher, tmp_path):
    alarmed = {"objective": "{alarm: True}"}
    said = launcher.failure(toy(tmp_path / "output", **alarmed))
    assert "collapsed: 3 validations in a row" in said and "stop_on_collapse" in said
    on = {**alarmed, "stop_on_collapse": False}
    assert launcher.run(toy(tmp_path / "output", **on)) == 0


def test_a_held_out_loss_that_is_not_finite_stops(launcher, tmp_path):
    infinite = {"objective": "{held_out: .inf}"}
    said = launcher.failure(toy(tmp_path / "output", **infinite))
    assert "collapsed: 3 validations in a row" in said and "finite loss" in said


def test_unreadable_audio_is_an_error_above_a_share(launcher, tmp_path):
    said = launcher.failure(toy(tmp_path / "output", unreadable_share=0.05))
    assert "'bad.wav': it is empty" in said and "unreadable_share (now 0.05)" in said


def test_patience_is_of_the_held_out_loss(launcher, tmp_path):
    still = {"lr": 1e-30, "patience": 1, "total_steps": 20}
    assert launcher.run(toy(tmp_path / "output", **still)) == 0
    assert results(tmp_path / "output")["stopped"] == {"step": 8, "patience": 1}


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"train_data": ""}, "--train_data"),
        ({"train_data": "null"}, "--train_data is missing"),
        ({"upstream_model": "{freeze: True}"}, "Apc is frozen"),
        ({"objective": "{shares: 1}"}, "shares"),
    ],
)
def test_refused_before_the_data_are_read(overrides, message, launcher, tmp_path):
    assert message in launcher.failure(toy(tmp_path / "output", **overrides))


def test_other_settings_do_not_continue_a_run(whole, launcher):
    before = (whole / "results.json").read_bytes()
    said = launcher.failure([*accumulated(whole), "--sequence_seconds", "3"])
    assert "sequence_seconds 15.0, not 3" in said
    assert (whole / "results.json").read_bytes() == before


def test_a_finished_run_changes_nothing(whole, launcher):
    files = {p: p.read_bytes() for p in whole.glob("*.*") if p.suffix != ".txt"}
    files = {p: text for p, text in files.items() if p.suffix not in (".log", ".lock")}
    assert launcher.run(accumulated(whole)) == 0
    assert {p: p.read_bytes() for p in files} == files


def test_debug(launcher, tmp_path):
    assert launcher.run(toy(tmp_path / "output", "--debug")) == 0
    assert json.loads((tmp_path / "output/debug/results.json").read_text())["valid"]
