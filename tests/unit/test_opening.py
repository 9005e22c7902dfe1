"""The first lines of a run."""

import types

import pytest
import torch

from s3prl_sb.brains import opening
from s3prl_sb.brains.course import course_of
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.scoring import measuring


@pytest.fixture(autouse=True)
def nothing_was_said(monkeypatch):
    monkeypatch.setattr(opening, "_described", set())


def brain(upstream, **hparams):
    defaults = {
        "output_folder": "results/x",
        "upstream_name": "mine",
        "total_steps": 200000,
        "steps_per_epoch": 5000,
        "batch_size": 32,
        "lr": 0.0001,
    }
    return types.SimpleNamespace(
        task="SUPERB/X",
        metric="wer",
        higher_is_better=False,
        device="cpu",
        upstream=upstream,
        modules={"featurizer": Featurizer(5), "head": torch.nn.Linear(192, 100)},
        hparams=types.SimpleNamespace(**{**defaults, **hparams}),
    )


def splits():
    records = {str(i): {"wav": "a", "duration": 1800.0} for i in range(4)}
    return {"train": ManifestDataset(records, [], ["id"])}


def test_what_is_trained_with_what_on_what(caplog):
    caplog.set_level("INFO")
    for _ in range(2):
        opening.say(brain(load("hubert_small_random", freeze=True)), splits())
    assert [record.getMessage() for record in caplog.records] == [
        "SUPERB/X in results/x",
        "Upstream: mine (Hubert), 2.36 M parameters, frozen; 5 hidden states of 192, "
        "every 20 ms",
        "Trained: featurizer (Featurizer, 5 parameters), "
        "head (Linear, 19.3 k parameters)",
        "Data: train 4 utterances, 2.0 h",
        "Training: 200,000 updates of 32 utterances, lr 0.0001, a validation every "
        "5,000, the lowest wer is kept; on cpu",
    ]


def test_fine_tuned_by_seconds_of_audio():
    upstream = load("hubert_small_random", freeze=False)
    assert ", fine-tuned; " in opening.upstream(brain(upstream))
    words = opening.training(brain(upstream, batch_seconds=64.0, lr=[0.1, 0.2]))
    assert words.startswith("200,000 updates of 64 s of audio, a validation every")


@pytest.mark.parametrize("batches, epochs, accumulation", [(2, 2, 1), (3, 1, 4)])
def test_a_debug_run_says_what_it_does(batches, epochs, accumulation):
    """It makes as many updates as batches, however many are accumulated."""
    known = brain(load("mel"), batch_size=4)
    vars(known).update(debug=True, debug_batches=batches, debug_epochs=epochs)
    known.grad_accumulation_factor = accumulation
    words = opening.training(known)
    assert words.startswith(f"{batches * epochs} updates of 4 utterances,")
    assert f"a validation every {batches}," in words
    known.hparams.total_steps = known.hparams.steps_per_epoch = 1
    assert opening.training(known).startswith("1 updates of 4 utterances,")


def test_where_nothing_is_trained(caplog):
    caplog.set_level("INFO")
    opening.say(brain(load("mel"), total_steps=0), splits())
    words = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert words == ["SUPERB/X in results/x", "Upstream", "Data"]


def test_what_is_only_measured_says_nothing_of_a_training(caplog):
    caplog.set_level("INFO")
    finished = brain(load("mel"))
    finished.trains = measuring.Measured.trains
    opening.say(finished, splits())
    words = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert words == ["SUPERB/X in results/x", "Upstream", "Data"]


def test_a_brain_of_few_keys(caplog):
    """Built in Python, without a recipe: what is missing is not said."""
    caplog.set_level("INFO")
    upstream = load("mel")
    found = types.SimpleNamespace(
        task=None,
        title="Mine",
        upstream=upstream,
        modules={"head": torch.nn.Linear(80, 2)},
        optimizer_step=0,
        hparams=types.SimpleNamespace(steps_per_epoch=2),
    )
    opening.say(found, splits())
    assert "SimpleNamespace" in caplog.text and "Mel" not in caplog.messages[0]
    found.hparams.total_steps = 4
    assert (course_of(found).total, course_of(found).recorders) == (4, [])
