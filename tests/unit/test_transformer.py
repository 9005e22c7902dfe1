"""The network of wav2vec 2.0 and kin, and every layout of its checkpoints."""

import argparse

import pytest
import torch
from safetensors.torch import load_file
from tensors import error, noise
from transformer_checkpoint_files import (
    BASE,
    LARGE,
    LAYOUTS,
    assert_same,
    content,
    huggingface,
    randomized,
)

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import conv_layers
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.wav2vec2 import SELECTIONS, Wav2Vec2


@pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_fairseq_layouts(layout, config, tmp_path):
    original = randomized(config)
    torch.save(content(layout, original), tmp_path / "ckpt.pt")
    assert_same(Wav2Vec2(tmp_path / "ckpt.pt"), original)


@pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])
@pytest.mark.parametrize("new_names", [False, True])
def test_huggingface_layout(new_names, config, tmp_path):
    original = randomized({**config, "normalize_wav": False})
    folder = huggingface(original, tmp_path / "a", new_names, "hubert.", task_head=True)
    assert_same(Hubert(folder), original)
    folder = huggingface(original, tmp_path / "b", new_names, model_type="wav2vec2")
    assert_same(Wav2Vec2(str(folder)), original)


def test_huggingface_normalizes_as_its_feature_extractor(tmp_path):
    """(x - mean) / sqrt(var + 1e-7) of the waveform, also of a quiet one."""
    original = randomized({**LARGE, "normalize_wav": False})
    folder = huggingface(original, tmp_path / "hf")
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true}')
    for level in (1, 0.03):
        wav = level * noise(4000)
        normed = (wav - wav.mean()) / (wav.var(correction=0) + 1e-7).sqrt()
        expected = original(normed[None])[0]
        for a, b in zip(Hubert(folder)(wav[None])[0], expected):
            assert error(a, b) < 1e-4


def test_older_huggingface_weights(tmp_path):
    original = randomized(BASE)
    folder = huggingface(original, tmp_path / "hf")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert_same(Hubert(folder), original)


# --------------------------------------------------------------- strictness
MISSING = ("missing", "encoder.layers.1.fc1.bias", None)
UNEXPECTED = ("unexpected", "encoder.layers.0.adapter.weight", torch.ones(3))
RESHAPED = ("another shape", "encoder.layers.2.fc2.bias", torch.ones(3))


@pytest.mark.parametrize("message, name, value", [MISSING, UNEXPECTED, RESHAPED])
@pytest.mark.parametrize("layout", ["s3prl", "cfg", "args"])
def test_weights_fit_exactly(layout, message, name, value, tmp_path):
    checkpoint = content(layout, randomized(BASE))
    weights = checkpoint.get("model", checkpoint.get("model_weight"))
    weights.pop(name) if value is None else weights.update({name: value})
    torch.save(checkpoint, tmp_path / "ckpt.pt")
    with pytest.raises(
        CheckpointError, match=rf"ckpt.pt' does not fit.*\n.*{message} \(1\)"
    ):
        Wav2Vec2(tmp_path / "ckpt.pt")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"activation_fn": "tanh"}, "ckpt.pt' has activation_fn: tanh"),
        ({"relative_position_embedding": True}, "relative positions without a gate"),
        ({"layer_type": "conformer"}, "missing.*convolution.batch_norm"),
        ({"pos_conv_depth": 3}, "missing.*positions.convolutions"),
    ],
)
def test_unsupported_options(options, message, tmp_path):
    """Options that weights do not bear out are refused, too."""
    checkpoint = content("s3prl", randomized(BASE), **options)
    torch.save(checkpoint, tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match=message):
        Wav2Vec2(tmp_path / "ckpt.pt")


def test_other_activations(tmp_path):
    original = randomized({**BASE, "activation": "relu"})
    checkpoint = content("s3prl", original, activation_fn="relu")
    torch.save(checkpoint, tmp_path / "ckpt.pt")
    assert_same(Wav2Vec2(tmp_path / "ckpt.pt"), original)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "sew"},
        {"model_type": "wavlm"},  # whose weights these are not
        {"conv_pos_batch_norm": True},
        {"feat_proj_layer_norm": False},
        {"hidden_act": "relu"},
        {"feat_extract_activation": "relu"},
        {"layer_norm_eps": 1e-3},
    ],
    ids=str,
)
def test_unsupported_huggingface(changes, tmp_path):
    folder = huggingface(randomized(BASE), tmp_path / "hf", **changes)
    with pytest.raises(CheckpointError, match="hf"):
        Hubert(folder)


def test_incomplete_huggingface(tmp_path):
    folder = huggingface(randomized(BASE), tmp_path / "hf")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights"):
        Hubert(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="no config.json"):
        Hubert(folder)


@pytest.mark.parametrize(
    "other",
    [
        {"Transformer": {}, "Config": {}},
        {"cfg": {"model": {}}, "model": {}},
        {"model": {}, "args": argparse.Namespace(lr=1)},
        {"weight": torch.ones(2)},
        [torch.ones(2)],
        torch.ones(2),
    ],
    ids=lambda other: type(other).__name__,
)
def test_other_families(other, tmp_path):
    torch.save(other, tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match="ckpt.pt"):
        Wav2Vec2(tmp_path / "ckpt.pt")


@pytest.mark.parametrize("name", ["multires_hubert", "distilhubert", "tera"])
def test_other_families_of_s3prl(name, oracle_folder):
    with pytest.raises(CheckpointError, match="ckpt.pt"):
        Wav2Vec2(oracle_folder / name / "ckpt.pt")


def test_convolutions_are_parsed_not_evaluated():
    assert conv_layers("[(8, 10, 5)] + [(8, 3, 2)] * 2 + [(8,2,2)]") == (
        [[8, 10, 5], [8, 3, 2], [8, 3, 2], [8, 2, 2]]
    )
    for text in ("__import__('os').system('true')", "[(8, 10", "[8]", "{}['a']"):
        with pytest.raises(CheckpointError, match="convolutions"):
            conv_layers(text)


# -------------------------------------------------------------- the network
@pytest.mark.parametrize("selection", SELECTIONS)
def test_unfrozen_trains_all_that_the_features_depend_on(selection):
    upstream = randomized(BASE, freeze=False, feature_selection=selection)
    assert upstream.training
    wavs, lens = noise(8000).view(2, 4000), torch.tensor([1.0, 0.5])
    sum(state.pow(2).sum() for state in upstream(wavs, lens)[0]).backward()
    for name, parameter in upstream.named_parameters():
        if name.startswith("network.front_end."):
            assert parameter.grad is None and not parameter.requires_grad
        elif parameter.requires_grad:
            assert parameter.grad is not None, name


@pytest.mark.parametrize(
    "config, message",
    [
        ({"conv_norm": "batch"}, "conv_norm must be"),
        ({"hidden_size": 30, "num_heads": 4}, "no multiple"),
        ({"hiden_size": 30}, "hiden_size"),
    ],
)
def test_bad_configs(config, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Wav2Vec2(config=config)
