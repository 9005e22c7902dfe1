"""DeCoAR 2.0: torch's Transformer over torchaudio's features, and checkpoints."""

import argparse
import json

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
import torchaudio
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.building import CONVERTED, sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.decoar2 import Decoar2, Decoar2Config

HEADS = {"num_heads": 4}


def parts():
    """The network of torch's own modules."""
    layer = torch.nn.TransformerEncoderLayer(
        32, 4, 48, activation="gelu", batch_first=True
    )
    modules = torch.nn.ModuleDict(
        {
            "projection": torch.nn.Linear(20, 32),
            "positions": torch.nn.Conv1d(32, 32, 8, padding=4, groups=4),
            "norm": torch.nn.LayerNorm(32),
            "layers": torch.nn.TransformerEncoder(layer, 2).layers,
        }
    )
    for i, (name, parameter) in enumerate(modules.named_parameters()):
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 25
        parameter.data = noise(*parameter.shape, seed=i, scale=fan_in**-0.5)
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1
    return modules.eval().requires_grad_(False)


def checkpoint():
    """Its weights in S3PRL's layout."""
    modules, model = parts(), {"mask_emb": torch.ones(32)}
    convolution = modules["positions"]
    model["quantizer.vars"] = torch.ones(1, 8, 4)
    model["encoder.pos_conv.0.bias"] = convolution.bias
    model["encoder.pos_conv.0.weight_v"] = 3 * convolution.weight
    norm = convolution.weight.norm(dim=(0, 1), keepdim=True)
    model["encoder.pos_conv.0.weight_g"] = norm

    def put(name, weight, bias):
        model[f"{name}.weight"], model[f"{name}.bias"] = weight, bias

    for name, module in (
        ("post_extract_proj", "projection"),
        ("encoder.layer_norm", "norm"),
    ):
        put(name, modules[module].weight, modules[module].bias)
    for i, layer in enumerate(modules["layers"]):
        prefix, attention = f"encoder.layers.{i}", layer.self_attn
        weights = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        for letter, weight, bias in zip("qkv", *weights):
            put(f"{prefix}.self_attn.{letter}_proj", weight.clone(), bias.clone())
        for name, module in (
            ("self_attn.out_proj", attention.out_proj),
            ("self_attn_layer_norm", layer.norm1),
            ("fc1", layer.linear1),
            ("fc2", layer.linear2),
            ("final_layer_norm", layer.norm2),
        ):
            put(f"{prefix}.{name}", module.weight, module.bias)
    return {"model": model, "args": argparse.Namespace(arch="decoar2")}


def saved(states, folder):
    torch.save(states, folder / "checkpoint.pt")
    return str(folder / "checkpoint.pt")


# ---------------------------------------------------------------- the network
@pytest.mark.parametrize("samples", [400, 4000, 4160, 8000])
def test_is_torchs(samples, tmp_path):
    upstream, modules = Decoar2(saved(checkpoint(), tmp_path), config=HEADS), parts()
    wav = noise(1, samples)
    features = torchaudio.compliance.kaldi.fbank(
        wav, num_mel_bins=20, sample_frequency=16000, window_type="hamming"
    )
    centred = features - features.mean(0)
    if len(features) > 1:
        centred = centred / (features.std(0) + 1e-10)
    x = modules["projection"](centred[::2])
    positions = modules["positions"](x.T[None])[0, :, : len(x)].T
    x = modules["norm"](x + F.gelu(positions))[None]
    expected = [x]
    for layer in modules["layers"]:
        expected.append(layer(expected[-1]))
    found = upstream(wav)[0]
    assert len(found) == len(expected) == upstream.num_layers
    assert upstream.frames(samples) == expected[0].shape[1]
    for a, b in zip(found, expected):
        close(a, b)


def test_contract(tmp_path):
    source = saved(checkpoint(), tmp_path)
    for freeze in (True, False):
        check_upstream(Decoar2(source, config=HEADS, freeze=freeze))


