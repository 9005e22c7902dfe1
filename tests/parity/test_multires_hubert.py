"""MR-HuBERT: HuBERT's own states, naive formulas, and checkpoints in all layouts."""

import argparse
import dataclasses
import json
import math

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.building import CONVERTED, sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.multires_transformer import Resampler
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.multires_hubert import MultiresHubert

CONV = [[16, 10, 5], [16, 8, 8], [16, 8, 8]]
TINY = {
    "conv_layers": CONV,
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": [1, 2, 1],
    "num_heads": 4,
    "position_kernel": 8,
    "position_groups": 4,
}
THREE = {**TINY, "num_layers": [2, 1, 2, 1, 1], "ratios": [[1, 2], [1, 2]]}
CONFIGS = {
    "published": TINY,
    "large": {**TINY, "conv_norm": "layer", "norm_first": True, "normalize_wav": True},
    "plain": {**TINY, "resampling_kernel": 7, "plain_resampling": True},
    "three": {**THREE, "resampling_kernel": 3},
    "two thirds": {**TINY, "ratios": [[2, 3]], "resampling_kernel": 5},
}


def randomized(config, **options):
    """A network in which every parameter matters."""
    upstream = MultiresHubert(config=config, **options)
    for i, (name, parameter) in enumerate(upstream.named_parameters()):
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 25
        parameter.data = noise(*parameter.shape, seed=i, scale=fan_in**-0.5)
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1
    return upstream


# ---------------------------------------------------------------- the network
@pytest.mark.parametrize("name", ["published", "large"])
def test_first_encoder_is_huberts(name):
    config, wavs = CONFIGS[name], noise(2, 9000)
    upstream = randomized(config)
    hubert = Hubert(config={**config, "num_layers": config["num_layers"][0]})
    weights = upstream.network.state_dict()
    own = hubert.network.state_dict()
    hubert.network.load_state_dict({key: weights[key] for key in own})
    for found, expected in zip(upstream(wavs)[0], hubert(wavs)[0]):
        close(found, expected)


