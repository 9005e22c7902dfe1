"""Runs with a training set that is cached in part: kills, and searches of rates."""

import json
import re

import pytest
from conftest import KS, assert_same_outcome, command
from outcomes import assert_searched_outcome


@pytest.fixture
def recipe(corpus, tiny_card):
    def recipe(output, **more):
        given = {
            "data_folder": corpus,
            "labels": "folders",
            "version": "v0.02",
            "upstream": tiny_card,
            "crop_seconds": 0.6,
            "total_steps": 6,
            "steps_per_epoch": 3,
            "batch_size": 8,
            "grad_accumulation_factor": 1,
            "train_dataloader_opts": "{num_workers: 0, balance: label}",
            "ckpt_interval_steps": 2,
        }
        return command(KS, output, **given, **more)

    return recipe


def test_killed_it_ends_the_same(recipe, launcher, tmp_path):
    assert launcher.run(recipe(tmp_path / "whole")) == 0
    said = launcher.log.read_text()
    assert re.search(r"the train set: pooled .* \d+ of \d+ utterances", said)
    argv = recipe(tmp_path / "killed")
    for call, how in ((2, "after"), (3, "before")):
        point = "s3prl_sb.brains.base.SSLBrain.fit_batch"
        assert launcher.run(argv, kill={"point": point, "call": call, "how": how}) == -9
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "killed", tmp_path / "whole")


def test_a_search_is_the_run(recipe, launcher, tmp_path):
    searched, alone = tmp_path / "searched", tmp_path / "alone"
    assert launcher.run(recipe(searched, lr_search="[0.01, 1.0e-9]")) == 0
    best = json.loads((searched / "lr_search.json").read_text())["best"]
    assert launcher.run(recipe(alone, lr=best)) == 0
    assert_searched_outcome(searched, alone)
