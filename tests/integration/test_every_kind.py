"""Behaviour that recipes with the same Brain and labels share, in one of each kind."""

import json
import math
import re

import pytest
import yaml
from outcomes import (
    assert_close_outcome,
    assert_same_outcome,
    assert_searched_outcome,
    results,
)
from recipe_runs import (
    arguments,
    hparams_file,
    kinds,
    labels,
    one_of_each_labels,
    one_of_each_training,
)
from tasks import small

from s3prl_sb.inference import export, load
from s3prl_sb.schema.keys import Schema
from s3prl_sb.schema.named_heads import named_heads


@one_of_each_training("batch_seconds")
def test_half_precision(name, on_tables, launcher, tmp_path):
    """Losses and metrics stay finite where products are in bfloat16."""
    given = {**on_tables(name)[1], "batch_seconds": 2}
    halves = ("--precision=bf16", "--eval_precision=bf16")
    if "balance:" in hparams_file(name).read_text():  # which is of batch_size
        del given["batch_seconds"]
    assert launcher.run(arguments(name, tmp_path / "out", *halves, **given)) == 0
    found = results(tmp_path / "out")
    for stats in (found["metrics"], found["valid"]):
        assert all(math.isfinite(value) for value in stats.values()), stats


@one_of_each_labels("noise")
def test_learning_rates_are_searched(name, finished, on_tables, launcher, tmp_path):
    """The best one is the run, as an ordinary one at its rate."""
    folder, given = on_tables(name)
    alone, searched = finished(name), tmp_path / "searched"
    rates = [results(alone)["lr"], 1e-9]
    options = {**given, "lr_search": json.dumps(rates)}
    assert launcher.run(arguments(name, searched, **options)) == 0
    found = json.loads((searched / "lr_search.json").read_text())
    assert found["best"] == results(searched)["lr"]
    assert found["best"] in rates
    if found["best"] != rates[0]:
        alone = tmp_path / "alone"
        assert launcher.run(arguments(name, alone, **given, lr=found["best"])) == 0
    assert_searched_outcome(searched, alone)
    small(name).check(searched, load(export(searched, tmp_path / "export")), folder)


# ------------------------------------------------- one thing changed for all tasks
#: Noise, of which an utterance has two forms that are cached.
VARIED = {"noise": "{snr: [0, 15], draws: 2}", "test_noise": "{snr: 10}"}
#: Heads without dropout; and without the bias of an attention, whose gradient is of
#: rounding errors alone, which Adam magnifies.
HEADS = {
    "spectra": "{name: simple, hidden_size: 8, recurrent_dropout: 0}",
    "values": "mlp",
}
CACHED = {"cache": "auto", "cache_dtype": "float32"}
CROPPED = {"crop_seconds": 0.3, "crops": 2}
#: All keys of the optimization together.
FINETUNED = {
    "freeze": False,
    "lr_upstream": 0.001,
    "scheduler": "cosine",
    "warmup_steps": 0.5,
    "weight_decay_on": "matrices",
    "layer_decay": 0.5,
    "unfreeze_after": 1,
    "patience": 1,
}


def variation(name):
    """Returns the keys that vary a recipe, whose head draws no random numbers."""
    varied = dict(VARIED)
    if labels(name) in HEADS:
        varied["head"] = HEADS[labels(name)]
    elif small(name).DROPOUT:  # of which two processes draw other numbers
        head = yaml.safe_load(small(name).BUDGET["head"])
        varied["head"] = json.dumps({**head, "dropout": 0.0})
    if "spec_augment" in Schema.of(hparams_file(name)):
        varied["spec_augment"] = "null"  # two processes draw other masks
    return varied if labels(name) in ("tokens", "texts") else {**varied, **CROPPED}


@pytest.fixture(scope="module")
def varied(on_tables, launcher):
    """``varied(name)``: a whole run of :data:`VARIED`, and its options."""
    done = {}

    def varied(name):
        if name not in done:
            folder, given = on_tables(name)
            given = {**given, **variation(name), **CACHED}
            given["cache_folder"] = folder / "varied-cache"
            done[name] = folder / "varied", given
            assert launcher.run(arguments(name, done[name][0], **given)) == 0
        return done[name]

    return varied


@one_of_each_training("noise")
def test_varied_in_two_processes_without_a_cache(name, varied, launcher, tmp_path):
    """Cached draws are those that training makes itself, in any number of processes.

    What two processes learn from a cache is in test_distributed.py.
    """
    expected, given = varied(name)
    argv = arguments(name, tmp_path / "out", **{**given, "cache": "off"})
    assert launcher.run_distributed(argv) == 0
    assert_close_outcome(tmp_path / "out", expected)
    # Samples of 16 bits may be rounded to the other side.
    near = {"rel": 1e-3 if labels(name) == "spectra" else 1e-4, "abs": 1e-5}
    for part in ("valid", "metrics"):
        numbers = results(expected)[part]
        assert results(tmp_path / "out")[part] == pytest.approx(numbers, **near)


#: By what is cached: means over time, frames, frames of crops.
OF_EACH_CACHE = [
    next(name for name in kinds("noise") if labels(name) == label)
    for label in ("classes", "tokens", "waveforms")
]


@pytest.mark.parametrize("name", OF_EACH_CACHE)
def test_varied_killed_and_resumed(name, varied, launcher, tmp_path):
    expected, given = varied(name)
    log = (expected / "log.txt").read_text()
    assert re.search(r"Cache of the train set: (pooled|frames)", log), log
    argv = arguments(name, tmp_path / "out", **given)
    kill = {"point": "s3prl_sb.brains.base.SSLBrain.fit_batch", "how": "after"}
    assert launcher.run(argv, kill={**kill, "call": 3}) == -9
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "out", expected)


@one_of_each_labels("noise")
def test_varied_and_fine_tuned_by_a_schedule(name, on_tables, launcher, tmp_path):
    """Killed and resumed, to the last bit; with another head where it has a name."""
    given = {**on_tables(name)[1], **variation(name), **FINETUNED}
    if labels(name) != "spectra" and named_heads(labels(name)):
        given["head"] = "mlp"
    whole = tmp_path / "whole"
    assert launcher.run(arguments(name, whole, **given)) == 0
    argv = arguments(name, tmp_path / "out", **given)
    kill = {"point": "s3prl_sb.brains.base.SSLBrain.fit_batch", "how": "after"}
    assert launcher.run(argv, kill={**kill, "call": 3}) == -9
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "out", whole)
    assert results(whole)["upstream_model"]["trained"] == "fine-tuned"