def naive_states(network, config, wav):
    """The whole network for one waveform, every step at its own frame rate."""
    x, (count,) = network.front([wav])
    ratios, kernel = config.get("ratios", [[1, 2]]), config.get("resampling_kernel", 1)
    states, saved = [], []

    def encoder(module, x):
        states.extend(module(x, [len(x)]))
        return states[-1]

    def convolved(convolution, x, **options):
        """[time, size]: convolution, norm over everything, GELU."""
        weight = convolution.convolution.weight
        function = F.conv_transpose1d if "output_padding" in options else F.conv1d
        x = function(x.T[None], weight, **options)[0].T
        x = (x - x.mean()) / (x.var(correction=0) + 1e-5).sqrt()
        return F.gelu(x * convolution.norm.weight + convolution.norm.bias)

    def resampled(module, x, up, down):
        scale, repeated = math.sqrt(0.4), None
        if module.up is not None:
            y = convolved(module.up, x, stride=up, output_padding=up - 1)
            repeated = torch.stack([x] * up, 1).flatten(0, 1)
            x = (y[: len(repeated)] + repeated) * scale
        if module.down is not None:
            y = convolved(module.down, x, stride=down, padding=(kernel - 1) // 2)
            x = (y + x[::down]) * scale
            if repeated is not None:
                x = (x + repeated[::down]) * scale
        return x

    encoders = [network.encoder, *network.later_encoders]
    middle = len(ratios)
    for i, (up, down) in enumerate(ratios):
        saved.append(encoder(encoders[i], x))
        x = resampled(network.downsamplers[i], saved[-1], up, down)
    x = x + encoder(encoders[middle], x)
    for i, (up, down) in enumerate(ratios):
        x = resampled(network.upsamplers[i], x, down, up)
        x, other = encoder(encoders[middle + 1 + i], x), saved.pop()
        size = min(len(x), len(other))
        x = x[:size] + other[:size]
    assert len(states[0]) == count
    return states


@pytest.mark.parametrize("samples", [4000, 9000, 9400, 12345])
@pytest.mark.parametrize("name", CONFIGS)
def test_naive_formulas(name, samples):
    config, wav = CONFIGS[name], noise(samples)
    upstream = randomized(config)
    if config.get("normalize_wav"):
        wav = F.layer_norm(wav, wav.shape)
    expected = naive_states(upstream.network, config, wav)
    repeats = {"three": [1, 2, 4, 2, 1], "two thirds": [2, 3, 2]}.get(name, [1, 2, 1])
    layers, sizes = iter(expected), []
    for repeat, count in zip(repeats, config["num_layers"]):
        sizes += [(next(layers), repeat) for _ in range(count + 1)]
    expected = [state.repeat_interleave(repeat, 0) for state, repeat in sizes]
    shortest = min(map(len, expected))
    assert upstream.frames(samples) == shortest
    assert upstream.stride == 320 // repeats[0]
    found = upstream(noise(samples)[None])[0]
    assert len(found) == len(expected) == upstream.num_layers
    for a, b in zip(found, expected):
        close(a[0], b[:shortest])


@pytest.mark.parametrize("name", CONFIGS)
def test_contract(name):
    for freeze in (True, False):
        check_upstream(randomized(CONFIGS[name], freeze=freeze))


@pytest.mark.parametrize("up, down", [(None, 2), (3, None), (1, 2), (2, 1), (3, 5)])
def test_resampler_keeps_utterances_apart(up, down):
    resampler = Resampler(6, 5, up, down).requires_grad_(False)
    x, frames = noise(30, 6, scale=1), [1, 2, 11, 16]
    found, counts = resampler(x, frames)
    assert counts == [resampler.frames(n) for n in frames]
    assert counts == [math.ceil(n * (up or 1) / (down or 1)) for n in frames]
    for piece, alone in zip(found.split(counts), x.split(frames)):
        close(piece, resampler(alone, [len(alone)])[0])


def test_layerdrop_and_adapter():
    upstream = MultiresHubert(config=TINY, freeze=False, layerdrop=1.0)
    states = upstream(noise(1, 9000))[0]
    assert torch.equal(states[2], states[3]) and torch.equal(states[3], states[4])
    adapted = MultiresHubert(config=TINY, freeze=False, adapter={"rank": 2})
    assert len(adapted.trainable) == 2 * 2 * 4  # two matrices, query and value


# ---------------------------------------------------------------- checkpoints
def checkpoint(name, layout="s3prl"):
    """A network, and its weights as fairseq names them."""
    config = CONFIGS[name]
    upstream = randomized(config)
    middle = len(config.get("ratios", [[1, 2]]))
    weights = {"mask_emb": torch.ones(32), "label_embs_concat.0": torch.ones(5, 8)}
    weights["final_projs.0.weight"] = torch.ones(8, 32)
    tables = [
        ("front_end.convolutions.0.", "feature_extractor.conv_layers.0.0."),
        ("front_end.convolutions.1.", "feature_extractor.conv_layers.1.0."),
        ("front_end.convolutions.2.", "feature_extractor.conv_layers.2.0."),
        ("front_end_norm.", "layer_norm."),
        ("projection.", "post_extract_proj."),
        (".positions.convolutions.0.", ".pos_conv.0."),
        ("attention.query.", "self_attn.q_proj."),
        ("attention.key.", "self_attn.k_proj."),
        ("attention.value.", "self_attn.v_proj."),
        ("attention.output.", "self_attn.out_proj."),
        ("attention_norm.", "self_attn_layer_norm."),
        ("expand.", "fc1."),
        ("contract.", "fc2."),
        ("ffn_norm.", "final_layer_norm."),
        ("down.convolution.", "downsample_conv.0."),
        ("down.norm.", "downsample_conv.2."),
        ("up.convolution.", "upsample_conv.0."),
        ("up.norm.", "upsample_conv.2."),
        ("downsamplers.", "downsample_modules."),
        ("upsamplers.", "upsample_modules."),
    ]
    for i in range(3):
        norm = "2.1." if config.get("conv_norm") == "layer" else "2."
        theirs = f"feature_extractor.conv_layers.{i}.{norm}"
        tables.append((f"front_end.norms.{i}.", theirs))
    tables.append(("encoder.norm.", "encoder.layer_norm."))
    for i in range(2 * middle):
        theirs = f"encoders.{i + 1}" if i + 1 < middle else f"decoders.{i - middle}"
        theirs = "middle_encoder" if i + 1 == middle else theirs
        tables.append((f"later_encoders.{i}.norm.", f"{theirs}.layer_norm."))
        tables.append((f"later_encoders.{i}.", f"{theirs}."))
    for name_, tensor in upstream.network.state_dict().items():
        for ours, theirs in tables:
            name_ = name_.replace(ours, theirs)
        if name_.startswith("encoder."):
            name_ = "encoders.0." + name_.removeprefix("encoder.")
        if name_.endswith("pos_conv.0.weight"):
            weights[name_ + "_v"] = 3 * tensor
            weights[name_ + "_g"] = tensor.norm(dim=(0, 1), keepdim=True)
        else:
            weights[name_] = tensor
    layers, large = config["num_layers"], name == "large"
    model = {
        "label_rate_ratios": [n for r in config.get("ratios", [[1, 2]]) for n in r],
        "encoder_layers": 2,
        # fairseq lists the decoders from the last to the first
        "override_encoder_layers": str(layers[: middle + 1] + layers[:middle:-1]),
        "encoder_embed_dim": 32,
        "encoder_ffn_embed_dim": 48,
        "encoder_attention_heads": 4,
        "conv_feature_layers": "[(16,10,5)] + [(16,8,8)] * 2",
        "conv_pos": 8,
        "conv_pos_groups": 4,
        "layer_norm_first": large,
        "extractor_mode": "layer_norm" if large else "default",
        "conv_adapator_kernal": config.get("resampling_kernel", 1),
        "use_plain_updownsample": config.get("plain_resampling", False),
    }
    task = {"normalize": large}
    if layout == "fairseq":
        cfg = argparse.Namespace(model=argparse.Namespace(**model), task=task)
        return upstream, {"cfg": cfg, "model": weights, "extra": None}
    states = {"task_cfg": task, "model_cfg": model, "model_weight": weights}
    return upstream, {**states, "dictionaries_symbols": [["a"]]}


def saved(states, folder):
    torch.save(states, folder / "checkpoint.pt")
    return str(folder / "checkpoint.pt")


@pytest.mark.parametrize("layout", ["s3prl", "fairseq"])
@pytest.mark.parametrize("name", CONFIGS)
def test_layouts(name, layout, tmp_path):
    upstream, states = checkpoint(name, layout)
    again = MultiresHubert(saved(states, tmp_path))
    sizes = set(CONFIGS[name]) | {"ratios", "resampling_kernel", "plain_resampling"}
    for key in sizes | {"norm_first", "conv_norm", "normalize_wav"}:
        assert getattr(again.config, key) == getattr(upstream.config, key)
    for a, b in zip(again(noise(1, 9000))[0], upstream(noise(1, 9000))[0]):
        close(a, b)


def test_layers_of_equal_numbers(tmp_path):
    _, states = checkpoint("published")
    states["model_cfg"].pop("override_encoder_layers")
    with pytest.raises(CheckpointError, match="missing") as caught:
        MultiresHubert(saved(states, tmp_path))
    assert "encoder.layers.1." in str(caught.value)  # two layers in each


def test_converted_checkpoint(tmp_path):
    upstream = randomized(CONFIGS["three"])
    config = dataclasses.asdict(upstream.config)
    content = json.dumps({"class": "MultiresHubert", "config": config})
    path = tmp_path / "multires.safetensors"
    weights = upstream.network.state_dict()
    safetensors.torch.save_file(weights, path, {CONVERTED: content})
    again = MultiresHubert(str(path))
    assert again.config == upstream.config
    for a, b in zip(again(noise(1, 9000))[0], upstream(noise(1, 9000))[0]):
        assert torch.equal(a, b)


def test_nothing_is_missing_nor_left_over(tmp_path):
    def error(change):
        _, states = checkpoint("published")
        change(states["model_weight"])
        with pytest.raises(CheckpointError) as caught:
            MultiresHubert(saved(states, tmp_path))
        return str(caught.value)

    message = error(lambda w: w.pop("middle_encoder.layer_norm.bias"))
    assert "missing (1): later_encoders.0.norm.bias" in message
    message = error(lambda w: w.update(extra=torch.ones(1)))
    assert "unexpected (1): extra" in message


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"label_rate_ratios": None}, "not a list of numbers: None"),
        ({"override_encoder_layers": "[1, 2]"}, "are of 3 encoders"),
        ({"layer_type": "conformer"}, "layer must be transformer"),
        ({"conv_adapator_kernal": 4}, "resampling_kernel must be odd"),
    ],
)
def test_variants_are_refused(changes, message, tmp_path):
    _, states = checkpoint("published")
    states["model_cfg"].update(changes)
    with pytest.raises(CheckpointError, match=message):
        MultiresHubert(saved(states, tmp_path))