def test_adapter():
    config = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}
    adapted = Decoar2(config=config, freeze=False, adapter={"rank": 2})
    assert len(adapted.trainable) == 2 * 2 * 2  # two matrices, query and value


# ---------------------------------------------------------------- checkpoints
def test_sizes_are_those_of_the_checkpoint(tmp_path):
    upstream = Decoar2(saved(checkpoint(), tmp_path), config=HEADS)
    sizes = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}
    positions = {"position_kernel": 8, "position_groups": 4}
    audio = {**Decoar2Config().audio, "num_mel_bins": 20}
    assert upstream.config == Decoar2Config(**sizes, **positions, audio=audio)
    assert upstream.features.options["window_type"] == "hamming"


def test_heads_are_not_in_the_checkpoint(tmp_path):
    source, wav = saved(checkpoint(), tmp_path), noise(1, 8000)
    four, two = (Decoar2(source, config={"num_heads": n})(wav)[0] for n in (4, 2))
    assert torch.equal(four[0], two[0])
    assert (four[1] - two[1]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="32 is no multiple of num_heads 12"):
        Decoar2(source)


def test_converted_checkpoint(tmp_path):
    upstream = Decoar2(saved(checkpoint(), tmp_path), config=HEADS)
    content = json.dumps({"class": "Decoar2", "config": vars(upstream.config)})
    path = tmp_path / "decoar2.safetensors"
    weights = upstream.network.state_dict()
    safetensors.torch.save_file(weights, path, {CONVERTED: content})
    again, wav = Decoar2(str(path)), noise(1, 8000)
    assert again.config == upstream.config
    for a, b in zip(again(wav)[0], upstream(wav)[0]):
        assert torch.equal(a, b)


def test_nothing_is_missing_nor_left_over(tmp_path):
    def error(change):
        states = checkpoint()
        change(states["model"])
        with pytest.raises(CheckpointError) as caught:
            Decoar2(saved(states, tmp_path), config=HEADS)
        return str(caught.value)

    message = error(lambda w: w.pop("encoder.layers.1.fc2.bias"))
    assert "missing (1): encoder.layers.1.contract.bias" in message
    message = error(lambda w: w.update({"encoder.extra": torch.ones(1)}))
    assert "unexpected (1): encoder.extra" in message
    message = error(lambda w: w.pop("encoder.pos_conv.0.weight_g"))
    assert "lacks the weights of encoder.pos_conv.0" in message


@pytest.mark.parametrize(
    "states, held",
    [
        ({"model": {"w2v.bias": torch.ones(1)}}, "holds model; in 'model': w2v.bias."),
        ({"weights": {}, "config": {}}, "holds config, weights."),
    ],
)
def test_other_checkpoints_are_refused(states, held, tmp_path):
    with pytest.raises(CheckpointError, match=f"checkpoint of DeCoAR 2.0.*{held}"):
        Decoar2(saved(states, tmp_path))


def test_wav2vec2_is_refused(tmp_path):
    states = checkpoint()
    states["model"]["feature_extractor.conv_layers.0.0.weight"] = torch.ones(2, 1, 3)
    with pytest.raises(CheckpointError, match="no feature_extractor"):
        Decoar2(saved(states, tmp_path))


# ---------------------------------------------------------------------- cards
def test_published_sizes():
    with sizes_only():
        upstream = load("decoar2", source=None)
    assert upstream.num_layers == 13 and upstream.output_size == 768
    assert upstream.stride == 320 and upstream.features.output_size == 80
    assert [upstream.frames(n) for n in (1, 400, 560, 16000)] == [1, 1, 1, 49]


def test_mistakes_are_explained():
    message = "Unknown entry of config: layers. Known: hidden_size, ffn_size"
    with pytest.raises(ValueError, match=message):
        Decoar2(config={"layers": 2})
