"""The speed of an upstream is that of the batches of an extraction."""

import math

import pytest
import torch

from s3prl_sb.dataio import encoding_batches, encoding_speed, extraction
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.feature_files.sources import records_of
from s3prl_sb.lobes.upstreams import load

SECONDS = (0.5, 0.25, 0.5, 1.0, 0.25)


@pytest.fixture
def dataset(tmp_path):
    import soundfile

    for number, seconds in enumerate(SECONDS):
        wav = torch.randn(int(16000 * seconds)).mul(0.1).numpy()
        soundfile.write(tmp_path / f"{number}.wav", wav, 16000)
    return ManifestDataset(records_of(str(tmp_path)), [LoadAudio(16000)])


@pytest.fixture
def upstream(monkeypatch):
    upstream, encode = load("fbank"), type(load("fbank")).forward
    upstream.batches = []

    def counting(self, sig, lengths):
        upstream.batches.append(len(sig))
        return encode(self, sig, lengths)

    monkeypatch.setattr(type(upstream), "forward", counting)
    return upstream


@pytest.mark.parametrize("most", [0, 0.75, 1.25, 64])
def test_batches_are_those_of_the_extraction(
    most, dataset, upstream, monkeypatch, tmp_path
):
    monkeypatch.setitem(encoding_batches.BATCH_SECONDS, "cpu", most)
    extraction.extract(upstream, dataset, tmp_path / "cache", progressbar=False)
    extracted = upstream.batches[:]
    upstream.batches.clear()
    speed, gflop = encoding_speed.encoding_speed(upstream, dataset)
    assert upstream.batches == [extracted[0], *extracted]  # the first warms up
    assert 0 < speed < math.inf and gflop >= 0


def test_one_utterance_has_a_speed(dataset, upstream):
    dataset.keep(dataset.data_ids[:1])
    assert 0 < encoding_speed.encoding_speed(upstream, dataset)[0] < math.inf


@pytest.mark.parametrize("layers", [None, [1, 0], [-1]])
def test_layers_may_have_several_sizes(layers, dataset, monkeypatch):
    upstream = load("modified_cpc", source=None)
    monkeypatch.setattr(type(upstream), "output_sizes", [256, 128])
    encode = type(upstream).forward

    def narrow(self, sig, lengths):
        states, lengths = encode(self, sig, lengths)
        return [states[0], states[1][..., :128]], lengths

    monkeypatch.setattr(type(upstream), "forward", narrow)
    found = encoding_speed.encoding_speed(upstream, dataset, "cpu", "frames", layers)
    assert 0 < found[0] < math.inf


def test_the_first_batches_are_enough(dataset, upstream, monkeypatch):
    monkeypatch.setattr(encoding_speed, "FIRST", 2)
    encoding_speed.encoding_speed(upstream, dataset, kind="frames", layers=[0])
    assert upstream.batches == [1, 1, 1]
    upstream.batches.clear()
    monkeypatch.setattr(encoding_speed, "SECONDS", 0.0)
    encoding_speed.encoding_speed(upstream, dataset)
    assert upstream.batches == [1, 1]