@pytest.mark.parametrize(
    "states, held",
    [
        ({"model": {"w": torch.ones(1)}}, r"\['model'\], where"),
        (
            {"task_cfg": {}, "model_cfg": {"encoder_layers": 2}, "model_weight": {}},
            r"of a model with \['encoder_layers'\], where",
        ),
        ([1, 2], r"holds \[\], where"),
    ],
)
def test_other_checkpoints_are_refused(states, held, tmp_path):
    with pytest.raises(CheckpointError, match=f"no checkpoint of MR-HuBERT.*{held}"):
        MultiresHubert(saved(states, tmp_path))


# ---------------------------------------------------------------------- cards
@pytest.mark.parametrize(
    "name, num_layers, size, million",
    [("base", 15, 768, 97), ("large", 27, 1024, 321)],
)
def test_published_sizes(name, num_layers, size, million):
    with sizes_only():
        upstream = load(f"multires_hubert_{name}", source=None)
    assert (upstream.num_layers, upstream.output_size) == (num_layers, size)
    assert upstream.stride == 320 and upstream.frames(16000) == 49
    count = sum(p.numel() for p in upstream.parameters())
    assert abs(count / 1e6 - million) < 3  # as the authors say


@pytest.mark.parametrize(
    "config, message",
    [
        (
            {"layers": 2},
            "Unknown entry of config: layers. Known: adapter_size, hidden_size",
        ),
        ({"num_layers": [1, 1]}, "1 ratios are of 3 encoders"),
        ({"ratios": [[2, 3]], "plain_resampling": True}, r"for ratios \[1, n\]"),
    ],
)
def test_mistakes_are_explained(config, message):
    with pytest.raises(ValueError, match=message):
        MultiresHubert(config=config)
