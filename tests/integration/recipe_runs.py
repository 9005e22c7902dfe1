"""Runs of every recipe at a small size, and which recipes a test takes.

What a recipe itself can get wrong is tested with every recipe. What recipes share is
tested once for each kind of recipe: see :func:`kind`. What depends on their training
alone is tested once for all Brains that train in the same way: see :func:`training`.
"""

import ast
import importlib
import inspect
import sys
from pathlib import Path

import pytest
from command_lines import command
from outcomes import ids, results

from s3prl_sb.cli import main
from s3prl_sb.hyperyaml.nodes import tag, walk
from s3prl_sb.inference import export
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.schema.keys import Schema

sys.path.append(str(Path(__file__).parents[1] / "contract/small"))
from tasks import RECIPES, small  # noqa: E402

TINY = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config: {hidden_size: 16, ffn_size: 16, num_layers: 2, num_heads: 2,
             position_groups: 2, position_kernel: 8,
             conv_layers: [[8, 10, 5], [8, 8, 4], [8, 4, 4]]}
"""
BUDGET = {"total_steps": 4, "steps_per_epoch": 2, "batch_size": 4}
#: Methods with which Brains of one training differ in their evaluation.
EVALUATION = {"score", "stage_stats", "write_predictions", "interface", "targets_of"}
EVALUATION |= {"tracks", "_edits", "_without_marks", "contributions", "measures"}


# --------------------------------------------------------------- which recipes
def hparams_file(name):
    return RECIPES[name] / "hparams" / "train.yaml"


def every_recipe(function):
    return pytest.mark.parametrize("name", RECIPES)(function)


def labels(name):
    """Returns what the labels of a recipe are; None if it does not say."""
    return (Schema.of(hparams_file(name)).tree.get("__labels") or {}).get("are")


def kind(name):
    """Returns what a recipe shares with others: all but its corpus and its numbers.

    These are its Brain, the methods of one that it writes itself, its labels, and the
    classes of its pipes.
    """
    brains = []
    for node in _classes(name):
        written = any(isinstance(part, ast.FunctionDef) for part in node.body)
        brains.append((list(map(ast.unparse, node.bases)), written and name))
    return str((brains, *_labels_and_pipes(name)))


def training(name):
    """Returns what the training of a recipe depends on, see :func:`kind`.

    A Brain that only evaluates in another way trains as the Brain that it derives from.
    """
    brains = []
    for node in _classes(name):
        written = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
        bases = [_imported(name, ast.unparse(base)) for base in node.bases]
        trains = [c.__name__ for base in bases for c in inspect.getmro(base) if _own(c)]
        alone = written - EVALUATION or object in bases
        brains.append((trains, alone and name))
    return str((brains, *_labels_and_pipes(name)))


def _classes(name):
    program = ast.parse((RECIPES[name] / "train.py").read_text())
    return [node for node in program.body if isinstance(node, ast.ClassDef)]


def _imported(name, word):
    """Returns the package's Brain that a train.py imports, object for another one."""
    program = ast.parse((RECIPES[name] / "train.py").read_text())
    for node in program.body:
        module = getattr(node, "module", None) or ""
        if module.startswith("s3prl_sb.") and word in {a.name for a in node.names}:
            return getattr(importlib.import_module(module), word)
    return object


def _own(brain):
    """Returns the methods that a class itself has, for training."""
    return {key for key, value in vars(brain).items() if callable(value)} - EVALUATION


def _labels_and_pipes(name):
    tree = Schema.of(hparams_file(name)).tree
    pipes = [node for key in tree if key.endswith("_pipes") for node in walk(tree[key])]
    return _label_kind(name), sorted({str(tag(node)) for node in pipes})


def _label_kind(name):
    declared = Schema.of(hparams_file(name)).tree.get("__labels") or {}
    return str({**declared, "one_per": None})  # the same head


def kinds(*having, by=kind):
    """Returns one recipe of each kind that has some keys."""
    found = {}
    for name in RECIPES:
        if all(key in Schema.of(hparams_file(name)) for key in having):
            found[by(name)] = name  # the last one: a user's own
    return list(found.values())


