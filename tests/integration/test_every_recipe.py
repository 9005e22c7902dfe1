"""Every recipe's whole way: from audio to an export, killed, and in two processes.

What is particular to a task, its tables and what its predictions must be, is in
``small.py`` of its folder: see ``tests/contract/small/tasks.py``.
"""

import json
import math
import re
import shutil
import sys
from pathlib import Path

import numpy
import pytest
import torch
import yaml
from conftest import assert_same_outcome, command, results, trained

from s3prl_sb.cli import main
from s3prl_sb.inference import export, load
from s3prl_sb.schema.keys import Schema

sys.path.append(str(Path(__file__).parents[1] / "contract/small"))
from tasks import DEFAULTS, RECIPES, small  # noqa: E402

TINY = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config: {hidden_size: 16, ffn_size: 16, num_layers: 2, num_heads: 2,
             position_groups: 2, position_kernel: 8,
             conv_layers: [[8, 10, 5], [8, 8, 4], [8, 4, 4]]}
"""
BUDGET = {"total_steps": 4, "steps_per_epoch": 2, "batch_size": 4}
SCHEMA = {
    "version": int,
    "task": str,
    "upstream": str,
    "chosen_by": dict,
    "metrics": dict,
    "valid": dict,
    "utterances": dict,
    "test": dict,
    "seed": int,
    "total_steps": int,
    "best_step": int,
    "stopped": type(None),
    "layers": list,
    "layer_weights": list,
    "seconds": float,
    "peak_memory_gb": float,
    "device": str,
    "upstream_model": dict,
    "training": dict,
    "settings": dict,
    "defaults": dict,
    "protocol": dict,
    "identity": dict,
    "versions": dict,
}


def every_recipe(function):
    return pytest.mark.parametrize("name", RECIPES)(function)


def with_key(key):
    """Parametrizes a test over the recipes that have a key."""
    names = [name for name in RECIPES if key in Schema.of(hparams_file(name))]
    return pytest.mark.parametrize("name", names)


def labels(name):
    """Returns what the labels of a recipe are; None if it does not say."""
    return (Schema.of(hparams_file(name)).tree.get("__labels") or {}).get("are")


def one_of_a_kind(function):
    """Parametrizes a test over recipes of other labels or heads, one of each."""
    kinds = {}
    for name in RECIPES:
        tree = Schema.of(hparams_file(name)).tree
        declared = {**(tree.get("__labels") or {}), "one_per": None}  # the same head
        if "noise" in tree:
            kinds[str(declared)] = name
    return pytest.mark.parametrize("name", kinds.values())(function)


def hparams_file(name):
    return RECIPES[name] / "hparams" / "train.yaml"


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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def finished(on_tables, launcher):
    """``finished(name)``: a whole run on these tables, without a cache."""
    done = {}

    def finished(name):
        if name not in done:
            folder, given = on_tables(name)
            done[name] = folder / "out"
            argv = arguments(name, done[name], **given)
            assert launcher.run(argv, plots=True) == 0
        return done[name]

    return finished


@pytest.fixture(scope="module")
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


@every_recipe
def test_debug_run_on_its_corpus(name, launcher, tmp_path):
    given = small(name).corpus(tmp_path / "corpus")
    given.setdefault("data_folder", tmp_path / "corpus")
    given.setdefault("upstream", "fbank_no_cmvn")
    argv = arguments(name, tmp_path / "out", "--debug", **given)
    assert launcher.run(argv) == 0
    found = json.loads((tmp_path / "out/debug/results.json").read_text())
    assert found["task"] == name and found["upstream"] == "fbank_no_cmvn"
    steps = found["best_step"]  # of each fold, where there are folds: none is idle
    assert not found["total_steps"] or min(numpy.atleast_1d(steps)) > 0
    assert not list((tmp_path / "out").glob("*.*"))  # of a run in earnest


@every_recipe
def test_debug_looks_at_a_few(name, on_tables, launcher, tmp_path):
    """Data that it does not use are neither hashed nor extracted."""
    folder, given = on_tables(name)
    given = {**given, "cache": "auto"}
    small_batches = {
        f"{split}_dataloader_opts": "{num_workers: 0, batch_size: 1}"
        for split in ("train", "valid", "test")
    }
    options = ("--debug", "--debug_batches=1")
    if "total_steps" in hparams_file(name).read_text():
        given.update(small_batches, batch_size=1, grad_accumulation_factor=1)
    argv = arguments(name, tmp_path / "out", *options, **given)
    assert launcher.run(argv) == 0
    found = json.loads((tmp_path / "out/debug/results.json").read_text())
    most = 5 if name == "SUPERB/QbE" else 1
    assert max(found["utterances"].values()) <= most
    whole = small(name).UTTERANCES
    assert sum(found["utterances"].values()) < sum(whole.values())


@every_recipe
def test_results(name, finished):
    found = json.loads((finished(name) / "results.json").read_text())
    trains = found["total_steps"] > 0
    schema = {**SCHEMA, "lr": float if trains else type(None)}
    assert {key: type(value) for key, value in found.items()} == schema
    assert found["task"] == name
    metric = found["chosen_by"]["metric"]
    assert metric in found["metrics"] and metric in found["valid"]
    assert isinstance(found["chosen_by"]["highest"], bool)
    assert found["utterances"] == small(name).UTTERANCES
    assert found["upstream_model"]["trained"] == "frozen"
    has_protocol = "__protocol:" in hparams_file(name).read_text()
    # Few tables are not the protocol's data
    assert found["protocol"]["followed"] is (False if has_protocol else None)
    assert found["protocol"]["data"] == "own tables"
    assert found["settings"].keys() == found["defaults"].keys()
    assert {"cache", "test_csv"} <= found["settings"].keys()
    if trains:
        assert 0 < found["best_step"] <= found["total_steps"]
    assert len(found["layer_weights"]) == len(found["layers"]) <= 3
    assert sum(found["layer_weights"]) == pytest.approx(1, abs=1e-5)
    for stats in (found["metrics"], found["valid"]):
        assert all(isinstance(value, float) for value in stats.values())
    assert set(found["versions"]) == {"s3prl_sb", "speechbrain", "torch"}


@every_recipe
def test_what_a_run_leaves(name, finished):
    left = {path.name for path in finished(name).iterdir()}
    expected = {"results.json", "predictions.csv", "hyperparams.yaml", "save"}
    if results(finished(name))["total_steps"]:
        expected.add("train_log.txt")
    assert {*expected, "log.txt", "env.log"} <= left
    assert any(file.endswith(".png") for file in left)
    assert not [file for file in left if file.startswith(".")]


@every_recipe
def test_predictions_are_those_of_the_export(name, finished, exported, on_tables):
    folder, _ = on_tables(name)
    for model in (load(exported(name)), load(finished(name))):
        small(name).check(finished(name), model, folder)


def on_test(given):
    """The options of ``s3prl-sb score`` for the tables of a run."""
    names = ("test_csv", "documents_csv", "lexicon", "slots", "corpus")
    listed = [(f"--{name}", str(given[name])) for name in names if name in given]
    return [part for pair in listed for part in pair]


def everything(folder):
    """Returns the files of a run by name, without its caches."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@every_recipe
