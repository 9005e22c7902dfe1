"""Every YAML of pre-training: its keys, its help, its commands."""

import os
import re
import shlex
import sys

import pytest

from s3prl_sb import resources
from s3prl_sb.commands import recipe_help, run
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.lobes.upstreams.stages import Stages
from s3prl_sb.objectives.base import Objective
from s3prl_sb.schema.keys import Schema, shared
from s3prl_sb.startup import readiness
from s3prl_sb.startup.arguments import parse
from s3prl_sb.startup.configuration import Configuration, load_recipe
from s3prl_sb.units.recipe import check_units

FOLDER = resources.folder("recipes") / "pretraining"
NAMES = sorted(path.stem for path in FOLDER.glob("hparams/*.yaml"))
sys.path.append(str(FOLDER))
import small  # noqa: E402


def every_yaml(function):
    return pytest.mark.parametrize("name", NAMES)(function)


def yaml(name):
    return FOLDER / "hparams" / f"{name}.yaml"


def words(keys):
    return [part for k, v in keys.items() for part in (f"--{k}", str(v))]


def commands(name):
    """The commands in the comment at the top of a YAML."""
    lines = yaml(name).read_text("utf-8").split("\n\n__defaults")[0].splitlines()
    text = "\n".join(line.lstrip("#").strip() for line in lines)
    blocks = [" ".join(block.split()) for block in text.split("\n\n")]
    return [shlex.split(b) for b in blocks if b.startswith("s3prl-sb run")]


@every_yaml
def test_it_makes_an_objective_over_an_unfrozen_network(name, tmp_path):
    keys = {**small.keys(name), "output_folder": tmp_path, "train_data": tmp_path}
    file, _, overrides = parse([str(yaml(name)), *words(keys)])
    made = load_recipe(file, overrides)
    assert isinstance(made["objective"], Objective)
    network = made["upstream_model"]
    assert isinstance(network, Stages) and not network.freeze
    assert made["objective"].network is network
    trained = [p for p in network.parameters() if p.requires_grad]
    assert trained, "nothing is trained"


@every_yaml
def test_every_key_is_declared_and_read(name):
    schema = Schema.of(yaml(name))
    text = yaml(name).read_text("utf-8")
    folders = "brains unlabelled units startup lobes schema dataio loggers".split()
    package = resources.folder("recipes").parent / "s3prl_sb"
    files = [path for part in folders for path in (package / part).rglob("*.py")]
    code = "\n".join(path.read_text("utf-8") for path in files)
    of_speechbrain = ("max_grad_norm", "ckpt_interval_steps")
    for key in schema:
        assert schema[key].declared, key
        is_read = re.search(rf'"{key}"|hparams\.{key}\b', code)
        used = re.search(rf"<{key}[\[.>]", text) or key in of_speechbrain
        assert is_read or used, f"nothing reads '{key}'"
    for key, declaration in schema.own.items():
        assert key in schema and declaration != shared().get(key), key


@every_yaml
def test_defaults_are_values_of_their_keys(name):
    schema = Schema.of(yaml(name))
    for key in schema:
        value = schema.check(key, schema.tree[key])
        if schema[key].is_plain:
            assert plain(value) == plain(schema.check(key, value))


@every_yaml
def test_help_and_list(name):
    text = recipe_help.text(str(yaml(name)))
    assert sorted(re.findall(r"^  --(\w+) ", text, re.M)) == sorted(
        Schema.of(yaml(name))
    )
    assert max(map(len, text.splitlines())) <= 88
    line = next(x for x in run.descriptions() if x.startswith(f"pretraining/{name} "))
    assert len(line.split()) > 4 and len(line) < 100


@every_yaml
def test_its_commands_are_possible(name):
    """The comment has one that fits a laptop; the keys and values of all are valid."""
    found = commands(name)
    assert found, "give a command that fits a laptop"
    for command in found:
        assert command[2] == f"pretraining/{name}"
        rest = [word for word in command[3:] if word != "RUN/card.yaml"]
        pairs = zip(command[3::2], command[4::2])
        rest = [w for pair in pairs if "RUN" not in pair[1] for w in pair]
        file, _, overrides = parse([str(yaml(name)), *rest])
        Configuration(file, overrides)


@every_yaml
def test_run_starts_the_script(name, monkeypatch):
    started = []
    monkeypatch.setattr(os, "execv", lambda program, words: started.extend(words))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    run.run_recipe(name, ["--train_data", "DIR"])
    script = ["-m", "s3prl_sb.startup.script", str(FOLDER / "train.py")]
    assert started[1:] == [*script, str(yaml(name)), "--train_data", "DIR"]


