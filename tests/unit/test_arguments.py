"""The command line: a value is the same tree of YAML as in a file."""

import random

import pytest

from s3prl_sb import resources
from s3prl_sb.hyperyaml.nodes import plain, tag
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup.arguments import ArgumentError, assignments, parse
from s3prl_sb.startup.configuration import Configuration, read_overrides, text
from s3prl_sb.storage.yaml_texts import yaml_parser

RECIPES = resources.recipes()
KS = RECIPES["SUPERB/KS"] / "hparams/train.yaml"
TEXTS = ("a", "a b", "a=b", "a: b", "a #b", "it's", 'say "a"', "[", "{x}", "--lr", "ä")
TEXTS += ("null", "off", "1e-4", "2024-01-01", "!new:a.B", "(1, 2)", "<a>", "~/a", "=")


def flow(node):
    """Writes a node of YAML into one line, with its tags."""
    mark = f"{tag(node)} " if tag(node) else ""
    if isinstance(node, dict):
        pairs = (f"{key}: {flow(value)}" for key, value in node.items())
        return f"{mark}{{{', '.join(pairs)}}}"
    if isinstance(node, list):
        return f"{mark}[{', '.join(map(flow, node))}]"
    if mark:
        is_odd = set(str(node.value)) & set("[]{},") or str(node.value).startswith(" ")
        return mark + (f"'{node.value}'" if is_odd else str(node.value))
    if isinstance(node, str):
        return "'" + node.replace("'", "''") + "'"
    return "null" if node is None else str(node)


def read(file, *argv):
    """Returns what the command line changes, as the recipe reads it."""
    return read_overrides(parse([str(file), *argv])[2])


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_of_a_recipe_survives_the_command_line(name):
    schema = Schema.of(RECIPES[name] / "hparams/train.yaml")
    # SpeechBrain's own options take no references; !applyref is the recipe's.
    keys = [key for key in schema if not tag(schema.tree[key]).startswith("!applyref")]
    apart = [part for key in keys for part in (f"--{key}", flow(schema.tree[key]))]
    joined = [f"--{key}={flow(schema.tree[key])}" for key in keys]
    wanted = {key: plain(schema.tree[key]) for key in keys}
    for argv in (apart, joined):
        changes = read(schema.file, *argv)
        assert {key: plain(changes[key]) for key in keys} == wanted
    configuration = Configuration(schema.file, text(changes))
    written = {key: plain(configuration.written[key]) for key in keys}
    assert written == {**wanted, "sample_rate": written["sample_rate"]}


def some(generator, depth=0):
    """Returns the text of a random value in flow style."""
    kind = generator.choice(("text", "number", "ref", "list", "mapping", "tag", "bare"))
    if depth > 3 or kind == "text":
        return "'" + generator.choice(TEXTS).replace("'", "''") + "'"
    if kind == "number":
        return generator.choice(("1", "0.5", "1e-4", "-3", "true", "null"))
    if kind == "ref":
        return generator.choice(("!ref <lr>", "!ref <seed> + <lr>", "!ref '<a[b].c>'"))
    if kind == "bare":
        return "!new:torch.nn.ReLU"
    items = [some(generator, depth + 1) for _ in range(generator.randint(0, 3))]
    if kind == "list":
        return f"[{', '.join(items)}]"
    mark = "!new:torch.nn.Linear " if kind == "tag" else ""
    return mark + "{" + ", ".join(f"k{i}: {item}" for i, item in enumerate(items)) + "}"


def test_random_trees_survive_the_command_line():
    generator = random.Random(0)
    tried = 0
    while tried < 60:
        written = some(generator)
        if not written.startswith(("!", "[", "{")):
            continue
        tried += 1
        # ruamel.yaml needs a space after a tag without arguments
        wanted = plain(yaml_parser().load(written.replace("ReLU", "ReLU ")))
        for argv in (["--head", written], [f"--head={written}"]):
            assert plain(read(KS, *argv)["head"]) == wanted, written


@pytest.mark.parametrize("value", [t for t in TEXTS if t[0] not in "[{!<n1-'"])
def test_texts_survive_the_command_line(value):
    for argv in (["--upstream", value], [f"--upstream={value}"]):
        assert read(KS, *argv) == {"upstream": value}


def test_tags_without_arguments_in_brackets():
    pipes = "[!new:a.B, !new:a.C {d: [!new:a.D], e: !name:a.E}, '!new:f.G]']"
    assert plain(read(KS, "--train_pipes", pipes)["train_pipes"]) == [
        "!new:a.B ",
        {"tag": "!new:a.C", "d": ["!new:a.D "], "e": "!name:a.E "},
        "!new:f.G]",
    ]


def test_the_pipes_of_the_issue():
    pipes = (
        "[!new:s3prl_sb.dataio.pipes.LoadAudio {sample_rate: !ref <sample_rate>}, "
        "!new:s3prl_sb.dataio.pipes.AddNoise {snr: [3, 6]}]"
    )
    overrides = parse([str(KS), "--upstream=mel", f"--train_pipes={pipes}"])[2]
    load, noise = Configuration(KS, overrides).make()["train_pipes"]
    assert (load.sample_rate, noise.low, noise.high) == (16000, 3, 6)


