"""Every recipe's whole way: from audio to an export, killed, and in two processes.

What is particular to a task, its tables and what its predictions must be, is in
``small.py`` of its folder: see ``tests/contract/small/tasks.py``. What recipes of a
kind share is in ``test_every_kind.py``, or below where it needs a finished run.
"""

import functools
import json
import re
import sys
from pathlib import Path

import numpy
import pytest
import yaml
from outcomes import assert_close_outcome, assert_same_outcome, results
from recipe_runs import (
    arguments,
    assert_scored,
    every_recipe,
    everything,
    hparams_file,
    kinds,
    labels,
    one_of_a_kind,
    one_of_each_labels,
    one_of_each_training,
    training,
)
from tasks import DEFAULTS, small

from s3prl_sb.cli import main
from s3prl_sb.inference import export, load
from s3prl_sb.metrics.measures import Measures

CTC = ["ML-SUPERB/ASR", "ML-SUPERB/LID", "SLUE/NER"]
CTC += ["SUPERB/ASR", "SUPERB/OOD-ASR", "SUPERB/PR", "SUPERB/SF"]
SCHEMA = {
    "version": int,
    "task": str,
    "upstream": str,
    "chosen_by": dict,
    "metrics": dict,
    "intervals": dict,
    "valid": dict,
    "utterances": dict,
    "test": dict,
    "seed": int,
    "total_steps": int,
    "best_step": int,
    "stopped": type(None),
    "layers": list,
    "layer_weights": list,
    "search": type(None),
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


@every_recipe
def test_debug_run_on_its_corpus(name, launcher, tmp_path):
    """It looks at one utterance of each set."""
    given = small(name).corpus(tmp_path / "corpus")
    given.setdefault("data_folder", tmp_path / "corpus")
    given.setdefault("upstream", "fbank_no_cmvn")
    if "total_steps" in hparams_file(name).read_text():
        given.update(batch_size=1, grad_accumulation_factor=1)
        for split in ("train", "valid", "test"):
            given[f"{split}_dataloader_opts"] = "{num_workers: 0, batch_size: 1}"
    options = ("--debug", "--debug_batches=1")
    assert launcher.run(arguments(name, tmp_path / "out", *options, **given)) == 0
    found = json.loads((tmp_path / "out/debug/results.json").read_text())
    most = {"LibriSpeech/ABX": 4, "SUPERB/QbE": 4}.get(name, 1)
    for numbers in found["utterances"].values():  # of each fold, where there are folds
        assert max(numpy.atleast_1d(numbers)) <= most
    assert found["task"] == name and found["upstream"] == "fbank_no_cmvn"
    steps = found["best_step"]  # of each fold: none is idle
    assert not found["total_steps"] or min(numpy.atleast_1d(steps)) > 0
    assert not list((tmp_path / "out").glob("*.*"))  # of a run in earnest


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
    assert found["intervals"]["metrics"].keys() <= found["metrics"].keys()
    for stats in (found["metrics"], found["valid"]):
        assert all(isinstance(value, float) for value in stats.values())
    assert set(found["versions"]) == {"s3prl_sb", "speechbrain", "torch"}


#: Metrics of a run that have no interval, see s3prl_sb/brains/measuring.py.
WITHOUT_INTERVAL = re.compile(
    "loss|threshold|median|min_duration|step|frame_average_precision|"
    "(speaker|event)_(threshold|median)|.*_(std|deviation)"
)


@every_recipe
def test_measures_give_the_metrics(name, finished):
    """Each metric, from what single items contributed to it, and an interval."""
    folder, found = finished(name), results(finished(name))
    measures = Measures.read(folder)
    for metric in measures.names:
        value = found["metrics"][metric]
        assert measures.value(metric) == pytest.approx(value, rel=1e-6, abs=1e-6)
    others = found["metrics"].keys() - set(measures.names)
    without = {n for n in others if WITHOUT_INTERVAL.fullmatch(n)}
    assert others == without
    intervals = found["intervals"]
    assert intervals["unit"] == measures.unit
    if intervals["units"] > 1:
        assert found["chosen_by"]["metric"] in intervals["metrics"]
    for metric, (low, high) in intervals["metrics"].items():
        if measures.entries[metric].kind in ("mean", "ratio"):
            assert low <= found["metrics"][metric] <= high
    size = (folder / "measures.json").stat().st_size
    assert size < 1000 * (1 + len(measures.items))


@every_recipe
def test_what_a_run_leaves(name, finished):
    left = {path.name for path in finished(name).iterdir()}
    expected = {"results.json", "predictions.csv", "hyperparams.yaml", "save"}
    expected.add("measures.json")
    if results(finished(name))["total_steps"]:
        expected.add("train_log.txt")
    assert {*expected, "log.txt", "env.log"} <= left
    assert any(file.endswith(".png") for file in left) == (name in kinds())
    assert not [file for file in left if file.startswith(".")]


@every_recipe
def test_predictions_are_those_of_the_export(name, finished, exported, on_tables):
    folder, _ = on_tables(name)
    for model in (load(exported(name)), load(finished(name))):
        small(name).check(finished(name), model, folder)


@one_of_a_kind()
def test_score_of_its_own_test_set(name, finished, on_tables, tmp_path, capsys):
    """Gives the run's numbers and predictions, and leaves the run alone."""
    run, before = finished(name), everything(finished(name))
    assert_scored(run, run, on_tables(name)[1], tmp_path / "scored", capsys)
    assert everything(run) == before
    assert main(["results", str(tmp_path / "scored")]) == 0
    assert "scored on" in capsys.readouterr().out


@one_of_each_labels()
def test_score_of_the_export(name, finished, exported, on_tables, tmp_path, capsys):
    """Gives the numbers and predictions of the run, without the run."""
    run, given = finished(name), on_tables(name)[1]
    assert_scored(exported(name), run, given, tmp_path / "scored", capsys)


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


@one_of_each_labels()
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


@one_of_a_kind()
def test_predict_as_json_and_files(name, finished, on_tables, tmp_path, capsys):
    wavs = [str(path) for path in sorted(on_tables(name)[0].rglob("*.wav"))[:3]]
    argv = ["predict", str(finished(name)), *wavs, "--device", "cpu"]
    assert main(argv) == 0
    text = capsys.readouterr().out
    output = tmp_path / "predicted"
    assert main([*argv, "--json", "--output", str(output)]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records == json.loads((output / "predictions.json").read_text())
    # The first one with each of the others
    pairs = name in ("LibriSpeech/ABX", "SUPERB/ASV", "SUPERB/QbE")
    assert len(records) == len(wavs) - pairs
    rows = (output / "predictions.csv").read_text().splitlines()
    assert len(rows) == len(records) + 1 and rows[0].split(",")[0] in records[0]
    others = {"SUPERB/SD": "hyp.rttm"}
    others |= dict.fromkeys(CTC, "hyp.txt")
    if name in others:  # what is printed
        assert (output / others[name]).read_text() == text


@pytest.fixture
def without_plots(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


@every_recipe
def test_score_of_a_corpus(name, finished, without_plots, tmp_path, capsys):
    """The recipe finds the test set; what the model does not know is an error."""
    given = small(name).corpus(tmp_path / "corpus")
    given.setdefault("data_folder", tmp_path / "corpus")
    single = {"SUPERB/ER": ("fold", 1), "SUPERB/OOD-ASR": ("language", "es")}
    if name in single:  # of a run without folds or corpora
        given |= [single[name]]
    argv = ["score", str(finished(name)), "--output", str(tmp_path / "out")]
    argv += [part for key, value in given.items() for part in (f"--{key}", str(value))]
    status = main(argv)
    out, err = capsys.readouterr()
    if status:  # its words are others than those of the run
        lines = [n for n in err.splitlines() if not n.startswith("Warning: ")]
        assert "the model knows no" in err and len(lines) <= 3, err
    else:
        assert results(tmp_path / "out")["test"]["name"] in out


@pytest.mark.parametrize(
    "name", [name for name in kinds() if labels(name) == "waveforms"]
)
def test_a_test_on_cached_features_is_exact(name, on_tables, launcher, tmp_path):
    """As test_other_rates.py has it for all other labels."""
    folder, given = on_tables(name)
    run_folder = tmp_path / "out"
    argv = arguments(name, run_folder, **{**given, "cache": "auto"})
    assert launcher.run(argv) == 0
    log = (run_folder / "log.txt").read_text()
    assert "Cache of the test set: frames (exact" in log
    assert "Cache of the train set: frames (rounded" in log
    for model in (load(export(run_folder, tmp_path / "exported")), load(run_folder)):
        small(name).check(run_folder, model, folder)


@functools.cache
def trained():
    """Returns the recipes that are killed."""
    return kinds(by=training)


def kills(name):
    """Returns where a recipe is killed: at its own points, or at one of everyone's.

    Each of these is taken by several recipes.
    """
    shared = [
        recipe for recipe in trained() if small(recipe).KILLS == DEFAULTS["KILLS"]
    ]
    points = small(name).KILLS
    if name not in shared:
        return points
    return [points[shared.index(name) % len(points)]]


def test_every_point_kills_several_recipes():
    points = [point for name in trained() for point in kills(name)]
    assert all(kills(name) for name in trained())
    assert all(points.count(point) >= 2 for point in DEFAULTS["KILLS"])


@one_of_each_training()
def test_killed_and_resumed(name, finished, on_tables, launcher, tmp_path):
    argv = arguments(name, tmp_path / "out", **on_tables(name)[1])
    for point, call, how in kills(name):
        kill = {"point": point, "call": call, "how": how}
        assert launcher.run(argv, kill=kill) == -9, f"{point} is not called so often"
    assert launcher.run(argv) == 0
    assert_same_outcome(tmp_path / "out", finished(name))


def trained_otherwise():
    """Returns what test_every_kind.py does not train in two processes."""
    return [name for name in kinds() if name not in kinds("noise", by=training)]


@pytest.mark.parametrize("name", trained_otherwise())
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


WITH_TEXTS = [name for name in trained() if labels(name) in ("tokens", "texts")]


@pytest.mark.parametrize("name", WITH_TEXTS)
def test_crops_of_texts_are_refused(name, on_tables, launcher, tmp_path):
    given = {**on_tables(name)[1], "crop_seconds": 0.3, "crops": 2}
    words = launcher.failure(arguments(name, tmp_path / "out", **given))
    assert "crop_seconds 0.3 does not fit this task" in words
    assert "a part of the audio does not have the whole text" in words
