"""The schema of a recipe's keys: what follows from a declaration."""

import dataclasses

import pytest

from s3prl_sb import resources
from s3prl_sb.commands import recipe_help
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.schema import kinds
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.schema.declarations import Declaration, declared
from s3prl_sb.schema.keys import KeysError, Schema, shared
from s3prl_sb.startup.configuration import RECIPE, SCHEMA, Configuration, load_recipe
from s3prl_sb.storage.files import FileError

OWN = """
__keys:
    smoothing: {is: number, from: 0, to: 1}
    widths: {is: list of count}
    words: {is: text or list of text, choices: [all, few], resume: free}
    noise_folder: {is: folder, optional: True, resume: free, protocol: False}
    head: {is: mapping}
    loader:
        is: mapping
        inside: {workers: {is: whole, from: 0, resume: free, protocol: False}}
smoothing: 0.5
widths: [1, 3]
words: all
noise_folder: null
head: {size: 3}
loader: {workers: 2, batch: 4}
lr: 0.1
mine: 3
my_flag: True
my_text: abc
seed: 1
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.yaml").write_text(OWN)
    return tmp_path / "own.yaml"


@pytest.fixture
def schema(own):
    return Schema.of(own)


# ------------------------------------------------------------------------ the values
@pytest.mark.parametrize(
    "key, given, value",
    [
        ("smoothing", "1e-4", 1e-4),
        ("smoothing", 1, 1),
        ("widths", [1.0, "3"], [1, 3]),
        ("words", ["a", 3], ["a", "3"]),
        ("words", "few", "few"),
        ("noise_folder", None, None),
        ("noise_folder", 2024, "2024"),
        ("lr", "1e-3", 1e-3),
        ("seed", 1e3, 1000),
        ("my_flag", "off", False),
        ("my_flag", "Yes", True),
        ("mine", "4", 4),
        ("my_text", "off", "off"),
        ("my_text", [1], [1]),
    ],
)
def test_values_are_what_is_meant(key, given, value, schema):
    found = schema.check(key, given)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "key, given, message",
    [
        ("smoothing", 2, "smoothing is a number from 0 to 1, such as 0.5, not 2."),
        ("smoothing", "a", "not 'a'."),
        ("smoothing", True, "not True."),
        ("smoothing", float("nan"), "not nan."),
        ("smoothing", None, "not null."),
        ("widths", [0], "widths is a list of whole numbers from 1 on, such as [1, 3]"),
        ("widths", [], "not []."),
        ("widths", 3, "not 3."),
        ("words", "some", "words is all, few or a list of texts, not 'some'."),
        ("noise_folder", True, "noise_folder is a folder or null, not True."),
        ("lr", "0,1", "lr is a number above 0, such as 0.1, not '0,1'."),
        ("my_flag", "maybe", "my_flag is True or False or null, not 'maybe'."),
        ("mine", "many", "mine is a number or null, such as 3, not 'many'."),
    ],
)
def test_wrong_values_say_what_is_wanted(key, given, message, schema):
    with pytest.raises(KeysError) as error:
        schema.check(key, given, "--")
    assert str(error.value).startswith("--") and message in str(error.value)


def test_values_inside_of_mappings(schema):
    assert schema.check("loader", {"workers": "0"}) == {"workers": 0}
    with pytest.raises(KeysError, match="loader.workers is a whole .* 2, not -1"):
        schema.check("loader", {"workers": -1})


@pytest.mark.parametrize("text", ["no", "off", "No", "FALSE", "false"])
def test_flags_as_yaml_1_1_has_them(text, tmp_path):
    """Flags of the recipe, of its constructors, of cards, and in Python."""
    file = resources.recipes()["SUPERB/KS"] / "hparams/train.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        file.read_text("utf-8")
        .replace("freeze: True", f"freeze: {text}")
        .replace("normalize: False", f"normalize: {text}")
    )
    for recipe, overrides in [
        (mine, "upstream: fbank"),
        (
            file,
            f"{{upstream: fbank, freeze: {text}, featurizer: {{normalize: {text}}}}}",
        ),
        (file, f"{{upstream: fbank, upstream_model: {{freeze: {text}}}}}"),
    ]:
        hparams = load_recipe(recipe, overrides)
        assert hparams["upstream_model"].freeze is False
        assert hparams["featurizer"].normalize is False
    (tmp_path / "card.yaml").write_text(
        "mine: !new:s3prl_sb.lobes.upstreams.features.KaldiFeatures\n"
        f"    feature: fbank\n    cmvn: {text}\n    freeze: {text}\n"
    )
    card = load(tmp_path / "card.yaml")
    assert card.freeze is False and card.arguments["cmvn"] is False
    assert Featurizer(1, normalize=text).normalize is False
    with pytest.raises(ValueError, match="normalize is True or False, not 'maybe'"):
        Featurizer(1, normalize="maybe")


def test_what_a_run_keeps_says_what_was_meant():
    file = resources.recipes()["SUPERB/KS"] / "hparams/train.yaml"
    found = Configuration(file, "{upstream: mel, freeze: no, lr: '1e-3', seed: 1e1}")
    made = found.make()
    assert made["lr"] == 1e-3 and made["seed"] == 10 and made["freeze"] is False
    assert made[RECIPE]["lr"] == 1e-3 and made[RECIPE]["freeze"] is False
    assert "\nfreeze: false" in found.text() and "\nseed: 10\n" in found.text()
    assert "/mel/10" in made["output_folder"]


# ------------------------------------------------------------------- what follows
def test_what_is_kept_on_resume(schema):
    values = {
        "smoothing": 0.5,
        "words": "all",
        "noise_folder": "/a",
        "loader": {"workers": 2, "batch": 4},
        "total_steps": 3,
        "mine": 3,
    }
    assert schema.kept(values) == {
        "smoothing": 0.5,
        "loader": {"batch": 4},
        "mine": 3,  # nobody has declared it
    }
    assert not schema["mine"].declared and schema["mine"].is_kept


def test_what_is_only_tested_on_is_free():
    schema = Schema.of_recipe("SUPERB/ASR")
    assert schema["lm"].test and not schema["lm"].is_kept


def test_what_differs_from_the_recipe(own, schema):
    values = load_recipe(own, "{lr: 0.1, loader: {workers: 0}, words: few}")[RECIPE]
    assert schema.changed(values) == {"loader": {"workers": 0}, "words": "few"}
    assert schema.protocol(values) == {"words": "few"}
    values = load_recipe(own, "{noise_folder: /a, my_text: b, lr: '1e-1'}")[RECIPE]
    assert schema.changed(values) == {"noise_folder": "/a", "my_text": "b"}
    assert schema.protocol(values) == {"my_text": "b"}


@pytest.mark.parametrize(
    "overrides, protocol",
    [
        ("", {}),
        ("seed: 3\ncache: off\nlr: 0.01\nvalid_dataloader_opts: {batch_size: 1}", {}),
        ("upstream_model: {deltas: 0}", {}),  # another model
        ("lr: 0.003", {"lr": 0.003}),
        ("total_steps: 5000", {"total_steps": 5000}),
        ("freeze: False", {"freeze": False}),
        (
            "freeze: False\nupstream_model: {adapter: {kind: lora}}",
            {"freeze": False, "upstream_model": {"adapter": {"kind": "lora"}}},
        ),
        (
            "upstream_model: {precision: bf16}",
            {"upstream_model": {"precision": "bf16"}},
        ),
        ("head: {hidden_size: 8}", {"head": {"hidden_size": 8}}),
        ("train_csv: a.csv", {"train_csv": "a.csv"}),
    ],
)
def test_where_a_run_departs_from_the_protocol(overrides, protocol):
    schema = Schema.of_recipe("SUPERB/KS")
    name = "hubert_small_random" if "adapter" in overrides else "fbank"
    values = load_recipe(schema.file, f"upstream: {name}\n{overrides}")[RECIPE]
    assert schema.protocol(values) == protocol
    assert schema.changed(values).keys() >= protocol.keys() | {"upstream"}


def test_a_copy_of_ones_own_is_compared_with_the_recipe(tmp_path):
    schema = Schema.of_recipe("SUPERB/KS")
    text = schema.file.read_text("utf-8").replace("200000", "1000000")
    (tmp_path / "mine.yaml").write_text(text)
    values = load_recipe(tmp_path / "mine.yaml", "upstream: mel")[RECIPE]
    assert schema.protocol(values) == {"total_steps": 1000000}


def test_paths(own, schema, monkeypatch):
    from s3prl_sb.startup.arguments import parse

    assert schema.is_path("noise_folder") and not schema.is_path("my_text")
    monkeypatch.setenv("HOME", "/home/me")
    _, _, overrides = parse([str(own), "--noise_folder=~/x", "--my_text=~/x"])
    found = load_recipe(own, overrides)
    assert found["noise_folder"] == "/home/me/x" and found["my_text"] == "~/x"


def test_the_schema_goes_along(own):
    assert load_recipe(own)[SCHEMA]["smoothing"].high == 1


# ----------------------------------------------------------------- the declarations
@pytest.mark.parametrize(
    "words, message",
    [
        ({"is": "nmber"}, "'nmber' is no kind. There are: flag, count"),
        ({"iz": "number"}, "there is no 'iz', but above, by, choices"),
        ({"optional": True}, "neither what it `is` nor its `choices`"),
        ({"is": "text", "resume": "maybe"}, "resume is kept or free, not 'maybe'"),
        (3, "it is a mapping, such as {is: number, from: 0}"),
    ],
)
def test_a_declaration_that_says_nothing(words, message):
    with pytest.raises(KeysError) as error:
        declared({"mine": words}, "a.yaml", {})
    assert message in str(error.value) and "'mine'" in str(error.value)


def test_a_recipe_adds_to_what_is_shared():
    asr, sd = Schema.of_recipe("SUPERB/ASR"), Schema.of_recipe("SUPERB/SD")
    assert asr["cache"].choices == shared()["cache"].choices
    assert sd["cache"].choices == ("auto", "off", "frames")
    assert sd["cache"].resume == shared()["cache"].resume == "free"
    assert sd["lr"].protocol is True and sd["lr"].above == 0


def test_kinds_have_words():
    for kind in kinds.WORDS:
        declaration = Declaration("a", kind=kind)
        assert declaration.words()
        assert dataclasses.replace(declaration, optional=True).words().endswith("null")


@pytest.mark.parametrize(
    "values, message",
    [
        (
            {"total_steps": 7, "steps_per_epoch": 2},
            "7 is no multiple .* such as 7 and 1",
        ),
        ({"batch_size": None}, "without batch_seconds"),
        ({"freeze": False, "cache": "pooled"}, "cache: pooled is impossible"),
        ({"freeze": False, "lr_search": [0.1]}, "choose lr yourself"),
        ({"lr_search": [0.1, 0.1]}, "different learning rates"),
        ({"freeze": False, "probe_layers": True}, "one frozen upstream between"),
        ({"weights_of": "run"}, "give probe_layers: True"),
    ],
)
def test_keys_that_do_not_fit_to_each_other(values, message):
    with pytest.raises(KeysError, match=message):
        check_together(values)


# --------------------------------------------------------------------------- the help
def test_help_of_ones_own(own):
    text = recipe_help.text(own)
    assert "  --smoothing 0.5\n      [a number from 0 to 1]" in text
    assert "  --my_text abc\n" in text and "__keys" not in text
    with pytest.raises(FileError):
        recipe_help.text(own.parent / "none.yaml")
