"""Variants of HEAR/scene whose head is fitted at once: killed, together, exported."""

import csv
import json

import pytest
from conftest import REPOSITORY, assert_same_outcome, command, results

from s3prl_sb.corpora.toys.esc50 import esc50
from s3prl_sb.corpora.toys.fsd50k import fsd50k
from s3prl_sb.inference import export, load

RECIPE = REPOSITORY / "recipes/HEAR/scene"
LOADERS = {
    f"{split}_dataloader_opts": "{num_workers: 0, batch_size: 8}"
    for split in ("train", "valid", "test")
}
SAVE = "s3prl_sb.brains.checkpointer.AtomicCheckpointer.save_checkpoint"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "esc"
    return esc50(folder, labels=3, clips=2, seconds=0.2)


@pytest.fixture
def variant(clips):
    def variant(name, output, *options, **overrides):
        settings = {**LOADERS, "upstream": "fbank_no_cmvn", "corpus": "esc50"}
        settings |= {"data_folder": clips, "fold": 1, **overrides}
        file = RECIPE / f"hparams/{name}.yaml"
        return command(RECIPE, output, *options, hparams=file, **settings)

    return variant


def assert_exported(run, clips, destination):
    """An export predicts what the run has predicted."""
    model = load(export(run, destination))
    with open(run / "predictions.csv") as file:
        for row in list(csv.DictReader(file))[:3]:
            label, score = model.classify_file(clips / f"audio/{row['id']}.wav")
            assert label == row["prediction"]
            assert score == pytest.approx(float(row["score"]), abs=1e-4)


def test_neighbors_in_two_processes(variant, launcher, clips, tmp_path):
    whole, two = tmp_path / "whole", tmp_path / "two"
    assert launcher.run(variant("knn", whole)) == 0
    assert launcher.run_distributed(variant("knn", two)) == 0
    found, expected = (results(each / "fold1") for each in (two, whole))
    assert found["metrics"] == pytest.approx(expected["metrics"], abs=1e-5)
    assert_exported(whole / "fold1", clips, tmp_path / "export")


def test_few_shots_are_killed(variant, launcher, clips, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert launcher.run(variant("few_shot", whole)) == 0
    kill = {"point": SAVE, "call": 1, "how": "after"}
    assert launcher.run(variant("few_shot", broken), kill=kill) == -9
    assert launcher.run(variant("few_shot", broken)) == 0
    assert_same_outcome(broken / "fold1", whole / "fold1")
    metrics = results(whole / "fold1")["metrics"]
    assert 0 <= metrics["accuracy_deviation"] < 0.5
    assert 0 <= metrics["ensemble_accuracy"] <= 1
    assert_exported(whole / "fold1", clips, tmp_path / "export")


def test_any_number_of_labels_and_what_cannot_be_fitted(variant, launcher, tmp_path):
    argv = variant("knn", tmp_path / "a", total_steps=2)
    assert "fitted in one step" in launcher.failure(argv)
    argv = variant("knn", tmp_path / "b", lr_search="[0.1, 0.01]")
    assert "leave them out" in launcher.failure(argv)
    several = fsd50k(tmp_path / "c", train=24, valid=9, test=9, labels=3)
    for name in ("few_shot", "knn"):
        options = {"corpus": "fsd50k", "data_folder": several}
        argv = variant(name, tmp_path / name, **options)
        argv = [part for part in argv if part not in ("--fold", "1")]
        assert launcher.run(argv) == 0
        metrics = results(tmp_path / name)["metrics"]
        assert metrics["mean_average_precision"] > 0.5


def test_the_linear_probe_learns(variant, launcher, tmp_path):
    argv = variant("xares", tmp_path / "out", total_steps=40, lr=0.03)
    assert launcher.run(argv) == 0
    found = json.loads((tmp_path / "out/fold1/results.json").read_text())
    assert found["metrics"]["accuracy"] > 0.6 and found["seed"] == 42
