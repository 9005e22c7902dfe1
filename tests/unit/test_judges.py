"""Judges of converted speech: error rates and acceptance."""

import sys
from types import SimpleNamespace

import numpy
import pytest
import torch

from s3prl_sb.errors import MissingExtra
from s3prl_sb.inference import judges
from s3prl_sb.inference.finished import ExportError
from s3prl_sb.inference.judges import JudgeError, Judges


class Hears:
    """A recognizer that hears what is written for each file."""

    texts = {"a.wav": "hello word", "b.wav": "yes"}

    def transcribe_file(self, path):
        return self.texts[path]


class Knows:
    """A verifier with the embeddings of files, and the threshold of its validation."""

    hparams = SimpleNamespace(threshold=0.9)
    voices = {
        "a.wav": [1.0, 0.1],
        "b.wav": [1.0, 1.0],
        "target.wav": [2.0, 0.0],
        "left.wav": [1.0, 2.0],
        "right.wav": [1.0, -2.0],
    }

    def embed_file(self, path):
        return torch.tensor(self.voices[path])


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Folders of ASR and ASV, whose models are the ones above."""
    models = {"asr": Hears, "asv": Knows}
    monkeypatch.setattr(judges, "load", lambda folder, *a, **k: models[folder[-3:]]())
    monkeypatch.setattr(judges, "interface_of", lambda folder: models[folder[-3:]])
    for name in models:
        (tmp_path / name).mkdir()
    return {name: str(tmp_path / name) for name in models}


def test_error_rates_are_those_of_the_whole_set(folders):
    judge = Judges(asr=folders["asr"])
    assert judge and judge.totals() == {}
    first = judge.judge({"text": "Hello, world!"}, "a.wav")
    assert first == {"cer": pytest.approx(1 / 11), "wer": 0.5}
    assert judge.judge({"text": "YES."}, "b.wav") == {"cer": 0, "wer": 0}
    assert judge.judge({"text": ""}, "b.wav") == {}
    totals = {"cer": pytest.approx(1 / 14), "wer": pytest.approx(1 / 3)}
    assert judge.totals() == totals


def test_acceptance_by_the_threshold_of_the_run(folders):
    judge = Judges(asv=folders["asv"])
    record = {"target": "target.wav", "speaker": "TEF1"}
    assert judge.judge(record, "a.wav")["acceptance"] == 1
    refused = judge.judge(record, "b.wav")
    assert refused["acceptance"] == 0
    assert refused["speaker_cosine"] == pytest.approx(0.5**0.5)
    assert judge.totals() == {"acceptance": 0.5}
    enrolled = {"target": None, "enroll": ["left.wav", "right.wav"]}
    assert judge.judge(enrolled, "a.wav")["acceptance"] == 1  # by the mean
    assert judge.judge({"target": None, "enroll": []}, "a.wav") == {}
    lenient = Judges(asv=folders["asv"], asv_threshold=0.7)
    assert lenient.judge(record, "b.wav")["acceptance"] == 1


def test_resemblyzer_with_s3prls_thresholds(monkeypatch):
    voices = {"a.wav": [1.0, 0.0], "target.wav": [0.745, (1 - 0.745**2) ** 0.5]}
    fake = SimpleNamespace(
        preprocess_wav=lambda path: path.name,
        VoiceEncoder=lambda device, verbose: SimpleNamespace(
            embed_utterance=lambda name: numpy.array(voices[name])
        ),
    )
    monkeypatch.setitem(sys.modules, "resemblyzer", fake)
    judge = Judges(asv="resemblyzer")
    accepted = [
        judge.judge({"target": "target.wav", "speaker": speaker}, "a.wav")["acceptance"]
        for speaker in ("TEF1", "TGM1")
    ]
    assert accepted == [1, 0]
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(MissingExtra, match="pip install resemblyzer"):
        Judges(asv="resemblyzer")


def test_faults_are_found_before_a_training(folders, tmp_path):
    with pytest.raises(JudgeError, match="asr: .*absent' is no folder"):
        Judges(asr=str(tmp_path / "absent"))
    with pytest.raises(JudgeError, match="asr: .* holds a Knows. Give .* run of ASR"):
        Judges(asr=folders["asv"])
    with pytest.raises(JudgeError, match="asr: 'resemblyzer' is no folder"):
        Judges(asr="resemblyzer")
    assert not Judges()


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(ExportError, match="neither a run of a recipe nor an export"):
        Judges(asv=str(tmp_path))
    (tmp_path / "save").mkdir()
    with pytest.raises(ExportError, match="is no finished run of a recipe"):
        Judges(asv=str(tmp_path))
