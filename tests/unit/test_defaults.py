"""Defaults of recipes: merged under a recipe's keys, and nowhere else."""

import pytest
from hyperpyyaml import load_hyperpyyaml

from s3prl_sb import resources
from s3prl_sb.commands import recipe_help
from s3prl_sb.schema.defaults import default_files
from s3prl_sb.schema.keys import KeysError, Schema
from s3prl_sb.startup.configuration import Configuration, RecipeError, load_recipe

RECIPES = resources.recipes()
MINE = """
output_folder: results/mine
__defaults: [run]
cache_budget: 7  # GB of mine
"""


@pytest.fixture
def mine(tmp_path):
    """Returns a recipe outside the checkout."""
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def test_defaults_follow_the_keys_of_the_recipe(mine):
    schema = Schema.of(mine)
    assert list(schema)[:4] == ["output_folder", "cache_budget", "skip_prep"] + [
        "save_folder"
    ]
    hparams = load_recipe(mine, "cache: 'off'")
    assert hparams["save_folder"] == "results/mine/save"
    assert hparams["cache"] == "off" and hparams["cache_budget"] == 7
    assert "__defaults" not in schema.tree


def test_a_copy_of_a_run_needs_no_defaults(mine, tmp_path, monkeypatch):
    text = Configuration(mine, "cache_dtype: float32").text()
    (tmp_path / "hyperparams.yaml").write_text(text)
    monkeypatch.setattr(resources, "folder", lambda name: tmp_path / "nowhere")
    loaded = load_hyperpyyaml(text)
    assert loaded["cache_dtype"] == "float32" and loaded["cache_folder"]


def test_errors_name_the_file_of_defaults(mine):
    path = resources.folder("recipes") / "defaults" / "run.yaml"
    mine.write_text(MINE.replace("output_folder: results/mine", "seed: 1"))
    lines = path.read_text("utf-8").splitlines()
    line = 1 + next(i for i, text in enumerate(lines) if text.startswith("save_folder"))
    with pytest.raises(RecipeError, match=rf"run.yaml', line {line}: save_folder: <ou"):
        load_recipe(mine)


@pytest.mark.parametrize("names", ["[runn]", "runn", "[run, ../keys]", "{run: 1}", "3"])
def test_defaults_that_are_not_there(names, mine):
    mine.write_text(MINE.replace("[run]", names))
    with pytest.raises(KeysError, match=r"mine.yaml', line 3: there are no defaults"):
        load_recipe(mine)


def test_the_help_has_the_comments_of_both(mine):
    text = recipe_help.text(mine)
    assert "GB of mine" in text and "GB that auto" not in text
    assert "shared by all runs" in text


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_refers_to_its_own_keys_alone(name):
    """HyperPyYAML loads it by itself: it lacks the defaults, and nothing else."""
    file = RECIPES[name] / "hparams" / "train.yaml"
    with open(file, encoding="utf-8") as stream:
        loaded = load_hyperpyyaml(stream, {"upstream": "mel"})
    schema = Schema.of(file)
    assert set(schema) - set(schema.origins) <= set(loaded)


def test_the_order_of_the_names_does_not_matter():
    """References to a later file would have been a circle."""
    assert default_files(["training", "run"]) == default_files(["run", "training"])
