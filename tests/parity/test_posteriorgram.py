"""Posteriorgrams: S3PRL's layout of checkpoints, and naive formulas."""

import argparse
import json

import pytest
import torch
from safetensors.torch import save_file
from tensors import noise

from s3prl_sb.lobes.checkpoints.building import CONVERTED
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.mockingjay import Tera
from s3prl_sb.lobes.upstreams.posteriorgram import ConvBankClassifier, Posteriorgram

TERA = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
BANK = {"kernels": [3, 4, 5], "cnn_size": 6, "hidden_size": 10, "dropout": 0.5}


def checkpoint(path, upstream, size, select="ConvBank", **modelrc):
    """A file in S3PRL's layout."""
    generator = torch.Generator().manual_seed(5)
    shapes = {"in_linear.weight": (10, size), "in_linear.bias": (10,)}
    for i, kernel in enumerate(BANK["kernels"]):
        shapes[f"cnns.{i}.weight"], shapes[f"cnns.{i}.bias"] = (6, 10, kernel), (6,)
    shapes["out_linear.weight"], shapes["out_linear.bias"] = (39, 18), (39,)
    weights = {
        f"model.{name}": 0.3 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }
    modelrc = {"select": select, select: {**BANK, **modelrc}}
    states = {
        "Downstream": weights,
        "Config": {"downstream_expert": {"modelrc": modelrc}},
        "Args": argparse.Namespace(upstream=upstream, lr=0.1),
    }
    torch.save(states, path)
    return weights


def naive(x, weights):
    """Posteriors of features [frames, size], frame by frame."""
    x = x @ weights["model.in_linear.weight"].T + weights["model.in_linear.bias"]
    x, result = x.clamp_min(0), []
    for t in range(len(x)):
        channels = []
        for i, kernel in enumerate(BANK["kernels"]):
            out = weights[f"model.cnns.{i}.bias"].clone()
            for k in range(kernel):
                at = t + k - kernel // 2
                if 0 <= at < len(x):
                    out += weights[f"model.cnns.{i}.weight"][:, :, k] @ x[at]
            channels.append(out)
        hidden = torch.cat(channels).clamp_min(0)
        logits = weights["model.out_linear.weight"] @ hidden
        result.append((logits + weights["model.out_linear.bias"]).exp())
    result = torch.stack(result)
    return result / result.sum(-1, keepdim=True)


def close(result, expected):
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_by_hand(tmp_path):
    weights = checkpoint(tmp_path / "a.ckpt", "fbank", 240)
    upstream = Posteriorgram(tmp_path / "a.ckpt")
    assert upstream.stride == 160 and upstream.min_samples == 400
    for samples in (16000, 7000, 400, 1):
        wav = noise(samples, seed=samples)
        (state,), _ = upstream(wav[None])
        close(state[0], naive(load("fbank")(wav[None])[0][0][0], weights))
        close(state.sum(-1), torch.ones(1, upstream.frames(samples)))


def converted(path, upstream):
    config = upstream.config  # of TERA a dict
    config = config if isinstance(config, dict) else vars(config)
    content = json.dumps({"class": "…", "config": config})
    weights = {n: t.contiguous() for n, t in upstream.network.state_dict().items()}
    save_file(weights, path, {CONVERTED: content})
    return str(path)


def test_inner_upstream_and_conversion(tmp_path):
    """The inner upstream brings its weights; a converted file holds them."""
    weights = checkpoint(tmp_path / "a.ckpt", "tera", 32)
    tera = Tera(config=TERA, seed=4)
    source = converted(tmp_path / "tera.safetensors", tera)
    first = Posteriorgram(tmp_path / "a.ckpt", upstream={"source": source})
    again = Posteriorgram(converted(tmp_path / "c.safetensors", first))
    assert again.config == first.config
    for samples in (16000, 8100):
        wav = noise(samples)
        # S3PRL's featurizer keeps as many frames as strides, rounded.
        inner = tera(wav[None])[0][-1][0][: round(samples / 160)]
        for upstream in (first, again):
            (state,), _ = upstream(wav[None])
            assert state.shape[1] == upstream.frames(samples) == len(inner)
            close(state[0], naive(inner, weights))


def test_dropout_only_in_training(tmp_path):
    checkpoint(tmp_path / "a.ckpt", "fbank", 240)
    upstream, wav = Posteriorgram(tmp_path / "a.ckpt", freeze=False), noise(8000)[None]
    assert not torch.equal(upstream(wav)[0][0], upstream(wav)[0][0])
    upstream.eval()
    assert torch.equal(upstream(wav)[0][0], upstream(wav)[0][0])


def test_even_kernels_keep_the_frames():
    assert ConvBankClassifier(8, kernels=[2, 4, 5])(torch.randn(2, 7, 8)).shape == (
        2,
        7,
        39,
    )


def test_other_checkpoints_are_refused(tmp_path):
    file = tmp_path / "a.ckpt"
    torch.save({"model": {}, "cfg": {}}, file)
    with pytest.raises(CheckpointError, match="phone classifier.*Its keys: cfg, model"):
        Posteriorgram(file)
    checkpoint(file, "fbank", 240, select="__import__('os').abort()")
    with pytest.raises(CheckpointError, match="classifier '__imp.*is a ConvBank"):
        Posteriorgram(file)
    checkpoint(file, "fbank", 240, depth=3)
    with pytest.raises(CheckpointError, match="entry of config: depth. Known: ups"):
        Posteriorgram(file)
    checkpoint(file, "fbank", 24)
    with pytest.raises(CheckpointError, match="another shape .1.: enter.weight"):
        Posteriorgram(file)
