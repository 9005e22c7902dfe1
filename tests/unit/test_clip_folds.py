"""Manifests of clips, own tables with any number of labels, and passes."""

import json
import logging

import numpy
import pytest
import soundfile

from s3prl_sb.brains.passes import with_passes
from s3prl_sb.corpora import clip_folds
from s3prl_sb.dataio import clip_labels, manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.startup.configuration import RecipeError


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    soundfile.write(path, numpy.zeros(4000), 16000)
    return str(path)


def clips(wav, places, **labels):
    return {
        f"{n}": {**manifest.whole_file(wav), **place, **(labels or {"label": "dog"})}
        for n, place in enumerate(places)
    }


def test_fixed_splits(wav, tmp_path):
    places = [{"split": split} for split in ("train", "valid", "test", "train")]
    paths = clip_folds.write_clips(clips(wav, places), tmp_path, "v", "/corpus")
    records = manifest.read(paths["train"])
    assert list(records) == ["0", "3"] and records["0"]["duration"] == 0.25
    assert "split" not in records["0"]


def test_what_is_wrong_with_splits(wav, tmp_path):
    def write(places, fold=None):
        clip_folds.write_clips(clips(wav, places), tmp_path, "v", "/corpus", fold)

    with pytest.raises(ManifestError, match="/corpus: has no clips"):
        write([])
    with pytest.raises(ManifestError, match="there are no clips in valid, test"):
        write([{"split": "train"}])
    with pytest.raises(ManifestError, match="only 1, 2. Three are needed"):
        write([{"fold": 1}, {"fold": 2}], fold=2)
    with pytest.raises(ManifestError, match="fold: None. There are 1, 2, 3"):
        write([{"fold": n} for n in (1, 2, 3)])


def test_a_label_that_training_lacks_is_an_error_of_its_place(wav, tmp_path, caplog):
    made = clips(wav, [{"fold": n} for n in (1, 2, 3)])
    made["2"]["label"] = "cat"
    with pytest.raises(ManifestError, match="list.csv:7: '2': label 'cat' is unseen"):
        clip_folds.write_clips(
            made, tmp_path, "v", "/corpus", 3, places={"2": "list.csv:7"}
        )
    caplog.set_level(logging.WARNING)
    paths = clip_folds.write_clips(made, tmp_path, "v", "/corpus", 3, unseen=True)
    assert manifest.read(paths["test"])["2"]["label"] == "cat"
    assert "labels of test that do not occur in training: cat" in caplog.text


def test_measures_of_other_manifests(tmp_path):
    assert clip_folds.measures_of(tmp_path) == []
    (tmp_path / "prepare.json").write_text('{"arguments": {"version": "tables/3"}}')
    assert clip_folds.measures_of(tmp_path) == []


# ------------------------------------------------------------------------ tables
def tables(folder, wav, rows, ending="csv"):
    for split in manifest.SPLITS:
        content = [
            {"id": f"{split}{n}", "wav": wav, "labels": each} for n, each in rows
        ]
        text = json.dumps({row.pop("id"): row for row in content})
        if ending == "csv":
            lines = [f"{split}{n},{wav},{each}" for n, each in rows]
            text = "\n".join(["id,wav,labels", *lines]) + "\n"
        (folder / f"{split}.{ending}").write_text(text)
    return [folder / f"{split}.{ending}" for split in manifest.SPLITS]


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_tables_of_any_number_of_labels(wav, tmp_path, ending):
    rows = {
        "csv": ["dog; rain", "", '"a, b;dog;dog"'],
        "json": [["dog", "rain"], None, ["a, b", "dog"]],
    }
    files = tables(tmp_path, wav, list(enumerate(rows[ending])), ending)
    paths = clip_labels.prepare_clip_tables(*files, tmp_path / "save")
    records = manifest.read(paths["test"])
    assert [records[f"test{n}"]["labels"] for n in range(3)] == [
        *(["dog", "rain"], [], ["a, b", "dog"])
    ]
    assert clip_labels.has_many(tmp_path / "save")
    assert clip_labels.prepare_clip_tables(*files, tmp_path / "save") == paths


def test_tables_of_one_label(wav, tmp_path):
    files = tables(tmp_path, wav, [(0, "dog;rain")])
    for path in files:
        path.write_text(path.read_text().replace("labels", "label"))
    clip_labels.prepare_clip_tables(*files, tmp_path / "save")
    assert not clip_labels.has_many(tmp_path / "save")
    record = manifest.read(tmp_path / "save/test.json")["test0"]
    assert record["label"] == "dog;rain"


def test_errors_of_tables(wav, tmp_path):
    files = tables(tmp_path, wav, [(0, "dog")])
    files[2].write_text(files[2].read_text().replace("dog", "dgo"))
    with pytest.raises(ManifestError, match="test.csv: labels that are unseen .*: dgo"):
        clip_labels.prepare_clip_tables(*files, tmp_path / "save")
    files[2].write_text(f"id,wav,label\na,{wav},dog\n")
    with pytest.raises(ManifestError, match="test.csv:2: 'a': no labels; found"):
        clip_labels.prepare_clip_tables(*files, tmp_path / "save")
    (tmp_path / "a.json").write_text(json.dumps({"a": {"wav": wav, "labels": {}}}))
    with pytest.raises(ManifestError, match=r"labels \{\} is no list of texts"):
        clip_labels.load_clip_table(tmp_path / "a.json")


# ------------------------------------------------------------------------ passes
SETTINGS = {"passes": True, "total_steps": 30, "steps_per_epoch": 3, "batch_size": 10}
SETTINGS["train_dataloader_opts"] = {"batch_size": 10, "num_workers": 0}


def test_passes(monkeypatch):
    found = with_passes(SETTINGS, {"train": range(21)})
    assert (found["total_steps"], found["steps_per_epoch"]) == (90, 9)
    assert found["batch_size"] == found["train_dataloader_opts"]["batch_size"] == 7
    small = with_passes(SETTINGS, {"train": range(4)})
    assert (small["total_steps"], small["batch_size"]) == (30, 4)
    several = with_passes(
        {**SETTINGS, "grad_accumulation_factor": 2}, {"train": range(21)}
    )
    assert (several["total_steps"], several["batch_size"]) == (60, 6)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert with_passes(SETTINGS, {"train": range(21)})["batch_size"] == 8
    assert with_passes({**SETTINGS, "passes": False}, {})["total_steps"] == 30
    with pytest.raises(RecipeError, match="give batch_seconds: null"):
        with_passes({**SETTINGS, "batch_seconds": 3.0}, {"train": range(21)})