def test_score_of_its_own_test_set(
    name, finished, exported, on_tables, tmp_path, capsys
):
    """Gives the run's numbers and predictions, and leaves the run alone."""
    run, given = finished(name), on_tables(name)[1]
    before = everything(run)
    for model, output in ((exported(name), "a"), (run, "b")):
        argv = ["score", str(model), "--output", str(tmp_path / output)]
        argv += ["--device", "cpu", *on_test(given)]
        assert main(argv) == 0, capsys.readouterr().err
        printed = capsys.readouterr().out
        found, expected = results(tmp_path / output), results(run)
        assert found["metrics"] == {
            key: pytest.approx(value, rel=1e-5, abs=1e-6)
            for key, value in expected["metrics"].items()
            if key in found["metrics"]
        }
        metric = expected["chosen_by"]["metric"]
        assert metric in found["metrics"] and metric in printed
        # The same list, by content.
        assert found["test"]["sha256"] == expected["test"]["sha256"]
        assert found["test"]["utterances"] == expected["utterances"]["test"]
        assert found["test"]["name"] == expected["test"]["name"]
        assert found["test"]["hours"] > 0
        assert found["scored"]["model"] == str(model)
        same = [
            path.read_text()
            for path in (run, tmp_path / output)
            for path in [path / "predictions.csv"]
        ]
        assert ids(same[0]) == ids(same[1])
    assert everything(run) == before
    assert main(["results", str(tmp_path / "a")]) == 0
    assert "scored on" in capsys.readouterr().out


