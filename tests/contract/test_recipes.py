"""Every recipe: its YAML and its README. Its runs: tests/integration."""

import functools
import inspect
import io
import re
import sys
from pathlib import Path

import pytest
import torch
from hyperpyyaml import resolve_references
from speechbrain.utils.run_opts import RunOptions

from s3prl_sb import resources
from s3prl_sb.analysis.discrimination import SPEAKERS
from s3prl_sb.brains import verification
from s3prl_sb.brains.cache_budget import AUTO
from s3prl_sb.brains.caching import KINDS
from s3prl_sb.brains.classification import ClassificationBrain
from s3prl_sb.brains.conversion import DECODINGS
from s3prl_sb.brains.parameter_groups import grouped
from s3prl_sb.brains.recognition import TRACKS
from s3prl_sb.brains.recognition_scores import MEASURES
from s3prl_sb.brains.regression import METRICS, SYSTEM
from s3prl_sb.brains.retrieval_sets import conditioned
from s3prl_sb.brains.transcription import METRICS as METRICS_OF_TEXTS
from s3prl_sb.commands import recipe_help
from s3prl_sb.corpora import speech_commands
from s3prl_sb.corpora.clip_corpora import CLIP_CORPORA
from s3prl_sb.corpora.iemocap import SESSIONS
from s3prl_sb.corpora.lexicon import UNKNOWN_WORDS
from s3prl_sb.corpora.libri2mix_separation import prepare_libri2mix_ss
from s3prl_sb.corpora.librilight import SETS
from s3prl_sb.corpora.ml_superb import DURATIONS
from s3prl_sb.corpora.mosei import CLASSES
from s3prl_sb.dataio import token_training
from s3prl_sb.dataio.description import DTYPES
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.translations import TARGETS as TRANSLATION_TARGETS
from s3prl_sb.hyperyaml import programs
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.lobes.dtw import DISTANCES
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.item_distances import DISTANCES as ITEM_DISTANCES
from s3prl_sb.lobes.permutation_invariant import DISTANCES as MASK_LOSSES
from s3prl_sb.lobes.scene_losses import ORDERS
from s3prl_sb.lobes.schedules import SHAPES
from s3prl_sb.lobes.spectral_masks import ACTIVATIONS, COMPRESSIONS, TARGETS
from s3prl_sb.lobes.upstreams.base import PRECISIONS
from s3prl_sb.metrics.psds import SCENARIOS
from s3prl_sb.metrics.sound_events import event_measures
from s3prl_sb.metrics.translation import TOKENIZERS
from s3prl_sb.schema.combinations import AMOUNTS
from s3prl_sb.schema.keys import Schema, shared
from s3prl_sb.startup import named
from s3prl_sb.startup.configuration import Configuration, load_recipe
from s3prl_sb.storage.yaml_texts import yaml_parser

sys.path.append(str(Path(__file__).parent / "small"))
from tasks import RECIPES, small  # noqa: E402

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
    ids = [f"{file.parents[1].name}/{file.name}" for file in files]
    return pytest.mark.parametrize("file", files, ids=ids)(function)


def keys(file):
    """The keys of a recipe, defaults included."""
    return list(Schema.of(file))


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
def test_objects_are_those_of_hyperpyyaml(file):
    """HyperPyYAML resolves references once more, of which none is left."""
    text = Configuration(file, "upstream: mel").text()
    made = programs.construct(yaml_parser().load(text))
    expected = programs.load(text)
    assert list(made) == list(expected)
    for key, value in expected.items():
        assert type(made[key]) is type(value)
        if isinstance(value, (str, int, float, type(None))):
            assert made[key] == value


@every_yaml
def test_references_are_resolved_as_hyperpyyaml_does(file):
    """Its function for it takes and returns text, which takes three times as long."""
    recipe = Configuration(file, "upstream: mel")
    stream = io.StringIO()
    yaml_parser().dump(recipe.written, stream)
    stream.seek(0)
    stream.name = str(file)
    expected = yaml_parser().load(resolve_references(stream))
    assert plain(programs.resolve(recipe.written, file)) == plain(expected)


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


def is_read(key, code):
    return re.search(rf'hparams.*"{key}"|(hparams|settings)\.{key}\b', code)


