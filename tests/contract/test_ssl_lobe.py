"""One lobe over every kind of upstream: SpeechBrain's call, and the same promises."""

import pytest
import torch
from tensors import noise
from test_upstreams import KINDS, build, built

from s3prl_sb.lobes import ssl
from s3prl_sb.lobes.ssl import SSL

LENGTHS = (16000, 7360, 21000)


@pytest.fixture(params=KINDS)
def lobe(request, monkeypatch):
    """The lobe over a small upstream of the kind, of its first layer's size."""
    monkeypatch.setattr(
        ssl, "open_source", lambda source, trust, **options: build(source, **options)
    )
    size = built(request.param).sample_rate
    return SSL(request.param, freeze=True, sample_rate=size)


def batch():
    """Padded with zeros, as SpeechBrain does."""
    wavs = noise(len(LENGTHS) * max(LENGTHS)).view(len(LENGTHS), -1)
    for wav, length in zip(wavs, LENGTHS):
        wav[length:] = 0
    return wavs, torch.tensor(LENGTHS) / max(LENGTHS)


def test_every_kind(lobe):
    wavs, wav_lens = batch()
    features = lobe.train()(wavs, wav_lens)
    total = lobe.upstream.frames(max(LENGTHS))
    assert features.shape == (3, total, lobe.output_size)
    assert torch.equal(features, lobe(wavs)), "lengths are where the zeros begin"
    for wav, length, found in zip(wavs, LENGTHS, features):
        alone = lobe(wav[None, :length])[0]
        scale = alone.abs().max()
        true = len(alone)
        assert (found[:true] - alone).abs().max() <= 2e-5 * scale
        # SpeechBrain's share of the longest one's frames: what is more repeats the last
        counted = max(true, -int(-(length / max(LENGTHS) * total - 1e-3) // 1))
        assert torch.equal(
            found[true:counted], found[true - 1].expand_as(found[true:counted])
        )
        assert not found[counted:].any()


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_tuned_above_its_convolutions(name, monkeypatch):
    monkeypatch.setattr(
        ssl, "open_source", lambda source, trust, **options: build(source, **options)
    )
    rate = built(name).sample_rate
    keep = {"freeze_feature_extractor": True, "sample_rate": rate}
    try:
        lobe = SSL(name, layers=0, **keep)
    except ssl.SSLError as error:
        assert "no convolutional front end" in str(error)
        assert not hasattr(SSL(name, sample_rate=rate).model, "feature_extractor")
    else:
        convolutions = lobe.model.feature_extractor.parameters()
        assert not any(p.requires_grad for p in convolutions)
        assert lobe.train()(noise(8000)[None]).shape[-1] == lobe.output_size


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_tuned(name, monkeypatch):
    """Works for every hidden state, and no process waits for a gradient."""
    monkeypatch.setattr(
        ssl, "open_source", lambda source, trust, **options: build(source, **options)
    )
    for layers in ("last", 0):
        lobe = SSL(name, layers=layers, sample_rate=built(name).sample_rate)
        trained = {n: p for n, p in lobe.named_parameters() if p.requires_grad}
        if trained:
            features = lobe.train()(noise(2 * 21000).view(2, -1))
            (features * noise(features.numel()).view_as(features)).sum().backward()
        missing = [n for n, p in trained.items() if p.grad is None]
        assert not missing, (layers, missing)
