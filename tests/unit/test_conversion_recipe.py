"""Faults of a recipe of voice conversion that are found before a training."""

import runpy
from types import SimpleNamespace

import pytest
import torch

from s3prl_sb import resources
from s3prl_sb.brains.conversion import absolute, signature
from s3prl_sb.brains.conversion_parts import conversion_splits
from s3prl_sb.errors import UserError
from s3prl_sb.inference.converter import Converter
from s3prl_sb.inference.judges import JudgeError
from s3prl_sb.inference.speaker_embedding import MeanFeatures, speaker_embeddings
from s3prl_sb.lobes.mel import MelSettings
from s3prl_sb.lobes.upstreams import load

HPARAMS = {
    "mel": MelSettings(),
    "vocoder": "griffin_lim",
    "vocoder_iterations": 1,
    "f0_range": None,
    "asr": None,
    "asv": None,
    "asv_threshold": None,
    "save_folder": "absent",
    "speaker_embedding": None,
}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"vocoder": "absent"}, "vocoder 'absent': no such folder"),
        ({"f0_range": [400.0, 100.0]}, "f0_range is .lowest, highest."),
        ({"f0_range": [100.0]}, "f0_range is .lowest, highest."),
        ({"asr": "absent"}, "asr: 'absent' is no folder"),
    ],
)
def test_what_the_test_needs_is_checked_before_data_are_read(keys, words):
    """The manifests of this run do not exist."""
    script = resources.recipes()["SUPERB/VC"] / "train.py"
    prepared = runpy.run_path(str(script), run_name="a_recipe")["prepared"]
    with pytest.raises(UserError, match=words):
        prepared({**HPARAMS, **keys}, {})


def test_several_target_speakers_need_embeddings():
    records = {"train": {name: {"speaker": name} for name in ("ann", "bob")}}
    with pytest.raises(UserError, match="2 speakers to train on .*ann"):
        conversion_splits(HPARAMS, records)


def test_features_of_an_upstream_that_is_trained_are_no_embeddings():
    hparams = {"speaker_embedding": "upstream", "save_folder": "absent"}
    hparams["upstream_model"] = SimpleNamespace(freeze=False)
    with pytest.raises(JudgeError, match="needs freeze: True"):
        speaker_embeddings({"train": {}}, hparams, {})


def test_an_utterance_without_enrolled_speech(tmp_path):
    """As in VCC2020, which has one target speaker."""
    hparams = {"speaker_embedding": "upstream", "save_folder": str(tmp_path)}
    hparams["upstream_model"] = load("fbank_no_cmvn")
    with pytest.raises(UserError, match="'a' has no enrolled speech .* vctk has any"):
        speaker_embeddings({"train": {"a": {"enroll": []}}}, hparams, {})


def test_one_file_is_the_voice_and_nothing_to_convert():
    fake = SimpleNamespace(hparams=SimpleNamespace(speaker_embedding="upstream"))
    with pytest.raises(UserError, match="a.wav is for the target speaker's voice"):
        list(Converter.records(fake, ["a.wav"]))


def test_embeddings_are_those_of_the_features_of_an_utterance():
    upstream, wav = load("fbank_no_cmvn"), torch.randn(4000)
    (states,), _ = upstream(wav[None], torch.ones(1))
    assert torch.equal(MeanFeatures(upstream).embed(wav), states[0].mean(0))


def test_a_vocoder_is_found_from_any_place(tmp_path, monkeypatch):
    """An export keeps the folder, which was given relative to that of the training."""
    monkeypatch.chdir(tmp_path)
    for name in ("voc", "griffin_lim", "upstream"):
        (tmp_path / name).mkdir()
    assert absolute("voc") == str(tmp_path / "voc")
    assert [absolute(n) for n in ("griffin_lim", "upstream", None)] == [
        "griffin_lim",
        "upstream",
        None,
    ]


def test_the_band_of_the_mcd_is_in_the_results():
    assert signature({8000.0, 7600.0}) == "up to 7600 Hz; up to 8000 Hz"
