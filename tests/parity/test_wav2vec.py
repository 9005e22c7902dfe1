"""wav2vec: naive formulas on fairseq's weights, and checkpoints."""

import argparse

import pytest
import torch
from naive_wav2vec import FRONT_END, aggregated, extracted, fairseq_model
from tensors import close, noise

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.vq_wav2vec import VqWav2Vec
from s3prl_sb.lobes.upstreams.wav2vec import Wav2Vec

VARIANTS = [
    {},
    {"activation": "gelu", "log_compression": False, "agg_zero_pad": True},
    {"skip_connections_feat": True, "residual_scale": 0.3, "no_conv_bias": True},
    {"skip_connections_agg": False, "non_affine_group_norm": True},
]


@pytest.mark.parametrize("options", VARIANTS, ids=[" ".join(v) for v in VARIANTS])
def test_formulas(options, tmp_path):
    model, weights = fairseq_model(**options)
    path = tmp_path / "ckpt.pt"
    torch.save({"task_cfg": {}, "model_cfg": model, "model_weight": weights}, path)
    upstream = Wav2Vec(path)
    assert upstream.output_sizes == [16, 16, 20, 20]
    wavs, lens = noise(2, 8000, seed=3), torch.tensor([1, 0.6])
    states, frame_lens = upstream(wavs, lens)
    frames = (frame_lens * states[0].shape[1]).round().int().tolist()
    for wav, length, count, *rows in zip(wavs, (8000, 4800), frames, *states):
        x = extracted(wav[:length], model, weights)
        expected = [x.T, *aggregated(x, model, weights)]
        assert len(expected) == len(rows) and len(x.T) == count
        for row, state in zip(rows, expected):
            close(row[:count], state)


def test_layouts(tmp_path):
    """S3PRL's, fairseq's and old fairseq's hold the same."""
    model, weights = fairseq_model()
    contents = [
        {"task_cfg": {}, "model_cfg": model, "model_weight": weights},
        {"cfg": {"task": {}, "model": model}, "model": weights, "args": None},
        {"args": argparse.Namespace(**model), "model": weights},
    ]
    states = []
    for i, content in enumerate(contents):
        torch.save(content, tmp_path / f"{i}.pt")
        states.append(Wav2Vec(tmp_path / f"{i}.pt")(noise(1, 4000))[0])
    for other in states[1:]:
        assert all(torch.equal(a, b) for a, b in zip(states[0], other))


def test_short_audio():
    upstream = Wav2Vec(config={"conv_aggregator_layers": [[8, 3, 1]]})
    assert upstream.min_samples == 465
    assert [upstream.frames(n) for n in (1, 465, 624, 625, 17000)] == [1, 1, 1, 2, 104]


def test_other_checkpoints_are_refused(tmp_path):
    path = tmp_path / "ckpt.pt"
    model, weights = fairseq_model()

    def refused(match, kind=Wav2Vec, **content):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match=match):
            kind(path)

    refused("not a checkpoint of wav2vec.*Transformer", Transformer={}, Config={})
    other = {"_name": "wav2vec2", "conv_feature_layers": FRONT_END}
    refused("holds: model 'wav2vec2'", model_cfg=other, model_weight=weights)
    for options, match in (
        ({"aggregator": "gru"}, "aggregator 'gru'"),
        ({"vq_type": "kmeans"}, "card vq_wav2vec"),
        ({"activation": "tanh"}, "activation must be"),
        ({"conv_aggregator_layers": "[(16, 2, 2)]"}, "must be 1"),
        ({"conv_feature_layers": "__import__('os')"}, "Not a list"),
    ):
        refused(match, model_cfg={**model, **options}, model_weight=weights)
    refused("is of wav2vec", VqWav2Vec, model_cfg=model, model_weight=weights)
    weights = {**weights, "extra.weight": noise(3)}
    refused("unexpected.*extra", model_cfg=model, model_weight=weights)


def test_unknown_entries_are_refused():
    with pytest.raises(ValueError, match="layers.*Known: conv_feature_layers"):
        Wav2Vec(config={"layers": 3})
    with pytest.raises(ValueError, match="vq_vars"):
        Wav2Vec(config={"vq_vars": 3})