@functools.cache
def is_read_by_the_package(key):
    files = sorted((ROOT / "s3prl_sb").rglob("*.py"))
    return any(is_read(key, path.read_text("utf-8")) for path in files)


@every_yaml
def test_every_key_is_used(file):
    """By another key, by train.py, by the package or by SpeechBrain's Brain."""
    yamls = dict.fromkeys([file, *(f for f, _ in Schema.of(file).origins.values())])
    yaml = "\n".join(path.read_text("utf-8") for path in yamls)
    code = (file.parents[1] / "train.py").read_text("utf-8")
    options = run_options()
    for key in keys(file):
        in_yaml = re.search(rf"<{key}[\[.>]", yaml)
        # The pooling is an argument of the head; amounts are read in a loop.
        in_code = is_read(key, code) or key in (named.POOLING, *AMOUNTS)
        in_code = in_code or is_read_by_the_package(key)
        assert in_yaml or in_code or key in options, f"nothing reads '{key}'"


# ----------------------------------------------------------------------- the schema
TEMPLATE = ROOT / "templates" / "new_task" / "hparams" / "train.yaml"


def every_schema(function):
    files = {
        f"{name}/{file.stem}".removesuffix("/train"): file
        for name, folder in RECIPES.items()
        for file in sorted(folder.glob("hparams/*.yaml"))
    }
    files = {**files, "template": TEMPLATE} if TEMPLATE.is_file() else files
    return pytest.mark.parametrize(
        "schema", map(Schema.of, files.values()), ids=list(files)
    )(function)


@every_schema
def test_every_key_is_declared(schema):
    """An undeclared key is kept on resume."""
    undeclared = [key for key in schema if not schema[key].declared]
    assert not undeclared, (
        f"say in recipes/keys.yaml or under __keys what {undeclared} are"
    )


@every_schema
def test_every_own_declaration_is_needed(schema):
    """A recipe declares only its own keys, and none that all recipes share."""
    for key, declaration in schema.own.items():
        assert key in schema, f"'{key}' is declared, but the recipe has none"
        assert declaration != shared().get(key), f"'{key}' is declared twice"


def test_every_shared_declaration_is_used():
    schemas = [Schema.of_recipe(name) for name in resources.recipe_files()]
    for key in shared():
        those = [schema for schema in schemas if key in schema]
        assert len(those) > 1, f"'{key}' is of {len(those)} recipe: declare it there"


@every_schema
def test_defaults_are_what_they_should_be(schema):
    tree = Configuration(
        schema.file, "{upstream: mel, data_folder: /a, output_folder: /b}"
    ).resolved
    for key in schema:
        value = schema.check(key, tree[key])
        if schema[key].is_plain:
            assert value == schema.check(key, value)
            assert plain(value) == plain(tree[key])


@every_schema
def test_help_shows_every_key(schema):
    text = recipe_help.text(schema.file)
    shown = re.findall(r"^  --(\w+) ", text, re.M)
    assert sorted(shown) == sorted(schema)
    headings = re.findall(r"^(\w.*):$", text, re.M)
    assert len(set(headings)) == len(headings)
    assert max(map(len, text.splitlines())) <= 88
    for key in schema:
        for choice in schema[key].choices:
            assert str(choice) in text


#: What the code takes; a key with choices that is not here has nobody who reads it.
READ_BY = {
    "cache": KINDS,
    "cache_dtype": tuple(DTYPES),
    "cache_budget": (AUTO,),
    "librilight_split": tuple(SETS),
    "unknown_words": UNKNOWN_WORDS,
    "fold": ("all", *SESSIONS),
    "duration": DURATIONS,
    "metric": METRICS_OF_TEXTS,
    "classes": tuple(CLASSES),
    "distance": (*DISTANCES, *ITEM_DISTANCES),
    "speakers": tuple(SPEAKERS),
    "precision": tuple(PRECISIONS),
    "scheduler": tuple(SHAPES),
    "target": tuple(TRANSLATION_TARGETS),
    "tokens": tuple(token_training.KINDS),
    "bleu_tokenize": TOKENIZERS,
    "mask_activation": tuple(ACTIVATIONS),
    "mask_target": TARGETS,
    "mask_loss": tuple(MASK_LOSSES),
    "compression": tuple(COMPRESSIONS),
    "valid_decoding": DECODINGS,
    "speaker_order": ORDERS,
    "word_tracks": TRACKS,
}


