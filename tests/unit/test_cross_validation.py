"""Folds and corpora: where --debug goes, and what their summary says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from s3prl_sb.brains import folds, parts
from s3prl_sb.errors import ManifestError
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.files import write_json
from s3prl_sb.storage.locks import OccupiedError

RESULT = {
    "metrics": {"accuracy": 0.5},
    "valid": {"accuracy": 0.5},
    "utterances": {"train": 1},
    "best_step": 1,
    "layer_weights": [1.0],
    "lr": 0.1,
    "seconds": 1.0,
    "peak_memory_gb": 1.0,
}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    path = tmp_path / "train.yaml"
    path.write_text(
        f"fold: all\ntrain_csv: null\noutput_folder: {tmp_path}/out\nlm: null\n"
    )
    return str(path)


def test_debug_leaves_results_alone(recipe, tmp_path):
    out = tmp_path / "out"
    for path in (out, out / "fold1", out / "fold2"):
        write_json(path / "results.json", {"in": "earnest"})

    def train(argv):  # as experiment.start does
        folder = folds.read_settings(argv, ("output_folder",))["output_folder"]
        write_json(f"{folder}/debug/results.json", RESULT)

    folds.cross_validate([recipe, "--debug"], train, (1, 2))
    assert json.loads((out / "results.json").read_text()) == {"in": "earnest"}
    found = json.loads((out / "debug/results.json").read_text())
    assert [fold["folder"] for fold in found["folds"]] == ["fold1/debug", "fold2/debug"]


@pytest.mark.parametrize("rates, lr", [((0.1, 0.1), 0.1), ((0.1, 0.2), None)])
def test_a_learning_rate_is_told_where_all_folds_share_it(rates, lr, tmp_path):
    for fold, rate in enumerate(rates):
        write_json(tmp_path / f"fold{fold}/results.json", {**RESULT, "lr": rate})
    found = parts.summary(tmp_path, parts.folds_of((0, 1)))
    assert found["lr"] == lr and [fold["lr"] for fold in found["folds"]] == list(rates)


@pytest.mark.parametrize("hours, sum_", [((0.5, 0.25), 0.75), ((0.5, None), None)])
def test_what_was_tested_is_of_all_folds(hours, sum_, tmp_path):
    for fold, length in enumerate(hours):
        test = {"name": "IEMOCAP", "source": "/IEMOCAP", "sha256": str(fold)}
        test |= {"utterances": 3, "hours": length}
        write_json(tmp_path / f"fold{fold}/results.json", {**RESULT, "test": test})
    found = parts.summary(tmp_path, parts.folds_of((0, 1)))["test"]
    assert found.pop("sha256") not in ("0", "1")
    assert found == {
        "name": "IEMOCAP",
        "source": "/IEMOCAP",
        "utterances": 6,
        "hours": sum_,
    }
    write_json(tmp_path / "fold1/results.json", RESULT)  # of an older version
    assert parts.summary(tmp_path, parts.folds_of((0, 1)))["test"] is None


def test_folders_with_any_name(recipe, tmp_path):
    out, folders = tmp_path / "a #1" / "b=c: d", []

    def train(argv):
        folders.append(folds.read_settings(argv, ("output_folder",))["output_folder"])

    for fold in (1, 2):
        argv = [recipe, f"--output_folder={out}", f"--fold={fold}"]
        folds.cross_validate(argv, train, (1, 2))
    assert folders == [f"{out}/fold1", f"{out}/fold2"]


OCCUPIED = """
import sys, time
from s3prl_sb.storage.locks import occupy
occupy(sys.argv[1])
print("mine", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("taken", ["fold2", "."])
def test_a_fold_that_another_run_has_is_an_error_at_once(taken, recipe, tmp_path):
    """Not when its turn comes, hours later."""
    line = [sys.executable, "-c", OCCUPIED, str(tmp_path / "out" / taken)]
    other, trained = subprocess.Popen(line, stdout=subprocess.PIPE), []
    try:
        assert other.stdout.readline() == b"mine\n"
        with pytest.raises(OccupiedError, match=f"in use by process {other.pid} on "):
            folds.cross_validate([recipe], trained.append, (1, 2))
        assert not trained
        folds.cross_validate([recipe, "--fold=1"], trained.append, (1, 2))
        assert len(trained) == 1  # one by one they may run side by side
    finally:
        other.kill()
        other.communicate()


CORPORA = parts.Parts("language", ("es", "ar"))


def test_corpora_are_named(recipe, tmp_path):
    """Their mean is of different things: results have each value, and no deviation."""
    chosen = {"chosen_by": {"metric": "error_rate"}}
    for name, rate in (("es", 0.5), ("ar", 0.75), ("th", 0.25)):
        metrics = {"error_rate": rate, "cer": rate}
        result = {**RESULT, **chosen, "metrics": metrics, "valid": metrics}
        write_json(tmp_path / "out" / name / "results.json", result)
    options, trained = ["--fold=[th, ar]"], []
    by_fold = CORPORA._replace(key="fold", of_one=("lm",))
    folds.run_parts([recipe, *options], trained.append, by_fold)
    found = json.loads((tmp_path / "out/results.json").read_text())
    each = {"error_rate_th": 0.25, "error_rate_ar": 0.75}
    assert found["metrics"] == {"error_rate": 0.5, "cer": 0.5, **each}
    assert [fold["folder"] for fold in found["folds"]] == ["th", "ar"]
    assert [argv[-2:] for argv in trained] == [
        [f"--fold={name}", f"--output_folder={tmp_path}/out/{name}"]
        for name in ("th", "ar")
    ]
    with pytest.raises(RecipeError, match="lm is for one fold. Choose it: --fold es"):
        folds.run_parts([recipe, "--lm=es.arpa"], trained.append, by_fold)
    assert by_fold.chosen("all") == ["es", "ar"] and by_fold.chosen("th") == ["th"]


def test_a_corpus_that_is_missing_is_an_error_at_once(recipe, tmp_path):
    """Not when its turn comes, after those before it were trained."""
    by_fold, trained = CORPORA._replace(key="fold"), []

    def find(part, settings):
        if not Path(settings["output_folder"], part).is_dir():
            raise ManifestError(f"{part} is not there")

    (tmp_path / "out/es").mkdir(parents=True)
    with pytest.raises(ManifestError, match="ar is not there"):
        folds.run_parts([recipe], trained.append, by_fold, find)
    assert not trained
    folds.run_parts([recipe, "--fold=es"], trained.append, by_fold, find)
    assert len(trained) == 1


@pytest.mark.parametrize(
    "some, wanted, words",
    [
        (parts.folds_of((1, 2)), 3, "fold: 3. There are 1, 2, and all"),
        (parts.folds_of((1, 2)), [1, "es"], "There are 1, 2, and all"),
        (CORPORA, ["ar", "ar"], "language: ar is there twice"),
        (CORPORA, [], "language: .*There are es, ar, and all"),
        (CORPORA, [5, "5"], "language: 5 is there twice"),  # by their folders
        (CORPORA, "es//", "language: 'es//' cannot name a folder"),
        (CORPORA, "../es", "language: '../es' cannot name a folder"),
        (CORPORA, ["es", "."], "language: '.' cannot name a folder"),
    ],
)
def test_no_such_part(some, wanted, words):
    with pytest.raises(RecipeError, match=words):
        some.chosen(wanted)
