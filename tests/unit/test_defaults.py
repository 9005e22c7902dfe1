"""Defaults of recipes: merged under a recipe's keys, and nowhere else."""

import pytest
from hyperpyyaml import load_hyperpyyaml

from s3prl_sb import resources
from s3prl_sb.commands import completion, recipe_help
from s3prl_sb.commands.run import locate
from s3prl_sb.processes import interruption
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


# ------------------------------------------------------------------------- variants
BASE = """
seed: 1  # of all
__defaults: [run]
model: !applyref:s3prl_sb.lobes.upstreams.title
    name: mel
output_folder: results/base
size: !ref small-<model>
"""
VARIANT = """
__defaults: [train, run]
size: !ref large-<model>  # one more
steps: 5
"""


@pytest.fixture
def variant(tmp_path):
    (tmp_path / "train.yaml").write_text(BASE)
    path = tmp_path / "larger.yaml"
    path.write_text(VARIANT)
    return path


def test_a_variant_says_only_what_differs(variant):
    schema = Schema.of(variant)
    assert list(schema)[:5] == ["seed", "model", "output_folder", "size", "steps"]
    assert schema.origins["seed"][0] == variant.with_name("train.yaml")
    assert "size" not in schema.origins and "__defaults" not in schema.tree
    hparams = load_recipe(variant)
    assert (
        hparams["size"] == "large-mel" and hparams["save_folder"] == "results/base/save"
    )
    assert load_recipe(variant.with_name("train.yaml"))["size"] == "small-mel"
    text = recipe_help.text(variant)
    assert "of all" in text and "one more" in text
    assert set(completion.keys(variant)) == set(schema)


def test_a_variant_that_was_moved_names_what_is_missing(variant, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = variant.rename(tmp_path / "elsewhere" / "larger.yaml")
    with pytest.raises(KeysError, match="larger.yaml', line 2: .*defaults 'train'"):
        load_recipe(moved)


def test_a_recipe_is_no_default_of_itself(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("__defaults: [run]\noutput_folder: a\n")
    assert Schema.of(path).origins["cache"][0].parent.name == "defaults"


def test_variants_of_installed_recipes():
    files = resources.recipe_files()
    assert files["TIMIT/phones"].name == "train.yaml"
    assert files["TIMIT/phones/one_hidden"].name == "one_hidden.yaml"
    assert "TIMIT/phones/one_hidden" not in resources.recipes()
    assert resources.task_of("TIMIT/phones/one_hidden") == "TIMIT/phones"
    file = files["TIMIT/phones/one_hidden"]
    assert resources.recipe_of("TIMIT/phones", file) == "TIMIT/phones/one_hidden"
    assert resources.recipe_of("TIMIT/phones", files["TIMIT/phones"]) == "TIMIT/phones"
    assert locate("timit/phones/ONE_HIDDEN") == ("TIMIT/phones/one_hidden", file)
    folder = file.parents[1]
    assert locate(str(folder))[1] == folder / "hparams" / "train.yaml"
    script = [str(folder / "train.py"), str(file), "--seed", "1"]
    named = ["s3prl-sb", "run", "TIMIT/phones/one_hidden", "--seed", "1"]
    assert interruption.command(script) == named