def shortened(table):
    """Writes a test list without its last entry beside it; gives its path."""
    text = table.read_text()
    if table.suffix == ".json":
        rows = json.loads(text)
        text = json.dumps(
            dict(list(rows.items())[:-1]) if isinstance(rows, dict) else rows[:-1]
        )
    else:
        text = "".join(text.splitlines(keepends=True)[:-1])
    other = table.with_name(f"other{table.suffix}")
    other.write_text(text)
    return other


@every_recipe
def test_another_test_list_is_refused_and_leaves_no_trace(
    name, finished, on_tables, launcher
):
    """Not even where it could not say good-bye; and the run's own command goes on."""
    run, given = finished(name), on_tables(name)[1]
    anew = ("log.txt", "run.lock", "tensorboard")  # of each command

    def left():
        return {
            path: content
            for path, content in everything(run).items()
            if not path.startswith(anew)
        }

    before = left()
    other = {**given, "test_csv": shortened(Path(given["test_csv"]))}
    words = launcher.failure(arguments(name, run, **other))
    assert "is of another test set" in words
    assert f"s3prl-sb score {run}" in words  # the answer: it would overwrite
    for kept in ("results.json", "predictions.csv"):
        assert left()[kept] == before[kept]
    assert launcher.run(arguments(name, run, **given)) == 0
    assert left() == before


def test_score_of_normalized_scores(on_tables, launcher, tmp_path, capsys):
    """A model has no cohort: it gives cosines, and says so."""
    given = {**on_tables("SUPERB/ASV")[1], "score_normalization": "as_norm"}
    given.update(cohort_size=4, top_n=2)
    run, output = tmp_path / "run", tmp_path / "scored"
    assert launcher.run(arguments("SUPERB/ASV", run, **given)) == 0
    argv = ["score", str(run), "--output", str(output), "--device", "cpu"]
    assert main([*argv, *on_test(given)]) == 0
    assert "plain cosines" in capsys.readouterr().err
    found, expected = results(output), results(run)
    for name in ("eer", "min_dcf"):
        cosines = expected["metrics"][f"cosine_{name}"]
        assert found["metrics"][name] == pytest.approx(cosines, abs=1e-6)
    assert expected["settings"]["score_normalization"] == "as_norm"
    assert "score_normalization" not in found["settings"]
    assert not any("as_norm" in words for words in found["protocol"]["differs"])