def one_of_a_kind(*having):
    """Parametrizes a test over one recipe of each kind that has some keys."""
    return pytest.mark.parametrize("name", kinds(*having))


def one_of_each_training(*having):
    """The same over one recipe of each training."""
    return pytest.mark.parametrize("name", kinds(*having, by=training))


def one_of_each_labels(*having):
    """The same over one recipe of each kind of labels."""
    return pytest.mark.parametrize("name", kinds(*having, by=_label_kind))


# ------------------------------------------------------------------------ runs
def arguments(name, output, *options, **overrides):
    """The recipe's command line, with a budget of a few steps."""
    trains = "total_steps" in hparams_file(name).read_text()
    budget, loaders = {}, {}
    if trains:
        budget = {**BUDGET, "ckpt_interval_steps": 1, **small(name).BUDGET}
        loaders = {
            f"{split}_dataloader_opts": "{num_workers: 0, batch_size: 4}"
            for split in ("train", "valid", "test")
        }
    return command(
        RECIPES[name], output, *options, **{**budget, **loaders, **overrides}
    )


def on_test(given):
    """The options of ``s3prl-sb score`` for the tables of a run."""
    names = ("test_csv", "test_items", "documents_csv", "lexicon", "slots", "corpus")
    listed = [(f"--{name}", str(given[name])) for name in names if name in given]
    return [part for pair in listed for part in pair]


def everything(folder):
    """Returns the files of a run by name, without its caches."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def assert_scored(model, run, given, output, capsys):
    """``s3prl-sb score`` of a run, or of its export, on the tables of the run."""
    argv = ["score", str(model), "--output", str(output), "--device", "cpu"]
    assert main([*argv, *on_test(given)]) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    found, expected = results(output), results(run)
    assert found["metrics"] == {
        key: pytest.approx(value, rel=1e-5, abs=1e-6)
        for key, value in expected["metrics"].items()
        if key in found["metrics"]
    }
    metric = expected["chosen_by"]["metric"]
    assert metric in found["metrics"] and metric in printed
    # The same items, and what each contributed
    measures, before = map(Measures.read, (output, run))
    assert measures.items == before.items and measures.units == before.units
    assert set(measures.names) <= set(before.names)
    assert found["intervals"].keys() == expected["intervals"].keys()
    # The same list, by content.
    assert found["test"]["sha256"] == expected["test"]["sha256"]
    assert found["test"]["utterances"] == expected["utterances"]["test"]
    assert found["test"]["name"] == expected["test"]["name"]
    assert found["test"]["hours"] > 0
    assert found["scored"]["model"] == str(model)
    texts = [(folder / "predictions.csv").read_text() for folder in (run, output)]
    assert ids(texts[0]) == ids(texts[1])


@pytest.fixture(scope="session")
def on_tables(tmp_path_factory):
    """``on_tables(name)``: a folder of custom tables, and their options."""
    made = {}

    def on_tables(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name.replace("/", "-"))
            (folder / "tiny.yaml").write_text(TINY)
            given = small(name).tables(folder)
            given.update(upstream=folder / "tiny.yaml", cache="off")
            made[name] = folder, given
        return made[name]

    return on_tables


@pytest.fixture(scope="session")
def finished(on_tables, launcher):
    """``finished(name)``: a whole run on these tables, without a cache.

    One of a kind has plots.
    """
    done, plotted = {}, kinds()

    def finished(name):
        if name not in done:
            folder, given = on_tables(name)
            done[name] = folder / "out"
            argv = arguments(name, done[name], **given)
            assert launcher.run(argv, plots=name in plotted) == 0
        return done[name]

    return finished


@pytest.fixture(scope="session")
def exported(finished, tmp_path_factory):
    """``exported(name)``: the export of that run, moved after it was made."""
    done = {}

    def exported(name):
        if name not in done:
            folder = tmp_path_factory.mktemp("exported")
            made = export(finished(name), folder / "made")
            done[name] = made.rename(folder / "moved")
        return done[name]

    return exported
