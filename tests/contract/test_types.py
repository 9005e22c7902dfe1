"""The doors have types: what others call or override is annotated.

``mypy`` checks that the annotations are right, for the files that pyproject.toml lists;
it does not ask for any. This test does.
"""

import ast
from pathlib import Path

import pytest

import s3prl_sb

PACKAGE = Path(s3prl_sb.__file__).parent
#: Files whose public functions and methods are all annotated.
DOORS = [
    "analysis/abx.py",
    "analysis/cka.py",
    "analysis/items.py",
    "analysis/triples.py",
    "analysis/utterances.py",
    "brains/evaluation.py",
    "dataio/cache.py",
    "dataio/conditions.py",
    "dataio/cropping.py",
    "dataio/ctm.py",
    "dataio/dataset.py",
    "dataio/frame_labels.py",
    "dataio/label_files.py",
    "dataio/kaldi_alignments.py",
    "dataio/kaldi_folders.py",
    "dataio/manifest.py",
    "dataio/noise.py",
    "dataio/pipes.py",
    "dataio/quantization.py",
    "dataio/reverb.py",
    "dataio/shards.py",
    "dataio/speed.py",
    "dataio/textgrid.py",
    "dataio/time_map.py",
    "dataio/timeline.py",
    "dataio/timeline_decoding.py",
    "dataio/utterance_values.py",
    "feature_files/cmvn.py",
    "feature_files/sources.py",
    "feature_files/writing.py",
    "inference/loading.py",
    "inference/recognizer.py",
    "inference/windows.py",
    "lobes/cards/check.py",
    "lobes/cards/loading.py",
    "lobes/featurizer.py",
    "lobes/heads/check.py",
    "lobes/heads/composed.py",
    "lobes/heads/contract.py",
    "lobes/heads/parts.py",
    "lobes/heads/pooling.py",
    "lobes/heads/utterance.py",
    "lobes/time_alignment.py",
    "lobes/upstreams/base.py",
    "lobes/upstreams/pretrained.py",
    "metrics/bootstrap.py",
    "metrics/cross_effects.py",
    "metrics/measure_draws.py",
    "metrics/measure_entries.py",
    "metrics/measure_intervals.py",
    "metrics/measure_parts.py",
    "metrics/measure_tables.py",
    "metrics/measures.py",
    "metrics/psds.py",
    "metrics/psds_changes.py",
    "metrics/psds_counts.py",
    "metrics/resampled.py",
    "metrics/same_items.py",
    "metrics/timeline_score.py",
    "metrics/weighted_correlations.py",
    "metrics/weighted_detections.py",
    "metrics/weighted_labels.py",
    "metrics/weighted_ranks.py",
    "metrics/weighted_searches.py",
    "metrics/weighted_sums.py",
    "metrics/word_attribution.py",
    "plotting/pages.py",
    "plotting/picture.py",
    "plotting/sheet.py",
    "plotting/timeline_page.py",
    "report/blocks.py",
    "report/charts.py",
    "report/escaping.py",
    "report/gathered.py",
    "report/grids.py",
    "report/making.py",
    "schema/named_heads.py",
    "startup/arguments.py",
    "startup/configuration.py",
    "startup/experiment.py",
    "storage/ark_lists.py",
    "storage/arks.py",
    "units/applying.py",
    "units/fitting.py",
    "units/index.py",
    "units/recipe.py",
    "units/speech.py",
    "unlabelled/batches.py",
    "unlabelled/dataset.py",
    "unlabelled/index.py",
    "unlabelled/preparing.py",
    "unlabelled/sampler.py",
]
#: Methods of SpeechBrain's Brain, whose signatures are SpeechBrain's, and of torch.
FOREIGN = {"compute_forward", "compute_objectives", "evaluate", "forward", "train"}


def functions(tree):
    """Yields (qualified name, node) of public functions and methods."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for method in node.body:
                if isinstance(method, ast.FunctionDef):
                    if not method.name.startswith("_"):
                        yield f"{node.name}.{method.name}", method


def unannotated(node):
    """Returns the names of arguments without a type, and "return"."""
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = [
        a.arg for a in every if a.annotation is None and a.arg not in ("self", "cls")
    ]
    setter = any(ast.unparse(d).endswith(".setter") for d in node.decorator_list)
    return names + ["return"] * (node.returns is None and not setter)


def lacking(path, wanted=lambda name: True):
    """Returns "function: arguments" for each public function that lacks a type."""
    tree = ast.parse(path.read_text("utf-8"))
    return [
        f"{name}: {', '.join(missing)}"
        for name, node in functions(tree)
        if wanted(name.rpartition(".")[2]) and (missing := unannotated(node))
    ]


@pytest.mark.parametrize("door", DOORS)
def test_doors_are_annotated(door):
    assert not lacking(PACKAGE / door, lambda name: name not in FOREIGN)


CORPORA = sorted((PACKAGE / "corpora").glob("*.py"))


@pytest.mark.parametrize("path", CORPORA, ids=lambda path: path.name)
def test_preparations_are_annotated(path):
    assert not lacking(path, lambda name: name.startswith(("prepare_", "download_")))


def test_finds_what_is_not_annotated(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("def f(x: int, y):\n    pass\ndef _g(x):\n    pass\n")
    assert lacking(path) == ["f: y, return"]
