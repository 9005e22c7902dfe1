"""Output and device of ``predict``."""

import csv
import io
import json

import pytest
import torch

from s3prl_sb import inference
from s3prl_sb.errors import UserError
from s3prl_sb.inference import predicting
from s3prl_sb.startup import devices


class Model:
    """Says something of each file but one."""

    def records(self, paths, failed):
        for path in paths:
            if path == "bad.wav":
                failed(path, ValueError("cannot be read"))
            else:
                yield {"wav": path, "intent": {"do": "ä,b"}, "found": [["a", 0.5]]}

    def line(self, record):
        return record["wav"]

    def files(self, records):
        return {"hyp.txt": f"{len(records)}\n"}


@pytest.fixture
def asked(monkeypatch):
    """Arguments with which the model was loaded."""
    found = {}
    monkeypatch.setattr(
        inference, "load", lambda folder, **kwargs: found.update(kwargs) or Model()
    )
    return found


def test_text(asked, capsys):
    assert predicting.predict("x", ["a.wav", "bad.wav", "b.wav"], "cpu") == 1
    out, err = capsys.readouterr()
    assert out == "a.wav\nb.wav\n"
    assert err == "s3prl-sb: bad.wav: cannot be read\n"
    assert asked == {"run_opts": {"device": "cpu"}}


def test_json_and_files(asked, capsys, tmp_path):
    output = tmp_path / "new/folder"
    assert predicting.predict("x", ["a.wav", "bad.wav"], "cpu", True, output) == 1
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert json.loads((output / "predictions.json").read_text()) == [record]
    (row,) = csv.DictReader(io.StringIO((output / "predictions.csv").read_text()))
    assert row == {"wav": "a.wav", "do": "ä,b", "found": '[["a", 0.5]]'}
    assert (output / "hyp.txt").read_text() == "1\n"


def test_files_whose_names_are_not_utf8(asked, tmp_path, monkeypatch):
    """All is computed by then: it may not be lost for a name."""
    monkeypatch.setattr(Model, "line", lambda self, record: "")
    names = ["andr\udce9.wav", "語.wav"]
    assert predicting.predict("x", names, "cpu", False, tmp_path) == 0
    rows = csv.DictReader(io.StringIO((tmp_path / "predictions.csv").read_text()))
    assert [row["wav"] for row in rows] == ["andr\\xe9.wav", "語.wav"]


def test_a_folder_that_cannot_be_made_is_said_before_the_model_is_loaded(
    asked, tmp_path
):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        predicting.predict("x", ["a.wav"], "cpu", False, tmp_path / "file/inner")
    assert not asked


@pytest.mark.parametrize(("gpus", "device"), [(True, "cuda"), (False, "cpu")])
def test_the_device_is_a_gpu_if_there_is_one(gpus, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus)
    assert devices.chosen() == device
    assert devices.chosen("cpu") == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_a_device_that_there_is_not(name):
    with pytest.raises(UserError, match=f"--device {name}.*There are: cpu"):
        devices.chosen(name)


@pytest.mark.parametrize("holds", ["results.json", "hyperparams.yaml"])
def test_the_predictions_of_a_run_are_not_replaced(holds, asked, tmp_path):
    (tmp_path / holds).write_text("{}")
    (tmp_path / "predictions.csv").write_text("of the run")
    with pytest.raises(UserError, match="choose another --output"):
        predicting.predict("x", ["a.wav"], "cpu", output=tmp_path)
    assert (tmp_path / "predictions.csv").read_text() == "of the run"
    assert not asked  # said before the model is loaded


def test_predictions_of_before_are_replaced(asked, capsys, tmp_path):
    for wavs in (["a.wav", "b.wav"], ["a.wav"]):
        predicting.predict("x", wavs, "cpu", output=tmp_path)
    assert len(json.loads((tmp_path / "predictions.json").read_text())) == 1


def test_a_file_is_no_folder_for_predictions(asked, tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(UserError, match="is a file: choose another --output"):
        predicting.predict("x", ["a.wav"], "cpu", output=tmp_path / "a")
