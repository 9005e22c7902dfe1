"""Recipes are read as HyperPyYAML reads them, in a fraction of its time."""

import warnings

import pytest
import ruamel.yaml

from s3prl_sb.hyperyaml import programs
from s3prl_sb.schema.constructors import MakingError
from s3prl_sb.startup.configuration import (
    RECIPE,
    SCHEMA,
    Configuration,
    RecipeError,
    load_recipe,
)
from s3prl_sb.storage import yaml_texts

TEXTS = {
    "colons in brackets": "a: [x:y, http://b.org/c]\nd: {e: f:g}",
    "halves of a surrogate pair": 'a: "\\ud83d\\ude00"',
    "numbers": "a: 1e5\nb: [1e-4, .5, 0o10, 010, 1_000, 1:30, yes, !ref <a>]",
    "texts with references": "a: 1\nb: !ref (<a>, 2)\nc: [!ref x(<a>), !ref <b>]",
    "tuples": "a: (1, 2)\nb: '(1, 2)'\nc: [!ref <a>, !ref <b>, !copy <a>]",
    "an included file": "a: !include:inner.yaml\nb: !ref <a>",
    "results of calls": 'a: !applyref:json.loads [\'["(1, 2)", ["yes"]]\']',
    "aliases": "a: &x {b: (1, 2)}\nc: *x\nd:\n  <<: *x\n  e: !ref <a[b]>",
    "calls without arguments": "a: !apply:os.getcwd []\nb: [!apply:os.getcwd []]",
    "comments": "a: 1  # b\nc:\n  # d\n  - 1\n  # e\n  - !ref <a>\n# f",
}


@pytest.fixture
def recipe(tmp_path):
    """Makes a file of a text; another one to include is beside it."""
    (tmp_path / "inner.yaml").write_text("plain: (1, 2)\nquoted: '(1, 2)'")

    def recipe(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return recipe


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_values_are_those_of_hyperpyyaml(text, recipe):
    with open(recipe(text)) as file:
        expected = programs.load(file)
    for _ in range(2):  # nothing that is kept in memory changes
        configuration = Configuration(recipe(text))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = configuration.make()
        assert {k: v for k, v in made.items() if k not in (RECIPE, SCHEMA)} == expected
        for _ in range(2):  # it can be read again, and written again
            assert programs.load(configuration.text()) == expected


def test_what_contains_itself(recipe):
    with pytest.raises(RecipeError, match="line 2: b is nested too deeply"):
        load_recipe(recipe("a: 1\nb: {c: !ref <b>}"))


def test_objects_of_calls_that_are_no_yaml(recipe):
    with pytest.raises(MakingError, match="line 2: b: .*Give !apply: instead"):
        load_recipe(recipe("a: 1\nb: {c: !applyref:pathlib.Path.cwd }"))


@pytest.mark.parametrize(
    "text", ["[" * 300, "- " * 300, "%YAML 1.1\n---\n[yes]", "[a,\tb]", "['(1)']"]
)
def test_what_the_parser_in_c_does_not_read(text, monkeypatch):
    """It would crash in a thread, or read another thing."""

    def own_yaml_of(text):
        raise AssertionError(text)

    assert yaml_texts.yaml_of("[yes]", "safe") == ["yes"]
    monkeypatch.setattr(yaml_texts, "own_yaml_of", own_yaml_of)
    try:
        yaml_texts.yaml_of(text, "safe")
    except (RecursionError, ruamel.yaml.YAMLError):
        pass
    with pytest.raises(AssertionError):
        yaml_texts.yaml_of("[yes]", "safe")