def read_by(key, choice, tmp_path):
    """Calls what reads a key; it complains of nothing but the data that lack."""
    if key == "version":
        speech_commands.prepare_speech_commands(tmp_path, tmp_path, version=choice)
    elif key == "labels":
        speech_commands.prepare_speech_commands(tmp_path, tmp_path, labels=choice)
    elif key == "choose_by":
        measured = inspect.getsource(ClassificationBrain.stage_stats)
        events = event_measures({"a": [("x", 0.0, 1.0)]}, {"a": []}, {"a": 1.0}, ["x"])
        numbers = (*METRICS, *MEASURES, *SCENARIOS, *events)
        number = choice.removeprefix(SYSTEM) in numbers
        assert choice == "auto" or number or f'"{choice}": ' in measured
    elif key == "mixture":
        prepare_libri2mix_ss(tmp_path, tmp_path, mixture=choice)
    elif key == "layers":
        assert Featurizer(3, choice).layers
    elif key == "corpus":
        sources = [f.joinpath("train.py").read_text("utf-8") for f in RECIPES.values()]
        named = any(f'"{choice}": prepare_' in source for source in sources)
        assert named or choice in CLIP_CORPORA or f'== "{choice}"' in str(sources)
    elif key == "test_conditions_of":
        assert conditioned({"test_noise": {"snr": 5}, key: choice})
    elif key == "weight_decay_on":
        assert len(grouped(torch.nn.Linear(1, 1).parameters(), choice)) == 2
    elif key == "score_normalization":
        verification._cohort({}, {key: choice, "cohort_size": 1})
    else:
        pytest.fail(f"what reads '{key}'?")


def declarations_with_choices():
    for name in RECIPES:
        schema = Schema.of(RECIPES[name] / "hparams" / "train.yaml")
        for key in schema:
            for inner in (schema[key], *schema[key].inside.values()):
                if inner.choices:
                    yield name, inner


def test_every_choice_is_taken(tmp_path):
    for name, declaration in declarations_with_choices():
        key = declaration.name
        if key in READ_BY:
            assert set(declaration.choices) <= set(READ_BY[key]), f"{name} {key}"
            continue
        for choice in declaration.choices:
            try:
                read_by(key, choice, tmp_path)
            except ManifestError as error:
                assert f"{key}: '{choice}'" not in str(error), error


@every_recipe
def test_readme(name):
    folder = RECIPES[name]
    text = (folder / "README.md").read_text("utf-8")
    known = {key for file in folder.glob("hparams/*.yaml") for key in keys(file)}
    verbs = r"(predict|convert|download|mix|run pretraining)"
    others = rf"s3prl-sb {verbs}\b([^`\n\\]|\\\n)*|python benchmarks/[^`]*"
    of_recipes = re.sub(others, "", text)
    named = set(re.findall(r"(?<![\w-])--([a-z]\w*)", of_recipes))
    for key in named - {"nproc_per_node", "nnodes", "node_rank"}:  # torchrun's
        assert key in known | run_options(), f"--{key} in {name}/README.md is no key"
    assert f"s3prl-sb run {name} " in text
    for key in {"data_folder", "upstream", "total_steps"} & known:
        assert key in named, f"{name}/README.md does not say what --{key} does"
    assert (folder / "train.py").read_text("utf-8").startswith("#!/usr/bin/env python3")


@every_recipe
def test_its_small_corpus(name, tmp_path):
    """Its keys are the recipe's, its tables are files."""
    file = RECIPES[name] / "small.py"
    assert file.is_file(), f"{file} is missing: tests/integration needs it"
    schema, made = Schema.of(RECIPES[name] / "hparams" / "train.yaml"), small(name)
    keys = {**made.BUDGET, **made.corpus(tmp_path / "corpus")}
    assert any((tmp_path / "corpus").iterdir())
    tables = made.tables(tmp_path)
    assert set(keys) | set(tables) <= set(schema)
    assert tables["test_csv"].is_file()
