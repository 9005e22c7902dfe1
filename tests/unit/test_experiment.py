"""Loading a recipe: mistyped keys are errors, at any depth."""

import sys

import pytest

from s3prl_sb.schema.keys import KeysError
from s3prl_sb.startup.arguments import ArgumentError, parse
from s3prl_sb.startup.configuration import RECIPE, RecipeError, load_recipe
from s3prl_sb.startup.experiment import start
from s3prl_sb.storage.files import FileError

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
bare: !name:torch.nn.ReLU
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
        with pytest.raises(KeysError, match="upstream is a text, .* not null"):
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
        ("bare: {a: 1}", "'bare' is !name:torch.nn.ReLU.* without arguments"),
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


def test_texts_in_brackets_stay_texts(recipe, tmp_path):
    """Also those with signs that YAML 1.1 takes for marks there."""
    text = "{a: https://a.org/b.pt, b:c: [s3://d/e, 1:20, d?e, 2020-01-01 10:00:00]}"
    recipe.write_text(f"{YAML}sources: {text}\n")
    sources = load_recipe(recipe)["sources"]
    assert sources["a"] == "https://a.org/b.pt"
    assert sources["b:c"][:3] == ["s3://d/e", "1:20", "d?e"]
    found = load_recipe(recipe, "sources: {a: 'hf://f/g@v1/h.pt'}")["sources"]
    assert found["a"] == "hf://f/g@v1/h.pt"


def test_absent(tmp_path):
    with pytest.raises(FileError, match="absent.yaml' cannot be read: No such file"):
        load_recipe(tmp_path / "absent.yaml")


# ---------------------------------------------------------------- the command line
LONG = "/x/" + 30 * "long names " + "end"
PATHS = """
output_folder: results
save_folder: !ref <output_folder>/save
data_folder: null
lexicon: null
labels: superb
lr: 0.1
sizes: {size: 3}
mine: null
"""


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "paths.yaml").write_text(PATHS)
    return str(tmp_path / "paths.yaml")


@pytest.mark.parametrize(
    "path",
    [
        "/x/a #1/out",
        "/x/a: b",
        "/x/a=b",
        "2024-01-01",
        "17",
        "/x/ä b",
        "#x",
        "a:",
        LONG,
    ],
)
def test_paths_are_taken_literally(path, paths):
    for given in (["--output_folder", path], [f"--output_folder={path}"]):
        file, _, overrides = parse([paths, *given, "--lr", "0.5"])
        found = load_recipe(file, overrides)
        assert found["output_folder"] == path and found["lr"] == 0.5
        assert found["save_folder"] == f"{path}/save"


@pytest.mark.parametrize(
    "key, text, value",
    [
        ("lr", "1e-4", 1e-4),
        ("mine", "null", None),
        ("data_folder", "null", None),
        ("mine", "True", True),
        ("labels", "off", "off"),
        ("labels", "a # b", "a # b"),
        ("mine", "[0.1, 0.01]", [0.1, 0.01]),
        ("lexicon", "[/a=b.txt, c]", ["/a=b.txt", "c"]),
        ("sizes", "{size: 4}", {"size": 4}),
        ("labels", "'a: b'", "a: b"),
        ("save_folder", "!ref <output_folder>/x", "results/x"),
    ],
)
def test_yaml_stays_yaml(key, text, value, paths):
    file, _, overrides = parse([paths, f"--{key}={text}"])
    assert load_recipe(file, overrides)[key] == value


def test_home_folders(paths, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    argv = [paths, "--data_folder", "~/a b", "--lexicon=[~/a, b]", "--labels=~/x"]
    file, _, overrides = parse(argv)
    found = load_recipe(file, overrides)
    assert found["data_folder"] == "/home/me/a b"
    assert found["lexicon"] == ["/home/me/a", "b"] and found["labels"] == "~/x"


def test_a_path_like_a_reference(paths):
    with pytest.raises(ArgumentError, match="--output_folder /x/<w>: <…> is a ref"):
        parse([paths, "--output_folder", "/x/<w>"])


def test_keys_that_speechbrain_knows_too(tmp_path):
    """It keeps them to itself; what is recorded should be what is done."""
    (tmp_path / "a.yaml").write_text("max_grad_norm: 1.0\nlr: 1\ndouble: null\n")
    argv = [str(tmp_path / "a.yaml"), "--max_grad_norm", "7", "--lr=2"]
    file, run_opts, overrides = parse(argv)
    found = load_recipe(file, overrides)
    assert found["max_grad_norm"] == run_opts["max_grad_norm"] == 7 and found["lr"] == 2
    file, _, overrides = parse(argv[:1])
    assert load_recipe(file, overrides)["max_grad_norm"] == 1


def test_options_of_speechbrain_are_left_alone(paths):
    _, run_opts, overrides = parse([paths, "--device", "cuda:0", "--lr=1"])
    assert run_opts["device"] == "cuda:0" and overrides == "lr: 1\n"


# --------------------------------------------------------------------- what is kept
def test_the_recipe_is_known_again(recipe):
    found = load_recipe(recipe, "lr: 0.5\nloader: {nested: {deep: 2}}")[RECIPE]
    assert found["lr"] == 0.5 and found["loader"] == {
        "num_workers": 2,
        "nested": {"deep": 2},
    }
    # References stay: what is changed once is named once.
    assert found["opt_class"] == {"tag": "!name:torch.optim.Adam", "lr": "!ref <lr>"}
    assert found["upstream_model"]["tag"].startswith("!new:s3prl_sb.lobes.upstreams")


@pytest.mark.parametrize("own", [False, True])
def test_debug_goes_into_a_folder_of_its_own(own, paths, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    output = tmp_path / "out #1"
    argv = [paths, f"--output_folder={output}", "--debug"]
    argv += [f"--save_folder={tmp_path}/elsewhere"] * own
    hparams, run_opts = start(argv, lambda hparams: None)
    assert run_opts["debug"] and hparams["output_folder"] == f"{output}/debug"
    save = f"{tmp_path}/elsewhere/debug" if own else f"{output}/debug/save"
    assert hparams["save_folder"] == save
    assert [path.name for path in output.iterdir()] == ["debug"]


def test_modules_beside_ones_own_yaml(tmp_path):
    """Each YAML has its own, trusted or not: a recipe is the user's program."""
    found = []
    for name, size in (("one", 1), ("other", 2)):
        folder = tmp_path / name
        (folder / "s3prl_sb").mkdir(parents=True)  # as in a checkout
        (folder / "layers.py").write_text(f"SIZE = {size}")
        text = "import layers, torch\n\nclass Head(torch.nn.Module):\n"
        text += "    size = layers.SIZE\n"
        (folder / "my_head.py").write_text(text)
        (folder / "s3prl_sb" / "lobes.py").write_text("raise SystemExit")
        yaml = folder / "mine.yaml"
        yaml.write_text(
            "head: !name:my_head.Head\n"
            "mel: !name:s3prl_sb.lobes.heads.blstm.BLSTMHead\n"
        )
        found.append(load_recipe(yaml)["head"])
    assert [head.size for head in found] == [1, 2]
    with pytest.raises(KeysError, match="not my_head.Head"):  # as its author knows it
        yaml.write_text("featurizer: !name:my_head.Head\n")
        load_recipe(yaml)
    assert "my_head" not in sys.modules and str(tmp_path) not in "".join(sys.path)