@every_recipe
def test_predict_as_json_and_files(name, finished, on_tables, tmp_path, capsys):
    wavs = [str(path) for path in sorted(on_tables(name)[0].rglob("*.wav"))[:3]]
    argv = ["predict", str(finished(name)), *wavs, "--device", "cpu"]
    assert main(argv) == 0
    text = capsys.readouterr().out
    output = tmp_path / "predicted"
    assert main([*argv, "--json", "--output", str(output)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records == json.loads((output / "predictions.json").read_text())
    pairs = name in ("SUPERB/ASV", "SUPERB/QbE")  # the first with each of the others
    assert len(records) == len(wavs) - pairs
    rows = (output / "predictions.csv").read_text().splitlines()
    assert len(rows) == len(records) + 1 and rows[0].split(",")[0] in records[0]
    others = {"SUPERB/SD": "hyp.rttm"}
    others |= dict.fromkeys(["SUPERB/ASR", "SUPERB/PR", "SUPERB/SF"], "hyp.txt")
    if name in others:  # what is printed
        assert (output / others[name]).read_text() == text


def ids(text):
    return [line.split(",")[0] for line in text.splitlines()]


ARPA = """\\data\\
ngram 1=5
ngram 2=1

\\1-grams:
-1.0\t<unk>\t0
-1.0\t<s>\t0
-1.0\t</s>\t0
-0.5\tSEE\t0
-0.5\tNO\t0

\\2-grams:
-0.3\tSEE NO

\\end\\
"""


def test_score_with_a_language_model(finished, on_tables, tmp_path, capsys):
    """Given later, to a run that was tested without one."""
    pytest.importorskip("flashlight.lib.text")
    (tmp_path / "lm.arpa").write_text(ARPA)
    run, given = finished("SUPERB/ASR"), on_tables("SUPERB/ASR")[1]
    argv = ["score", str(run), "--output", str(tmp_path / "out"), "--device", "cpu"]
    argv += ["--test_csv", str(given["test_csv"]), "--lm", str(tmp_path / "lm.arpa")]
    assert main(argv) == 0, capsys.readouterr().err
    found = results(tmp_path / "out")["metrics"]
    assert found["wer"] == results(run)["metrics"]["wer"]
    assert "wer_lm" in found and "wer_lm" in capsys.readouterr().out
    lines = (tmp_path / "out/hyp_lm.txt").read_text().splitlines()
    words = {word for line in lines for word in line.split("\t")[1].split()}
    assert words <= {"SEE", "NO"}


def test_score_of_a_run_with_a_language_model(on_tables, launcher, tmp_path, capsys):
    """Uses one only if it is given; else it says so, and claims none."""
    pytest.importorskip("flashlight.lib.text")
    (tmp_path / "lm.arpa").write_text(ARPA)
    given, run = on_tables("SUPERB/ASR")[1], tmp_path / "run"
    lm = tmp_path / "lm.arpa"
    assert launcher.run(arguments("SUPERB/ASR", run, **given, lm=lm)) == 0
    assert "wer_lm" in results(run)["metrics"]
    for model in (run, export(run, tmp_path / "exported")):
        argv = ["score", str(model), "--device", "cpu", "--test_csv"]
        argv += [str(given["test_csv"]), "--output"]
        assert main([*argv, str(tmp_path / "plain")]) == 0
        assert "which it does not keep" in capsys.readouterr().err
        found = json.loads((tmp_path / "plain/results.json").read_text())
        assert found["metrics"]["wer"] == results(run)["metrics"]["wer"]
        assert "wer_lm" not in found["metrics"]
        assert [k for k, v in found.items() if "lm.arpa" in str(v)] == []
        assert not (tmp_path / "plain/hyp_lm.txt").exists()
        assert main([*argv, str(tmp_path / "lm"), "--lm", str(lm)]) == 0
        assert "which it does not keep" not in capsys.readouterr().err
        found = json.loads((tmp_path / "lm/results.json").read_text())
        assert found["metrics"]["wer_lm"] == results(run)["metrics"]["wer_lm"]
        assert found["settings"]["lm"] == str(lm)
        shutil.rmtree(tmp_path / "plain")
        shutil.rmtree(tmp_path / "lm")


@every_recipe
def test_score_of_a_corpus(name, finished, tmp_path, capsys):
    """The recipe finds the test set; what the model does not know is an error."""
    given = small(name).corpus(tmp_path / "corpus")
    given.setdefault("data_folder", tmp_path / "corpus")
    if name == "SUPERB/ER":  # of a run without folds
        given["fold"] = 1
    argv = ["score", str(finished(name)), "--output", str(tmp_path / "out")]
    argv += [part for key, value in given.items() for part in (f"--{key}", str(value))]
    status = main(argv)
    out, err = capsys.readouterr()
    if status:  # its words are others than those of the run
        lines = [n for n in err.splitlines() if not n.startswith("Warning: ")]
        assert "the model knows no" in err and len(lines) <= 3, err
    else:
        assert results(tmp_path / "out")["test"]["name"] in out


@every_recipe
def test_a_test_on_cached_features_is_exact(name, on_tables, launcher, tmp_path):
    """Scores equal the predictions of run and export, although training is rounded."""
    folder, given = on_tables(name)
    run_folder = tmp_path / "out"
    argv = arguments(name, run_folder, **{**given, "cache": "auto"})
    assert launcher.run(argv) == 0
    log = (run_folder / "log.txt").read_text()
    if "total_steps" in hparams_file(name).read_text():
        assert re.search(r"Cache of the test set: (pooled|frames) \(exact", log)
        rounded = "Cache of the train set: frames (rounded" in log
        crops = "train set: off (its audio is another one" in log
        assert rounded or crops or "Cache of the train set: pooled (exact" in log
    exported = export(run_folder, tmp_path / "exported")
    for model in (load(exported), load(run_folder)):
        small(name).check(run_folder, model, folder)


def kills(name):
    """Returns where a recipe is killed: at its own points, or at one of everyone's.

    Each of these is taken by several recipes.
    """
    shared = [recipe for recipe in RECIPES if small(recipe).KILLS == DEFAULTS["KILLS"]]
    points = small(name).KILLS
    if name not in shared:
        return points
    return [points[shared.index(name) % len(points)]]


def test_every_point_kills_several_recipes():
    points = [point for name in RECIPES for point in kills(name)]
    assert all(kills(name) for name in RECIPES)
    assert all(points.count(point) >= 2 for point in DEFAULTS["KILLS"])


@every_recipe
def test_killed_and_resumed(name, finished, on_tables, launcher, tmp_path):
    argv = arguments(name, tmp_path / "out", **on_tables(name)[1])
    for point, call, how in kills(name):
        kill = {"point": point, "call": call, "how": how}
        assert launcher.run(argv, kill=kill) == -9, f"{point} is not called so often"
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "out", finished(name))


@every_recipe
def test_two_processes(name, finished, on_tables, launcher, tmp_path):
    """Learn what one learns, where nothing but the order is random."""
    output, one, given = tmp_path / "out", None, on_tables(name)[1]
    if small(name).DROPOUT:  # without what they draw differently
        head = yaml.safe_load(small(name).BUDGET["head"])
        given = dict(given)
        if "spec_augment:" in hparams_file(name).read_text():
            given["spec_augment"] = "null"
        given["head"] = json.dumps({**head, "dropout": 0.0})
        one = tmp_path / "one"
        assert launcher.run(arguments(name, one, **given)) == 0
    one = one or finished(name)
    assert launcher.run_distributed(arguments(name, output, **given)) == 0
    assert_close_outcome(output, one)


def assert_close_outcome(output, one):
    """The same utterances and metrics, and weights that are the same but for sums."""
    found, expected = results(output), results(one)
    assert found["utterances"] == expected["utterances"]
    assert found["metrics"].keys() == expected["metrics"].keys()
    texts = [(folder / "predictions.csv").read_text() for folder in (output, one)]
    assert sorted(ids(texts[0])) == sorted(ids(texts[1]))
    weights, others = trained(output), trained(one)
    assert weights.keys() == others.keys()
    for key, value in others.items():
        if torch.is_tensor(value):
            torch.testing.assert_close(weights[key], value, atol=2e-5, rtol=1e-3)


def test_batches_by_seconds_are_rehearsed_and_learn(on_tables, launcher, tmp_path):
    given = {**on_tables("SUPERB/SID")[1], "batch_seconds": 1.5}
    assert launcher.run(arguments("SUPERB/SID", tmp_path / "out", **given)) == 0
    assert results(tmp_path / "out")["utterances"] == small("SUPERB/SID").UTTERANCES
    assert "The largest batch fits" in (tmp_path / "out/log.txt").read_text()


@one_of_a_kind
def test_learning_rates_are_searched(name, on_tables, launcher, tmp_path):
    """The chosen one is then an ordinary run's, to the last bit."""
    given = on_tables(name)[1]
    rates = "[0.01, 1.0e-9]"
    searched = tmp_path / "searched"
    assert launcher.run(arguments(name, searched, **given, lr_search=rates)) == 0
    found = json.loads((searched / "lr_search.json").read_text())
    assert found["best"] == results(searched)["lr"]
    assert found["best"] in (0.01, 1e-9)
    alone = tmp_path / "alone"
    assert launcher.run(arguments(name, alone, **given, lr=found["best"])) == 0
    assert_same_outcome(searched, alone)


@with_key("batch_seconds")
def test_half_precision(name, on_tables, launcher, tmp_path):
    """Losses and metrics stay finite where products are in bfloat16."""
    given = {**on_tables(name)[1], "batch_seconds": 2}
    halves = ("--precision=bf16", "--eval_precision=bf16")
    if "balance:" in hparams_file(name).read_text():  # which is of batch_size
        del given["batch_seconds"]
    assert launcher.run(arguments(name, tmp_path / "out", *halves, **given)) == 0
    found = results(tmp_path / "out")
    for stats in (found["metrics"], found["valid"]):
        assert all(math.isfinite(value) for value in stats.values()), stats


def test_two_processes_train_an_upstream_of_which_layers_are_used(
    on_tables, launcher, tmp_path
):
    given = {**on_tables("SUPERB/SID")[1], "freeze": False, "featurizer": "{layers: 1}"}
    argv = arguments("SUPERB/SID", tmp_path / "out", **given)
    assert launcher.run_distributed(argv) == 0
    assert results(tmp_path / "out")["layers"] == [1]


# ------------------------------------------------- one thing changed for all tasks
#: Another head by its name; noise, of which an utterance has two forms that are cached.
VARIED = {
    "head": "mlp",
    "noise": "{snr: [0, 15], draws: 2}",
    "test_noise": "{snr: 10}",
}
CACHED = {"cache": "auto", "cache_dtype": "float32"}
CROPPED = {"crop_seconds": 0.3, "crops": 2}
#: All keys of the optimization together.
FINETUNED = {
    "freeze": False,
    "lr_upstream": 0.001,
    "scheduler": "cosine",
    "warmup_steps": 0.5,
    "weight_decay_on": "matrices",
    "layer_decay": 0.5,
    "unfreeze_after": 1,
    "patience": 1,
}


def variation(name):
    """Returns the keys that vary a recipe."""
    return VARIED if labels(name) == "tokens" else {**VARIED, **CROPPED}


@pytest.fixture(scope="module")
def varied(on_tables, launcher):
    """``varied(name)``: a whole run of :data:`VARIED`, and its options."""
    done = {}

    def varied(name):
        if name not in done:
            folder, given = on_tables(name)
            given = {**given, **variation(name), **CACHED}
            given["cache_folder"] = folder / "varied-cache"
            if "spec_augment" in Schema.of(hparams_file(name)):
                given["spec_augment"] = "null"  # two processes draw other masks
            done[name] = folder / "varied", given
            assert launcher.run(arguments(name, done[name][0], **given)) == 0
        return done[name]

    return varied


@with_key("noise")
def test_varied_in_two_processes(name, varied, launcher, tmp_path):
    expected, given = varied(name)
    argv = arguments(name, tmp_path / "out", **given)
    assert launcher.run_distributed(argv) == 0
    assert_close_outcome(tmp_path / "out", expected)


@one_of_a_kind
def test_varied_killed_and_resumed(name, varied, launcher, tmp_path):
    expected, given = varied(name)
    log = (expected / "log.txt").read_text()
    assert re.search(r"Cache of the train set: (pooled|frames)", log), log
    argv = arguments(name, tmp_path / "out", **given)
    kill = {"point": "s3prl_sb.brains.base.SSLBrain.fit_batch", "how": "after"}
    assert launcher.run(argv, kill={**kill, "call": 3}) == -9
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "out", expected)