# ------------------------------------------------------------------ keys with dots
@pytest.mark.parametrize(
    "argv, changes",
    [
        (["--noise.snr", "[0, 15]"], {"noise": {"snr": [0, 15]}}),
        (
            ["--noise.snr=10", "--lr", "1", "--noise.draws", "4"],
            {"noise": {"snr": 10, "draws": 4}, "lr": 1},
        ),
        (["--head.hidden_size", "512"], {"head": {"hidden_size": 512}}),
        (["--head.name", "mlp"], {"head": {"name": "mlp"}}),
        (["--noise.folder", "/x #1/a=b"], {"noise": {"folder": "/x #1/a=b"}}),
        (["--noise.folder", "17"], {"noise": {"folder": "17"}}),
        (
            ["--upstream_model.adapter.kind", "lora"],
            {"upstream_model": {"adapter": {"kind": "lora"}}},
        ),
        (
            ["--head", "mlp", "--head.hidden_size=8", "--head.dropout", "0.5"],
            {"head": {"name": "mlp", "hidden_size": 8, "dropout": 0.5}},
        ),
        (
            ["--opt_class.weight_decay=0.1", "--opt_class=adamw"],
            {"opt_class": {"weight_decay": 0.1, "name": "adamw"}},
        ),
        (
            ["--scheduler=cosine", "--scheduler.min_lr=0.1"],
            {"scheduler": {"name": "cosine", "min_lr": 0.1}},
        ),
        (["--noise.folder", "null"], {"noise": {"folder": None}}),
    ],
)
def test_an_entry_is_a_mapping(argv, changes):
    assert plain(read(KS, *argv)) == changes


@pytest.mark.parametrize(
    "argv, words",
    [
        (["--noise.snr=1", "--noise={snr: 2}"], "--noise.snr and --noise set the same"),
        (["--noise={snr: 2}", "--noise.snr=1"], "--noise and --noise.snr set the same"),
        (["--noise.snr=1", "--noise.snr=2"], "--noise.snr is given twice"),
        (["--noise=3", "--noise.snr=2"], "--noise and --noise.snr set the same"),
        (["--head=mlp", "--head.name=rnn"], "--head.name is given twice"),
        (["--head={name: mlp}", "--head.dropout=0"], "--head and --head.dropout set"),
        (["--head=null", "--head.dropout=0"], "--head and --head.dropout set"),
        (["--noise.snr="], "--noise.snr has no value. It is a number or a list of num"),
        (["--noise.snr"], "--noise.snr has no value"),
        (["--noise.snr", "--lr", "1"], "--noise.snr has no value"),
        (["--nois.snr=1"], "There is no key 'nois.snr'. Did you mean noise?"),
        (["--noise.snr=[1"], "--noise.snr [1 is no YAML"),
    ],
)
def test_entries_that_are_wrong(argv, words):
    with pytest.raises(ArgumentError) as error:
        read(KS, *argv)
    assert words in str(error.value)


@pytest.mark.parametrize(
    "argv, words",
    [
        ("--noise.snrr=1", "no key 'noise.snrr'. Did you mean noise.snr?"),
        ("--noise={snrr: 1}", "no key 'noise.snrr'. Did you mean noise.snr?"),
        (
            "--noise.snr=loud",
            "--noise.snr is a number or a list of numbers, not 'loud'",
        ),
        (
            "--test_reverb.snr=1",
            "no key 'test_reverb.snr'. There are: test_reverb.fold",
        ),
        ("--lr.x=1", "--lr is a number above 0"),
        ("--head.hidden_sizes=1", "Did you mean hidden_size"),
    ],
)
def test_entries_that_a_recipe_does_not_have(argv, words):
    with pytest.raises(ValueError) as error:
        Configuration(KS, parse([str(KS), "--upstream=mel", argv])[2]).make()
    assert words in str(error.value)


def test_home_folders_inside(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    changes = read(KS, "--noise", "{folder: ~/a b, snr: 3}")
    assert changes == {"noise": {"folder": "/home/me/a b", "snr": 3}}


def test_a_mapping_of_a_copy_keeps_its_entries(tmp_path):
    mine = tmp_path / "mine.yaml"
    copied = KS.read_text("utf-8").replace("seed: 1986", "seed: 1986\nnoise: {snr: 3}")
    mine.write_text(copied, "utf-8")
    overrides = parse([str(mine), "--noise.draws=2", "--upstream=mel"])[2]
    assert Configuration(mine, overrides).resolved["noise"] == {"snr": 3, "draws": 2}


def test_assignments():
    parts = ["noise.snr=[0, 15]", "head=ecapa", "lr=1e-3", "data_folder=/a #1/b=c"]
    parts += ["noise.folder=17", "mine=a, b", "upstream=off"]
    assert assignments(parts) == {
        "noise": {"snr": [0, 15], "folder": "17"},
        "head": "ecapa",
        "lr": 1e-3,
        "data_folder": "/a #1/b=c",
        "mine": "a, b",
        "upstream": "off",
    }
    parts = ["head=mlp", "head.hidden_size=8"]
    assert assignments(parts) == {"head": {"name": "mlp", "hidden_size": 8}}
    assert assignments([]) == {}


@pytest.mark.parametrize(
    "parts, words",
    [
        (["noise"], "'noise' sets no key: give key=value"),
        (["=3"], "'=3' sets no key"),
        (["lr=1", "lr=2"], "lr is given twice"),
        (["noise.snr=1", "noise={snr: 2}"], "noise.snr and noise set the same key"),
        (["head={"], "head { is no YAML"),
        (["lr="], "'lr=' sets no key"),
    ],
)
def test_assignments_that_are_none(parts, words):
    with pytest.raises(ArgumentError) as error:
        assignments(parts)
    assert words in str(error.value)
