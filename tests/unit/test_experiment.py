"""Loading a recipe: mistyped keys are errors, at any depth."""

import pytest

from s3prl_sb.experiment import RecipeError, load_recipe

YAML = """
lr: 0.1
batch_size: 4
upstream: fbank_no_cmvn
loader:
    num_workers: 2
    nested: {deep: 1}
upstream_model: !applyref:s3prl_sb.lobes.upstreams.card
    name: !ref <upstream>
featurizer: !new:s3prl_sb.lobes.featurizer.Featurizer
    num_layers: !ref <upstream_model.num_layers>
opt_class: !name:torch.optim.Adam
    lr: !ref <lr>
"""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "train.yaml").write_text(YAML)
    return tmp_path / "train.yaml"


def test_loads(recipe):
    hparams = load_recipe(recipe)
    assert hparams["lr"] == 0.1 and hparams["upstream_model"].output_size == 240
    assert hparams["opt_class"].keywords == {"lr": 0.1}


@pytest.mark.parametrize(
    "overrides, key, value",
    [
        ("lr: 0.5", ("lr",), 0.5),
        ("lr: 1\nbatch_size: 8", ("batch_size",), 8),
        ("loader: {num_workers: 0}", ("loader", "num_workers"), 0),
        ("loader: {nested: {deep: 2}}", ("loader", "nested", "deep"), 2),
        ("upstream: null", None, None),
    ],
)
def test_overrides(overrides, key, value, recipe):
    if key is None:
        with pytest.raises(ValueError, match="None"):
            load_recipe(recipe, overrides)
        return
    found = load_recipe(recipe, overrides)
    for part in key:
        found = found[part]
    assert found == value


def test_overrides_reach_constructors(recipe):
    hparams = load_recipe(recipe, "upstream_model: {deltas: 0}\nlr: 3")
    assert hparams["upstream_model"].output_size == 80
    assert hparams["opt_class"].keywords == {"lr": 3}
    assert load_recipe(recipe, "featurizer: {layers: last}")["featurizer"].layers == [0]


@pytest.mark.parametrize(
    "overrides, message",
    [
        ("batchsize: 8", "no key 'batchsize'. Did you mean batch_size?"),
        (
            "loader: {num_worker: 0}",
            "no key 'loader.num_worker'. Did you mean loader.num_workers",
        ),
        (
            "loader: {nested: {dep: 0}}",
            "no key 'loader.nested.dep'. Did you mean loader.nested.deep",
        ),
        ("xyzzy: 1", "no key 'xyzzy'. There are: lr, batch_size"),
        ("3: 1", "no key '3'"),
        ("lr: {a: 1}", "'lr' is .* without arguments"),
        ("lr: 1\nlr: 2", "--lr is given twice"),
    ],
)
def test_unknown_keys(overrides, message, recipe):
    with pytest.raises(RecipeError, match=message.replace("?", r"\?")):
        load_recipe(recipe, overrides)


def test_constructors_check_their_arguments(recipe):
    with pytest.raises((TypeError, ValueError), match="layer"):
        load_recipe(recipe, "featurizer: {layer: last}")
    with pytest.raises(ValueError, match="Unknown option"):
        load_recipe(recipe, "upstream_model: {n_mels: 3}")


def test_absent(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.yaml"):
        load_recipe(tmp_path / "absent.yaml")
