"""Every recipe: its YAML and its README. Its runs: tests/integration."""

import re
from pathlib import Path

import pytest
import ruamel.yaml
from speechbrain.utils.run_opts import RunOptions

from s3prl_sb import resources
from s3prl_sb.experiment import load_recipe

RECIPES = resources.recipes()
ROOT = resources.folder("recipes").parent
TINY = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config: {hidden_size: 16, ffn_size: 16, num_layers: 2, num_heads: 2,
             position_groups: 2, position_kernel: 8,
             conv_layers: [[8, 10, 5], [8, 8, 4], [8, 4, 4]]}
"""


def every_recipe(function):
    return pytest.mark.parametrize("name", RECIPES)(function)


def every_yaml(function):
    files = [
        f for folder in RECIPES.values() for f in sorted(folder.glob("hparams/*.yaml"))
    ]
    ids = [str(file.relative_to(ROOT)) for file in files]
    return pytest.mark.parametrize("file", files, ids=ids)(function)


def keys(file):
    """The top-level keys of a YAML file."""
    return [
        k for k in ruamel.yaml.YAML().load(file.read_text("utf-8")) if k[:2] != "__"
    ]


def run_options():
    """SpeechBrain's own options, such as --debug."""
    actions = RunOptions._create_parser()._actions
    return {o[2:] for a in actions for o in a.option_strings if o.startswith("--")}


# ---------------------------------------------------------------------- the files
@every_yaml
def test_yaml_loads(file, tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    output = f"output_folder: {tmp_path}/out"
    for upstream, size, layers in ((tmp_path / "tiny.yaml", 16, 3), ("mel", 80, 1)):
        hparams = load_recipe(file, f"upstream: {upstream}\n{output}")
        assert hparams["upstream_model"].output_size == size
        if "featurizer" in hparams:
            assert hparams["featurizer"].num_layers == layers
            assert hparams["head"].keywords["input_size"] == size
        assert hparams["eval_pipes"]
        for pipes in (hparams.get("train_pipes", ()), hparams["eval_pipes"]):
            assert all(callable(pipe) for pipe in pipes)


@every_yaml
def test_keys_are_no_run_options(file):
    """argparse takes --opt for --optimizer_step_limit: the key could not be set.

    An option of the very same name is fine where the Brain reads it from the YAML
    too, as it does with max_grad_norm.
    """
    options = run_options()
    for key in keys(file):
        taken = [o for o in options if o.startswith(key) and o != key]
        exact = key in options
        assert exact or not taken, (
            f"'--{key}' on the command line is taken for {' or '.join(sorted(taken))}, "
            "an option of SpeechBrain: give the key another name"
        )


@every_yaml
def test_every_key_is_used(file):
    """By another key, by train.py, by the package or by SpeechBrain's Brain."""
    yaml = file.read_text("utf-8")
    sources = [file.parents[1] / "train.py", *(ROOT / "s3prl_sb").rglob("*.py")]
    code = "\n".join(path.read_text("utf-8") for path in sources)
    options = run_options()
    for key in keys(file):
        in_yaml = re.search(rf"<{key}[\[.>]", yaml)
        in_code = re.search(rf'hparams.*"{key}"|hparams\.{key}\b', code)
        assert in_yaml or in_code or key in options, f"nothing reads '{key}'"


@every_recipe
def test_readme(name):
    folder = RECIPES[name]
    text = (folder / "README.md").read_text("utf-8")
    known = {key for file in folder.glob("hparams/*.yaml") for key in keys(file)}
    named = set(re.findall(r"(?<![\w-])--([a-z]\w*)", text))
    for key in named - {"nproc_per_node", "nnodes", "node_rank"}:  # torchrun's
        assert key in known | run_options(), f"--{key} in {name}/README.md is no key"
    assert f"s3prl-sb run {name} " in text
    for key in {"data_folder", "upstream", "total_steps"} & known:
        assert key in named, f"{name}/README.md does not say what --{key} does"
    assert (folder / "train.py").read_text("utf-8").startswith("#!/usr/bin/env python3")


def test_every_recipe_has_a_small_corpus():
    small = Path(__file__).parent / "small"
    for name in RECIPES:
        file = small / f"{name.rpartition('/')[2]}.py"
        assert file.is_file(), f"{file} is missing: tests/integration needs it"
