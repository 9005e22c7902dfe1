"""Heads, poolings and optimizers by name, and user-defined heads by path."""

import contextlib
import io
import sys

import pytest
import torch

from s3prl_sb import resources
from s3prl_sb.benchmark.keys import check_keys
from s3prl_sb.errors import UserError
from s3prl_sb.foreign.trust import TrustError, trusting
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.schema.keys import Schema
from s3prl_sb.schema.named_heads import named_heads, poolings
from s3prl_sb.startup import experiment
from s3prl_sb.startup.configuration import RECIPE, Configuration, load_recipe
from s3prl_sb.startup.named import OPTIMIZERS, labels_of, names

RECIPES = {name.partition("/")[2]: path for name, path in resources.recipes().items()}
SIZE = {"tag": "!name:s3prl_sb.lobes.heads.utterance.UtteranceClassifier"}
SIZE |= {"input_size": "!ref <upstream_model.output_size>"}
HEADS = """
import torch

class Mine(torch.nn.Module):
    def __init__(self, input_size, num_classes, width=4):
        super().__init__()
        self.layers = torch.nn.Linear(input_size, num_classes)

    def forward(self, features, lens):
        return self.layers(features).mean(1)

class Frames(Mine):
    def forward(self, features, lens):
        return self.layers(features)

class Broken(Mine):
    def forward(self, features, lens):
        return self.layers(features[..., 1:])

class Any(torch.nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.layers = torch.nn.Linear(options["input_size"], 3)

    def forward(self, features, lens):
        return self.layers(features).mean(1)
"""


def file_of(task):
    return RECIPES[task] / "hparams/train.yaml"


def loaded(task, overrides):
    return load_recipe(file_of(task), f"upstream: mel\n{overrides}")