@one_of_a_kind
def test_varied_without_a_cache(name, varied, launcher, tmp_path):
    """Cached draws are those that training would make itself."""
    expected, given = varied(name)
    output = tmp_path / "out"
    assert launcher.run(arguments(name, output, **{**given, "cache": "off"})) == 0
    assert_close_outcome(output, expected)
    for part in ("valid", "metrics"):
        numbers = results(expected)[part]
        assert results(output)[part] == pytest.approx(numbers, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", [n for n in RECIPES if labels(n) == "tokens"])
def test_crops_of_texts_are_refused(name, on_tables, launcher, tmp_path):
    given = {**on_tables(name)[1], **CROPPED}
    words = launcher.failure(arguments(name, tmp_path / "out", **given))
    assert "crop_seconds 0.3 does not fit this task" in words
    assert "a part of the audio does not have the whole text" in words


@with_key("scheduler")
def test_varied_and_fine_tuned_by_a_schedule(name, on_tables, launcher, tmp_path):
    """Killed and resumed, to the last bit."""
    given = {**on_tables(name)[1], **variation(name), **FINETUNED}
    whole = tmp_path / "whole"
    assert launcher.run(arguments(name, whole, **given)) == 0
    argv = arguments(name, tmp_path / "out", **given)
    kill = {"point": "s3prl_sb.brains.base.SSLBrain.fit_batch", "how": "after"}
    assert launcher.run(argv, kill={**kill, "call": 3}) == -9
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "out", whole)
    assert results(whole)["upstream_model"]["trained"] == "fine-tuned"


def test_searched_in_noise(finished, on_tables, launcher, tmp_path):
    """Noise of a test is a function of the utterance: twice the same."""
    name = "SUPERB/QbE"
    given = {**on_tables(name)[1], "test_noise": "{snr: 0}"}
    outputs = tmp_path / "a", tmp_path / "b"
    for output in outputs:
        assert launcher.run(arguments(name, output, **given)) == 0
    assert_same_outcome(*outputs)
    noisy, clean = results(outputs[0]), results(finished(name))
    assert noisy["valid"] == clean["valid"] and noisy["layers"] == clean["layers"]
    predictions = [
        (folder / "predictions.csv").read_text()
        for folder in (outputs[0], finished(name))
    ]
    assert predictions[0] != predictions[1]
    assert noisy["test"]["conditions"]["test_noise"] == {"snr": 0}
