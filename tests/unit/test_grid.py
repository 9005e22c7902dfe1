"""Grids of a recipe: what is trained, what is chosen, and when it is known."""

import json
import logging
from pathlib import Path

import pytest

from s3prl_sb import resources
from s3prl_sb.brains.grid import searched
from s3prl_sb.brains.learner import Diverged
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.files import write_json

FILE = str(resources.recipes()["HEAR/scene"] / "hparams/train.yaml")
GRID = "--grid=[{lr: [0.1, 0.01], num_layers: [1, 2]}]"


class Trainings:
    """Trains nothing, and notes the settings; ``score`` gives the metrics."""

    def __init__(self, score):
        self.score, self.settings = score, []

    def __call__(self, argv):
        given = dict(word[2:].split("=", 1) for word in argv if "=" in word)
        settings = {"lr": 0.001, "num_layers": 2, **given}
        settings.update(lr=float(settings["lr"]), layers=int(settings["num_layers"]))
        self.settings.append(settings)
        valid = self.score(settings)
        content = {
            "chosen_by": {"metric": "accuracy", "highest": True},
            "valid": dict(zip(("accuracy", "loss"), valid)),
            "best_step": 3,
        }
        write_json(Path(settings["output_folder"]) / "results.json", content)

    def points(self):
        """Returns the points trained, in their order."""
        return [(each["lr"], each["layers"]) for each in self.settings]


@pytest.fixture
def search(tmp_path):
    def search(*words, score=lambda s: (s["lr"], 0.0), grid=GRID, place="out"):
        train = Trainings(score)
        given = [f"--output_folder={tmp_path / place}", "--upstream=mel", grid]
        searched(train)([FILE, *given, *words])
        return train

    return search


def test_the_best_point_is_trained_in_the_place_of_the_run(search, tmp_path):
    train = search(score=lambda s: (0.5, s["lr"] * s["layers"]))  # the lower loss
    assert train.points() == [(0.1, 1), (0.1, 2), (0.01, 1), (0.01, 2), (0.01, 1)]
    folders = [Path(s["output_folder"]).relative_to(tmp_path) for s in train.settings]
    assert str(folders[0]) == "out/grid/lr_0.1-num_layers_1"
    assert str(folders[-1]) == "out" and not (tmp_path / "out/grid").exists()
    found = json.loads((tmp_path / "out/grid.json").read_text())
    assert found["best"] == {"lr": 0.01, "num_layers": 1}
    assert [row["valid"]["loss"] for row in found["points"]] == [0.1, 0.2, 0.01, 0.02]


def test_a_search_is_known_by_its_settings(search, tmp_path, caplog):
    search("--grid_points=2", "--seed=3")
    assert len(search("--grid_points=2", "--seed=3").points()) == 1
    again = search("--grid_points=2", "--seed=3", "--total_steps=3")
    assert len(again.points()) == 3
    (tmp_path / "out/grid.json").write_text("{")
    caplog.set_level(logging.WARNING)
    damaged = search("--grid_points=2", "--seed=3", "--total_steps=3")
    assert damaged.points() == again.points() and "searched again" in caplog.text


def test_keys_of_the_command_line_are_not_searched(search):
    assert search("--lr=0.001").points() == [(0.001, 1), (0.001, 2), (0.001, 1)]
    # A head without the argument; learning rates are searched by each point
    assert search("--head=linear").points() == [(0.1, 2), (0.01, 2), (0.1, 2)]
    assert search("--head=linear", "--lr_search=[1, 2]").points() == [(0.001, 2)]


@pytest.mark.parametrize("word", ["--plan=True", "--probe_layers=True", "--debug"])
def test_without_a_search(search, word):
    assert search(word).points() == search(grid="--grid=null").points() == [(0.001, 2)]


def test_one_point_is_trained_without_a_search(search, tmp_path):
    assert search(grid="--grid=[{lr: [0.5], num_layers: [1]}]").points() == [(0.5, 1)]
    drawn = search("--grid_points=1", "--seed=3").points()
    assert len(drawn) == 1 and drawn[0] in [(0.1, 1), (0.1, 2), (0.01, 1), (0.01, 2)]
    assert not (tmp_path / "out/grid.json").exists()


def test_the_first_fold_searches_for_all(search):
    def fold(number, *more):
        words = (f"--fold={number}", "--grid_points=2", *more)
        return search(*words, place=f"fold{number}").points()

    with pytest.raises(RecipeError, match="fold 1 chooses: run that first"):
        fold(2)
    assert len(fold(2, "--grid_each_fold=True")) == 3
    assert len(first := fold(1)) == 3
    assert fold(3) == first[2:]


def test_points_that_diverge_are_out(search, tmp_path):
    def score(settings):
        if settings["lr"] == 0.1:
            raise Diverged("it diverges")
        return 0.5, 0.1

    grid = "--grid=[{lr: [0.1, 0.01]}]"
    assert search(grid=grid, score=score).points()[-1] == (0.01, 2)
    found = json.loads((tmp_path / "out/grid.json").read_text())
    assert [row.get("diverged") for row in found["points"]] == [True, None]
    with pytest.raises(RecipeError, match="all points diverge"):
        search(grid="--grid=[{lr: [0.1], num_layers: [1, 2]}]", score=score)