def message(task, *argv, tmp_path, monkeypatch):
    """Returns the error of a start before data are prepared; None if there is none."""

    class Reached(Exception):
        """Data would have been read."""

    def prepare(hparams):
        raise Reached

    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    argv = [str(file_of(task)), *argv, f"--output_folder={tmp_path}/out"]
    if not any(part.startswith("--upstream") for part in argv):
        argv.append("--upstream=mel")
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            experiment.start(argv, prepare)
        except UserError as error:
            return str(error)
        except Reached:
            return None


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with a file of heads."""
    (tmp_path / "my_heads.py").write_text(HEADS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -------------------------------------------------------------------------- heads
def test_a_name_is_an_ordinary_node():
    found = loaded("KS", "head: linear")
    assert found[RECIPE]["head"] == SIZE
    assert found["head"](num_classes=3).projection.in_features == 80
    found = loaded("KS", "head: {name: linear, hidden_size: 8}")
    assert found[RECIPE]["head"] == {**SIZE, "hidden_size": 8}
    assert found["head"](num_classes=3).projection.out_features == 8


def test_the_recipes_own_head():
    before = loaded("KS", "")[RECIPE]["head"]
    assert loaded("KS", "head: default")[RECIPE]["head"] == before
    changed = {**before, "hidden_size": 8}
    assert loaded("KS", "head: {hidden_size: 8}")[RECIPE]["head"] == changed
    changes = "head: {name: default, hidden_size: 8}"
    assert loaded("KS", changes)[RECIPE]["head"] == changed


@pytest.mark.parametrize("task", [task for task in RECIPES if task != "QbE"])
def test_every_name_that_fits_a_task(task):
    labels = labels_of(Schema.of(file_of(task)).tree)
    found = named_heads(labels["are"])
    # All where the labels or the key of the size differ, one elsewhere.
    for name in found if task in ("KS", "ASV", "PR", "SD") else [*found][:1]:
        head = Configuration(file_of(task), f"{{upstream: mel, head: {name}}}").written[
            "head"
        ]
        assert head["input_size"].value == "<upstream_model.output_size>"
        size = labels.get("size")
        assert ("num_classes" in head) == (size is not None)
        assert size is None or head["num_classes"].value == f"<{size}>"


@pytest.mark.parametrize("task", ["ASR", "PR", "SF", "SD"])
def test_heads_that_do_not_fit(task):
    with pytest.raises(UserError) as error:
        loaded(task, "head: ecapa")
    assert str(error.value).startswith(
        "--head: 'ecapa' returns one vector an utterance"
    )
    fitting = ", ".join(named_heads("tokens"))
    assert fitting in str(error.value) and "ecapa," not in fitting


@pytest.mark.parametrize(
    "changes, words",
    [
        ("head: ecap", "--head: there is no head called 'ecap'. Did you mean ecapa?"),
        ("head: {name: ecap}", "Did you mean ecapa?"),
        ("head: {name: linear, hiden_size: 3}", "--head: .*takes no 'hiden_size'. Did"),
        ("head: {name: 3}", "--head: .*takes no 'name'"),
        ("head: nowhere.Head", "--head: there is no 'nowhere.Head': no module"),
        ("head: nowhere.py", "--head: 'nowhere.py' is a file: give nowhere.py:Cl"),
        ("head: nowhere.py:Head", "There is no file '.*nowhere.py'"),
        ("head: {name: default, hidden: 1}", "--head: .*takes no 'hidden'"),
    ],
)
def test_wrong_names(changes, words):
    with pytest.raises(UserError, match=words):
        loaded("KS", changes)


def test_a_name_in_a_copy_of_the_recipe(tmp_path):
    text = file_of("KS").read_text("utf-8")
    start = text.index("head: !name:")
    end = text.index("# ------", start)
    mine = tmp_path / "mine.yaml"
    for value in ("linear", "{name: linear, hidden_size: 8}"):
        mine.write_text(f"{text[:start]}head: {value}\n\n{text[end:]}", "utf-8")
        found = load_recipe(mine, "upstream: mel")[RECIPE]["head"]
        assert {**SIZE, **({"hidden_size": 8} if "{" in value else {})} == found
        found = load_recipe(mine, "upstream: mel\nhead: {hidden_size: 9}")
        assert found[RECIPE]["head"] == {**SIZE, "hidden_size": 9}
    mine.write_text(f"{text[:start]}head: linea\n\n{text[end:]}", "utf-8")
    with pytest.raises(
        UserError, match=r"mine.yaml', line \d+: head: there is no .*lin"
    ):
        load_recipe(mine, "upstream: mel")
    mine.write_text(f"{text[:start]}head: default\n\n{text[end:]}", "utf-8")
    with pytest.raises(UserError, match=r"line \d+: head: .*'default'"):
        load_recipe(mine, "upstream: mel")


def test_a_run_that_was_kept_is_the_same_recipe(tmp_path):
    """Its hyperparams.yaml, and a second Configuration of the same command line."""
    overrides = "{upstream: mel, head: {name: linear}, opt_class: sgd, pooling: mean}"
    first = Configuration(file_of("KS"), overrides)
    assert first.text() == Configuration(file_of("KS"), overrides).text()
    (tmp_path / "again.yaml").write_text(first.text())
    again = Configuration(tmp_path / "again.yaml", "")
    assert plain(again.resolved) == plain(first.resolved)
    assert first.resolved["head"]["pooling"] == "mean"


# --------------------------------------------------------------------------- sizes
HEAD = "!name:s3prl_sb.lobes.heads.utterance.UtteranceClassifier"


def test_sizes_are_filled_in():
    for node in (HEAD, f"{HEAD} {{hidden_size: 8}}"):
        assert loaded("KS", f"head: {node}")["head"].keywords["input_size"] == 80
    found = loaded("ASV", f"embedding_size: 7\nhead: {HEAD} {{}}")["head"]
    assert found().classifier.out_features == 7
    found = loaded("KS", f"head: {HEAD} {{input_size: 3}}")["head"]
    assert found.keywords == {"input_size": 3}


@pytest.mark.parametrize(
    "task, argv, words",
    [
        (
            "KS",
            ["--head.input_size=81"],
            "--head: its input_size is 81, and the features",
        ),
        (
            "KS",
            ["--head", f"{HEAD} {{input_size: 768}}"],
            "--head: its input_size is 768, and the features of mel have the size 80",
        ),
        ("PR", ["--head", HEAD], "[2, 2] for features [2, 50, 80], and tokens need"),
        ("SD", ["--head", HEAD], "[2, 2] for features [2, 50, 80], and segments need"),
        (
            "KS",
            ["--head", "!name:s3prl_sb.lobes.heads.frames.FrameClassifier"],
            "[2, 50, 2] for features [2, 50, 80], and classes need [2, 2]: a vector",
        ),
        (
            "ASV",
            ["--head.output_size=7"],
            "[2, 7] for features [2, 50, 80], and classes",
        ),
        (
            "KS",
            ["--head=my_heads.py:Broken"],
            "--head: my_heads.Broken fails on features",
        ),
        ("PR", ["--head=my_heads.py:Mine"], "my_heads.Mine returns [2, 2]"),
        ("KS", ["--head=my_heads.Frames"], "my_heads.Frames returns [2, 50, 2]"),
        ("KS", ["--head=my_heads.Any"], "my_heads.Any returns [2, 3] for"),
        ("KS", ["--head=my_heads.py:Absent"], "has no 'Absent'. It has: Mine, Frames"),
        (
            "KS",
            ["--head={name: my_heads.Mine, widt: 3}"],
            "takes no 'widt'. Did you mean",
        ),
        ("KS", ["--head={name: mlp, hiden_size: 3}"], "encoder 'mlp' takes no"),
        ("KS", ["--head=my_heads.Mine"], None),
        ("KS", ["--head={name: my_heads.py:Mine, width: 3}"], None),
        ("SD", ["--head=my_heads.Frames"], None),
        ("ASV", ["--head=my_heads.Mine"], None),
        ("PR", ["--head=my_heads.Frames"], None),
        ("KS", ["--head=mlp"], None),
    ],
)
def test_heads_are_tried_before_data_are_read(
    task, argv, words, here, tmp_path, monkeypatch
):
    said = message(task, *argv, tmp_path=tmp_path, monkeypatch=monkeypatch)
    if words is None:
        assert said is None
    else:
        assert said is not None and words in said, said


def test_trying_a_head_draws_no_random_numbers(here, tmp_path, monkeypatch):
    drawn = []
    for task, argv in (("KS", []), ("KS", ["--head=my_heads.Mine"])):
        message(task, *argv, tmp_path=tmp_path, monkeypatch=monkeypatch)
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)


@pytest.mark.parametrize("task", [task for task in RECIPES if task != "QbE"])
def test_the_head_of_every_recipe_passes(task, tmp_path, monkeypatch):
    assert message(task, tmp_path=tmp_path, monkeypatch=monkeypatch) is None


def test_a_recipe_that_declares_no_labels_is_not_refused(tmp_path):
    text = file_of("KS").read_text("utf-8").replace("__labels", "__others")
    (tmp_path / "mine.yaml").write_text(text, "utf-8")
    found = load_recipe(tmp_path / "mine.yaml", "upstream: mel\npooling: mean")
    assert found["head"].keywords["pooling"] == "mean"
    with pytest.raises(
        UserError, match="for utterances and for frames. Declare the lab"
    ):
        load_recipe(tmp_path / "mine.yaml", "upstream: mel\nhead: mlp")


# --------------------------------------------------------------------- user's code
def test_a_head_by_path_is_kept_beside_the_run(here, tmp_path, monkeypatch):
    from s3prl_sb.startup import snapshot

    (here / "elsewhere").mkdir()
    (here / "my_heads.py").rename(here / "elsewhere/my_heads.py")
    value = "{name: elsewhere/my_heads.py:Mine, width: 3}"
    configuration = Configuration(file_of("KS"), f"upstream: mel\nhead: {value}")
    assert configuration.make()[RECIPE]["head"] == {
        "tag": "!name:my_heads.Mine",
        "input_size": "!ref <upstream_model.output_size>",
        "width": 3,
    }
    monkeypatch.setattr(sys, "argv", ["pytest"])
    (tmp_path / "run").mkdir()
    snapshot.save(tmp_path / "run", configuration.text())
    assert (tmp_path / "run/my_heads.py").read_text() == HEADS
    again = load_recipe(tmp_path / "run/hyperparams.yaml")
    assert again["head"](num_classes=3).layers.out_features == 3
    assert "my_heads" not in sys.modules


def test_a_path_in_a_copy_starts_at_its_folder(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/my_heads.py").write_text(HEADS)
    text = file_of("KS").read_text("utf-8")
    start = text.index("head: !name:")
    end = text.index("# ------", start)
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        f"{text[:start]}head: code/my_heads.py:Mine\n\n{text[end:]}", "utf-8"
    )
    assert load_recipe(mine, "upstream: mel")["head"](num_classes=2)


@pytest.mark.parametrize(
    "value", ["theirs.py:Mine", "theirs.Mine", {"name": "theirs.py:Mine"}]
)
def test_code_in_a_budget_needs_trust(value, here):
    (here / "my_heads.py").rename(here / "theirs.py")
    before = set(sys.modules)
    (here / "budget.yaml").write_text("")
    source = str(here / "budget.yaml")
    with pytest.raises(TrustError, match=r"budget.yaml' would run theirs.* \(head\)"):
        check_keys("KS", {"head": value}, source)
    assert "theirs" not in "".join(set(sys.modules) - before)
    with trusting():
        found = check_keys("KS", {"head": value}, source)["head"]
    found = found["name"] if isinstance(found, dict) else found
    assert found in (f"{here}/theirs.py:Mine", "theirs.Mine")


# ------------------------------------------------------------------------- budgets
@pytest.mark.parametrize(
    "task, keys",
    [
        ("KS", {"head": "linear"}),
        ("KS", {"head": {"name": "linear", "hidden_size": 8}}),
        ("KS", {"head": {"hidden_size": 8}}),
        ("KS", {"head": "default"}),
        ("KS", {"opt_class": {"name": "adamw", "weight_decay": 0.1}}),
        ("KS", {"pooling": "mean"}),
        ("KS", {"noise": {"snr": [0, 15]}, "test_noise": {"snr": 3, "folder": None}}),
    ],
)
def test_budgets_take_names(task, keys):
    found = check_keys(task, keys, "budget.yaml")
    assert found == keys


@pytest.mark.parametrize(
    "task, keys, words",
    [
        (
            "ASR",
            {"head": "ecapa"},
            "budget.yaml: ASR: head: 'ecapa' returns one vector",
        ),
        (
            "KS",
            {"head": "ecap"},
            "budget.yaml: KS: head: there is no .*Did you mean ecapa",
        ),
        ("KS", {"head": {"name": "linear", "a": 1}}, "KS: head: .*takes no 'a'"),
        ("KS", {"head": {"name": "default", "a": 1}}, "KS: head: .*takes no 'a'"),
        ("KS", {"opt_class": "adamm"}, "KS: opt_class: there is no optimizer 'adamm'"),
        ("PR", {"pooling": "mean"}, "PR: pooling: the labels are tokens"),
        ("KS", {"noise": {"snrr": 3}}, "KS: .*noise.snrr"),
        ("KS", {"noise": {"snr": "loud"}}, "KS: noise.snr is a number"),
    ],
)
def test_budgets_refuse_what_does_not_fit(task, keys, words):
    with pytest.raises(UserError, match=words):
        check_keys(task, keys, "budget.yaml")


def test_tags_in_a_budget_say_how_to_write_it():
    from s3prl_sb.storage.yaml_texts import yaml_of

    keys = yaml_of("train_pipes: [!new:s3prl_sb.dataio.pipes.AddNoise {snr: [3, 6]}]")
    with pytest.raises(
        UserError, match=r"train_pipes: !new:.*noise: \{snr: \[3, 6\]\}"
    ):
        check_keys("KS", keys, "budget.yaml")


# ------------------------------------------------------------------------- pooling
def test_a_pooling_goes_to_the_head():
    found = loaded("KS", "pooling: mean")
    assert found[RECIPE]["head"]["pooling"] == "mean" == found[RECIPE]["pooling"]
    assert "pooling" not in loaded("KS", "")[RECIPE]["head"]


def test_a_pooling_that_is_a_reference(tmp_path):
    mine = tmp_path / "mine.yaml"
    added = "my_pooling: statistics\npooling: !ref <my_pooling>\n"
    mine.write_text(file_of("KS").read_text("utf-8") + added, "utf-8")
    head = Configuration(mine, "upstream: mel").resolved["head"]
    assert head["pooling"] == "statistics"


@pytest.mark.parametrize(
    "task, changes, words",
    [
        (
            "KS",
            "pooling: men",
            "--pooling: there is no pooling 'men'. Did you mean mean",
        ),
        ("KS", "pooling: {name: mean}", "--pooling is a name: mean, .*--head.pooling"),
        ("KS", "pooling: [mean]", "--pooling is a name"),
        ("KS", "pooling: !name:a.B", "--pooling is a name"),
        ("PR", "pooling: mean", "--pooling: the labels are tokens, so a head returns"),
        ("SD", "pooling: mean", "--pooling: the labels are segments"),
        (
            "ASV",
            "pooling: mean",
            "--pooling: .*XVector has no pooling to .*: linear, .*mlp",
        ),
        ("KS", "pooling: mean\nhead: {pooling: statistics}", "pooling already"),
    ],
)
def test_poolings_that_do_not_fit(task, changes, words):
    with pytest.raises(UserError, match=words):
        loaded(task, changes)


def test_results_name_a_pooling_once():
    from s3prl_sb.startup.protocol import report

    recipe = loaded("KS", "pooling: statistics")[RECIPE]
    found = report(Schema.of(file_of("KS")), recipe, {})
    assert found["settings"]["pooling"] == "statistics"
    assert "head.pooling" not in {**found["settings"], **found["protocol"]["settings"]}


# ---------------------------------------------------------------------- optimizers
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_there_and_steps(name):
    made = loaded("KS", f"opt_class: {name}\nlr: 0.01")["opt_class"]
    assert made.func.__name__.lower() == name and made.keywords == {"lr": 0.01}
    weights = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = made([weights])
    weights.sum().backward()
    optimizer.step()
    assert (weights < 1).all()


def test_options_of_an_optimizer():
    found = loaded("ASV", "opt_class: adamw")[RECIPE]["opt_class"]
    assert found["weight_decay"] == 0.01  # its own class keeps the recipe's options
    found = loaded("ASV", "opt_class: sgd")[RECIPE]["opt_class"]
    assert found == {"tag": "!name:torch.optim.SGD", "lr": "!ref <lr>"}
    found = loaded("KS", "opt_class: {name: sgd, momentum: 0.9}")["opt_class"]
    assert found.keywords == {"lr": 0.0001, "momentum": 0.9}
    before = loaded("KS", "")[RECIPE]["opt_class"]
    assert loaded("KS", "opt_class: default")[RECIPE]["opt_class"] == before
    found = loaded("KS", "opt_class: {weight_decay: 0.1}")["opt_class"]
    assert found.keywords == {"lr": 0.0001, "weight_decay": 0.1}


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            "opt_class: adamm",
            "--opt_class: there is no optimizer 'adamm'. Did you mean ad",
        ),
        (
            "opt_class: {name: sgd, betas: 3}",
            "--opt_class: torch.optim.SGD takes no 'bet",
        ),
        ("opt_class: module.Adam", "Another class is !name:module.Class"),
    ],
)
def test_wrong_optimizers(changes, words):
    with pytest.raises(UserError, match=words):
        loaded("KS", changes)


def test_names_of_keys():
    assert names("head", "tokens") == [*named_heads("tokens"), "default"]
    assert names("pooling") == list(poolings()) and names("pooling", "tokens") == []
