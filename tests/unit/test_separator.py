"""Predicted waveforms: at the rate, length and level of the input, and as files."""

import json

import numpy as np
import pytest
import soundfile
import torch

from s3prl_sb import inference
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.errors import UserError
from s3prl_sb.inference import predicting
from s3prl_sb.inference.separator import Enhancer, Separator
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.composed import FrameHead
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.metrics.separation import si_sdr


class Half(torch.nn.Module):
    """Masks that give every source half of the mixture."""

    def __init__(self, sources, bins):
        super().__init__()
        self.size = sources * bins

    def forward(self, features, lens):
        return torch.full((*features.shape[:2], self.size), 0.5)


def model(num_sources, head=None, **settings):
    upstream = load("fbank")
    hparams = {
        "audio_pipes": [LoadAudio(upstream.sample_rate)],
        "num_sources": num_sources,
        "n_fft": 512,
        "win_length": 512,
        "hop_length": 160,
        "mask_activation": "relu",
        "compression": "none",
        **settings,
    }
    modules = {
        "upstream": upstream,
        "featurizer": Featurizer(1),
        "head": head or Half(num_sources, hparams["n_fft"] // 2 + 1),
    }
    kind = Enhancer if num_sources == 1 else Separator
    return kind(modules=modules, hparams=hparams)


def tone(path, rate, samples, channels=1, subtype="PCM_16", level=0.5):
    time = np.arange(samples) / rate
    wave = level * np.sin(2 * np.pi * 440 * time) * np.hanning(samples)
    soundfile.write(path, np.stack([wave] * channels, 1), rate, subtype)
    return torch.from_numpy(wave)


@pytest.mark.parametrize("rate, samples", [(16000, 5001), (44100, 20011), (8000, 3333)])
def test_rate_length_and_level_are_those_of_the_file(tmp_path, rate, samples):
    wave = tone(tmp_path / "a.wav", rate, samples, channels=2)
    found, own = model(1).enhance_file(tmp_path / "a.wav")
    assert own == rate and found.shape == (samples,)
    assert si_sdr(found, wave) > 30
    assert found.abs().max() == pytest.approx(0.25, rel=0.01)  # of half the mixture
    part, _ = model(2).separate_file(tmp_path / "a.wav", 0.05, 0.15)
    assert part.shape == (2, round(0.15 * rate) - round(0.05 * rate))


def test_a_waveform_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    head = FrameHead(240, 2 * 129, "rnn", hidden_size=4)
    made = model(2, head, n_fft=256, win_length=256, compression="log1p")
    wavs = [torch.randn(samples) / 10 for samples in (6000, 2501)]
    batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    together = made.separate_batch(batch, torch.tensor([1.0, 2501 / 6000]))
    alone = made.separate_batch([wavs[1]])
    assert torch.allclose(together[1, :, :2501], alone[0], atol=1e-5)
    assert not together[1, :, 2501:].any()


def test_predict_writes_waveforms(tmp_path, monkeypatch, capsys):
    loud = tmp_path / "loud.wav"
    tone(loud, 8000, 4000, level=0.9)
    tone(tmp_path / "deep.flac", 16000, 4000, subtype="PCM_24")
    monkeypatch.setattr(inference, "load", lambda *_, **__: model(2))
    paths = [str(loud), str(tmp_path / "deep.flac")]
    assert predicting.predict("run", paths, "cpu") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{loud}\t2 waveforms of 0.50 s, not written: no --output"
    out = tmp_path / "out"
    assert predicting.predict("run", paths, "cpu", output=out) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("loud_1.wav, loud_2.wav")
    first, second = json.loads((out / "predictions.json").read_text())
    assert first["files"] == ["loud_1.wav", "loud_2.wav"] and first["rate"] == 8000
    infos = {name: soundfile.info(out / name) for name in ("loud_2.wav", "deep_1.wav")}
    assert infos["loud_2.wav"].samplerate == 8000
    assert infos["loud_2.wav"].frames == infos["deep_1.wav"].frames == 4000
    assert infos["deep_1.wav"].subtype == "PCM_24"
    written, _ = soundfile.read(out / "loud_1.wav")
    assert abs(written).max() == pytest.approx(0.45, rel=0.01)
    assert second["seconds"] == 0.25


def test_predict_does_not_replace_its_input(tmp_path, monkeypatch):
    """Beside the input is where many would write."""
    tone(tmp_path / "a.wav", 16000, 4000)
    tone(tmp_path / "a_2.wav", 16000, 4000)
    before = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path)
    for count, paths in ((1, ["a.wav"]), (2, ["a.wav", "link/a_2.wav"])):
        monkeypatch.setattr(inference, "load", lambda *_, **__: model(count))  # noqa: B023
        paths = [str(tmp_path / path) for path in paths]
        with pytest.raises(UserError, match="would be replaced .* another --output"):
            predicting.predict("run", paths, "cpu", output=tmp_path)
    assert (tmp_path / "a.wav").read_bytes() == before