@every_yaml
def test_the_table_of_objectives_has_its_numbers(name):
    text = (FOLDER / "README.md").read_text("utf-8")
    [row] = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
    tree = Schema.of(yaml(name)).tree
    batches = tree["grad_accumulation_factor"]
    minutes = tree["batch_seconds"] * batches / 60
    assert f"| {tree['total_steps']:,} updates of {minutes:.0f} min |" in row
    papers = set(re.findall(r"https://arxiv.org/abs/[\d.]+", row))
    assert papers and papers <= set(
        re.findall(r"https://arxiv.org/abs/[\d.]+\d", yaml(name).read_text("utf-8"))
    )


#: Files of other kinds, and a card without its weights.
FILES = {
    "a.txt": "text",
    "notes.yaml": "a: 1",
    "broken.yaml": "a: [1",
    "gone.yaml": "a: !new:s3prl_sb.lobes.upstreams.hubert.Hubert\n"
    "    source: a-12.safetensors",
    "linear.yaml": "a: !new:torch.nn.Linear {in_features: 3, out_features: 4}",
    "run/card.yaml": "a: 1",
}
REFERENCES = {
    "absent.yaml": r"no card file '.*absent.yaml'. Give the path",
    "absent": "Unknown upstream '.*absent'. .*give the path of its card",
    "a.txt": "No family can read '.*a.txt'.* it is not a checkpoint",
    "notes.yaml": "'a' in '.*notes.yaml' is not a !new: node. Cards are written",
    "broken.yaml": "broken.yaml' is not valid YAML: line",
    "gone.yaml": "'a-12.safetensors' is not in '.*'.* Move the card and its weights",
    "linear.yaml": "linear.yaml' would run !new:torch.nn.Linear .line 1.. Read it",
    "run": "'a' in '.*run/card.yaml' is not a !new: node. Cards are written",
}
UNITS = {
    "absent": "absent/index.json' cannot be read: No such .* `s3prl-sb units apply`",
    "a.txt": "a.txt/index.json' cannot be read: Not a .* `s3prl-sb units apply`",
    "{upstream: mfcc, layer: x, clusters: 2}": "layer is a whole number from 0 on",
    "{upstream: mfcc, clusters: 1}": "clusters is a whole number from 2 on",
    "{upstream: mfcc, clusters: 2, share: 7}": "share is a number above 0, up to 1",
}


@pytest.mark.parametrize(
    "name, key, value, message",
    [
        *[("distilhubert", "teacher", value, m) for value, m in REFERENCES.items()],
        *[
            ("hubert", "units", f"{{upstream: FOLDER/{value}, clusters: 4}}", message)
            for value, message in REFERENCES.items()
        ],
        *[("hubert", "init", value, message) for value, message in REFERENCES.items()],
        *[("hubert", "units", value, message) for value, message in UNITS.items()],
    ],
)
def test_wrong_references_name_the_key_the_file_and_the_fix(
    name, key, value, message, tmp_path
):
    for file, text in FILES.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    is_mapping = value.startswith("{")
    value = value.replace("FOLDER", str(tmp_path)) if is_mapping else tmp_path / value
    keys = {**small.keys(name), "output_folder": tmp_path, "train_data": tmp_path}
    with pytest.raises(UserError, match=rf"(?s)^(--)?{key}[:.].*{message}"):
        file, _, overrides = parse([str(yaml(name)), *words(keys | {key: value})])
        made = load_recipe(file, overrides)
        readiness.check(made)
        check_units(made)


def test_ctrl_c_names_the_recipe():
    from s3prl_sb.processes.interruption import command

    script = str(FOLDER / "train.py")
    started = [script, str(yaml(NAMES[0])), "--lr", "1"]
    assert command(started) == [
        "s3prl-sb",
        "run",
        f"pretraining/{NAMES[0]}",
        "--lr",
        "1",
    ]
    mine = [script, "mine.yaml"]
    assert command(mine) == ["python", *mine]


def test_completion_and_a_similar_name():
    from s3prl_sb.cli import parser
    from s3prl_sb.commands.completion import candidates

    name = f"pretraining/{NAMES[0]}"
    assert name in candidates(["run", "pretr"], parser())
    assert "--train_data" in candidates(["run", name, "--train"], parser())
    with pytest.raises(run.UnknownRecipe, match=f"Did you mean {name}"):
        run.locate(f"{NAMES[0]}x")


def test_a_folder_of_several_recipes_asks_for_one():
    with pytest.raises(run.UnknownRecipe, match="several recipes.*pretraining/tera"):
        run.locate(str(resources.folder("recipes") / "pretraining"))
