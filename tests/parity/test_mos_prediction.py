"""MOS prediction: S3PRL's layout of checkpoints, and naive formulas."""

import argparse
import json
import re

import pytest
import torch
from safetensors.torch import save_file
from tensors import noise

from s3prl_sb.lobes.checkpoints.building import CONVERTED
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.mockingjay import Tera
from s3prl_sb.lobes.upstreams.mos_prediction import MosPrediction, ScoreHead
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2

APC = {"hidden_size": 24}
TERA = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
WAV2VEC2 = {
    "conv_layers": [[16, 10, 5], [16, 8, 64]],
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 2,
    "num_heads": 4,
    "position_kernel": 16,
    "position_groups": 4,
}


def random(**shapes):
    generator = torch.Generator().manual_seed(5)
    return {
        name.replace("__", "."): 0.5 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def head(size, pooling):
    """As S3PRL names it, with what only training uses."""
    weights = random(
        connector__weight=(8, size),
        connector__bias=(8,),
        model__mean_net_linear__weight=(1, 8),
        model__mean_net_linear__bias=(1,),
        model__bias_net_linear__weight=(1, 8),
        model__bias_net_linear__bias=(1,),
        model__judge_embbeding__weight=(50, 8),
    )
    for net in ("mean_net_pooling", "bias_net_pooling") if pooling else ():
        weights[f"model.{net}.W.weight"] = torch.linspace(-1, 1, 8)[None]
        weights[f"model.{net}.W.bias"] = torch.zeros(1)
    return weights


def apc_weights():
    """As S3PRL's upstream holds them."""
    shapes = {"model__postnet__weight": (80, 24), "model__postnet__bias": (80,)}
    for layer, size in enumerate((80, 24, 24)):
        prefix = f"model__rnn_layers__{layer}__"
        shapes[f"{prefix}weight_ih_l0"] = (72, size)
        shapes[f"{prefix}weight_hh_l0"] = (72, 24)
        shapes[f"{prefix}bias_ih_l0"] = shapes[f"{prefix}bias_hh_l0"] = (72,)
    return random(**shapes)


def tera_weights(upstream):
    table = {
        r"projection\.": "input_representations.spec_transform.",
        r"norm\.": "input_representations.LayerNorm.",
        r"layers\.(\d+)\.(query|key|value)\.": r"encoder.layer.\1.attention.self.\2.",
        r"layers\.(\d+)\.output\.": r"encoder.layer.\1.attention.output.dense.",
        r"layers\.(\d+)\.attention_norm\.": r"encoder.layer.\1.attention.output."
        "LayerNorm.",
        r"layers\.(\d+)\.expand\.": r"encoder.layer.\1.intermediate.dense.",
        r"layers\.(\d+)\.contract\.": r"encoder.layer.\1.output.dense.",
        r"layers\.(\d+)\.ffn_norm\.": r"encoder.layer.\1.output.LayerNorm.",
    }
    weights = {
        f"transformer.model.{renamed(name, table)}": tensor
        for name, tensor in upstream.network.state_dict().items()
    }
    return {**weights, "transformer.extracter._melscale.fb": torch.ones(201, 80)}


def wav2vec2_weights(upstream):
    table = {
        r"front_end\.convolutions\.(\d+)\.": r"feature_extractor.conv_layers.\1.0.",
        r"front_end\.norms\.0\.": "feature_extractor.conv_layers.0.2.",
        r"front_end_norm\.": "layer_norm.",
        r"projection\.": "post_extract_proj.",
        r"(encoder\.)?positions\.(convolutions\.0\.)?": "encoder.pos_conv.0.",
        r"(encoder\.norm|encoder_norm)\.": "encoder.layer_norm.",
        r"(encoder\.)?layers\.(\d+)\.": r"encoder.layers.\2.",
    }
    layer = {
        r"(attention\.)?(query|key|value|output)\.(weight|bias)": r"self_attn.\2.\3",
        r"attention_norm\.": "self_attn_layer_norm.",
        r"expand\.": "fc1.",
        r"contract\.": "fc2.",
        r"ffn_norm\.": "final_layer_norm.",
    }
    projections = {"query": "q_proj", "key": "k_proj", "value": "v_proj"}
    projections["output"] = "out_proj"
    weights = {"model.mask_emb": torch.ones(32)}
    for name, tensor in upstream.network.state_dict().items():
        name = renamed(name, table)
        start = re.match(r"encoder\.layers\.\d+\.", name)
        if start:
            name = start[0] + renamed(name[start.end() :], layer)
            for ours, theirs in projections.items():
                name = name.replace(f"self_attn.{ours}.", f"self_attn.{theirs}.")
        if name == "encoder.pos_conv.0.weight":  # weight norm over all but the kernel
            weights[f"model.{name}_g"] = tensor.norm(dim=(0, 1), keepdim=True)
            name += "_v"
        weights[f"model.{name}"] = tensor
    return weights


def renamed(name, table):
    for pattern, theirs in table.items():
        new, count = re.subn("^" + pattern, theirs, name)
        if count:
            return new
    return name


def checkpoint(path, inner, size, pooling=True, clipping=True):
    """A file in S3PRL's layout."""
    modelrc = {"projector_dim": 8, "clipping": clipping, "segment_weight": 1}
    modelrc["attention_pooling"] = pooling
    states = {
        "Upstream": inner,
        "Downstream": head(size, pooling),
        "Featurizer": {"weights": torch.zeros(3)},
        "Config": {"downstream_expert": {"modelrc": modelrc}},
        "Args": argparse.Namespace(upstream="any", device="cuda"),
    }
    torch.save(states, path)
    return states


def naive_score(segment, weights, pooling, clipping):
    """Computes the score of a segment's features [frames, size] with S3PRL's names."""
    x = segment @ weights["connector.weight"].T + weights["connector.bias"]
    scores = [
        (frame * weights["model.mean_net_linear.weight"][0]).sum()
        + weights["model.mean_net_linear.bias"][0]
        for frame in x
    ]
    share = torch.full((len(x),), 1 / len(x))
    if pooling:
        energy = (x @ weights["model.mean_net_pooling.W.weight"][0]).exp()
        share = energy / energy.sum()
    score = sum(a * b for a, b in zip(share, scores))
    return 3 + 2 * torch.tanh(score) if clipping else score


def naive_segments(wav):
    """Segments of 1 s, one every 0.5 s; one more than fit, but for short audio."""
    segments, start = [], 0
    while True:
        segment = torch.zeros(16000)
        part = wav[start : start + 16000]
        segment[: len(part)] = part
        segments.append(segment)
        start += 8000
        if len(wav) <= 16000 or start + 8000 > len(wav):
            return segments


# -------------------------------------------------------------- naive formulas
@pytest.mark.parametrize("pooling", [True, False])
@pytest.mark.parametrize("clipping", [True, False])
def test_apc_by_hand(pooling, clipping, tmp_path):
    inner = apc_weights()
    states = checkpoint(tmp_path / "a.ckpt", inner, 24, pooling, clipping)
    mos = MosPrediction(tmp_path / "a.ckpt", upstream_config=APC)
    fbank = KaldiFeatures(num_mel_bins=80, window_type="hamming", deltas=0, cmvn=True)
    layers = [torch.nn.GRU(size, 24) for size in (80, 24, 24)]
    for i, layer in enumerate(layers):
        layer.load_state_dict(
            {n: inner[f"model.rnn_layers.{i}.{n}"] for n in layer.state_dict()}
        )
    for samples in (5000, 16000, 16001, 24000, 41000):
        wav, expected = noise(samples, seed=samples), []
        for segment in naive_segments(wav):
            x, outputs = fbank(segment[None])[0][0][0], []
            for i, layer in enumerate(layers):
                y = layer(x)[0].detach()
                x = x + y if i else y
                outputs.append(x)
            mean = (outputs[0] + outputs[1] + outputs[2]) / 3
            score = naive_score(mean, states["Downstream"], pooling, clipping)
            expected.append(score.item())
        (scores,), lens = mos(wav[None])
        assert scores.shape == (1, len(expected), 1) and lens.tolist() == [1.0]
        assert scores[0, :, 0].tolist() == pytest.approx(expected, abs=1e-5)
        mean = sum(expected) / len(expected)
        assert mos.score(wav[None]).item() == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize("name", ["tera", "wav2vec2"])
def test_inner_upstreams(name, tmp_path):
    """The weights arrive where they belong, and S3PRL's featurizer trims."""
    kind, config = {"tera": (Tera, TERA), "wav2vec2": (Wav2Vec2, WAV2VEC2)}[name]
    inner = kind(config=config, seed=3)
    generator = torch.Generator().manual_seed(3)
    for parameter in inner.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    make = {"tera": tera_weights, "wav2vec2": wav2vec2_weights}[name]
    states = checkpoint(tmp_path / "a.ckpt", make(inner), 32)
    mos = MosPrediction(tmp_path / "a.ckpt", upstream_config=config)
    assert mos.config.upstream == name
    wav, frames = noise(40000), {"tera": 100, "wav2vec2": 50}[name]
    for segment, score in zip(naive_segments(wav), mos(wav[None])[0][0][0]):
        hidden_states = inner(segment[None])[0]
        mean = sum(state[0] for state in hidden_states) / len(hidden_states)
        expected = naive_score(mean[:frames], states["Downstream"], True, True)
        assert score.item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("samples", [1, 8000, 16000, 16001, 23999, 24000, 48123])
def test_segments(samples):
    mos, wav = tiny(), noise(samples)
    count = len(naive_segments(wav))
    assert mos.frames(samples) == count == mos(wav[None])[0][0].shape[1]


def tiny(**options):
    config = {"upstream": "apc", "projector_dim": 8, **options.pop("config", {})}
    return MosPrediction(config=config, upstream_config=APC, **options)


def test_score_of_a_padded_batch():
    mos, samples = tiny(seed=2), [40000, 16000, 300, 24001]
    wavs = [noise(n, seed=n) for n in samples]
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    scores = mos.score(padded, torch.tensor(samples) / max(samples))
    for wav, score in zip(wavs, scores):
        assert score.item() == pytest.approx(mos.score(wav[None]).item(), abs=1e-5)
    assert scores.min() > 1 and scores.max() < 5


def test_clipping_keeps_scores_between_1_and_5():
    x = 1000 * torch.randn(20, 5, 4)
    free, clipped = ScoreHead(4, 3, False), ScoreHead(4, 3, True)
    clipped.load_state_dict(free.state_dict())
    assert free(x).abs().max() > 5
    assert clipped(x).min() >= 1 and clipped(x).max() <= 5


# -------------------------------------------------------------- checkpoints
def test_nothing_is_missing_nor_left_over(tmp_path):
    def error(part, change):
        states = checkpoint(tmp_path / "a.ckpt", apc_weights(), 24)
        change(states[part])
        torch.save(states, tmp_path / "a.ckpt")
        with pytest.raises(CheckpointError) as caught:
            MosPrediction(tmp_path / "a.ckpt", upstream_config=APC)
        return str(caught.value)

    name = "model.rnn_layers.1.bias_hh_l0"
    assert "missing (1): layers.1.bias_hh_l0" in error(
        "Upstream", lambda w: w.pop(name)
    )
    assert "another shape" in error("Upstream", lambda w: w.update({name: noise(3)}))
    assert "missing (1): score.bias" in error(
        "Downstream", lambda w: w.pop("model.mean_net_linear.bias")
    )
    assert "unexpected (1): more" in error(
        "Downstream", lambda w: w.update(more=noise(3))
    )


def test_other_checkpoints_are_refused(tmp_path):
    torch.save({"model": {}, "cfg": {}}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="MOS prediction.*Its keys: cfg, model"):
        MosPrediction(tmp_path / "a.ckpt")
    checkpoint(tmp_path / "a.ckpt", {"model.layers.0": noise(3)}, 24)
    with pytest.raises(CheckpointError, match="none of tera, apc, wav2vec2: model.la"):
        MosPrediction(tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="entry of config: clip. Known: upstream"):
        MosPrediction(config={"clip": True})


def test_converted(tmp_path):
    """Configuration and weights are all that it takes, the inner one's too."""
    checkpoint(tmp_path / "a.ckpt", apc_weights(), 24)
    first = MosPrediction(tmp_path / "a.ckpt", upstream_config=APC)
    content = json.dumps({"class": "…", "config": vars(first.config)})
    weights = {n: t.contiguous() for n, t in first.network.state_dict().items()}
    save_file(weights, tmp_path / "c.safetensors", {CONVERTED: content})
    again = MosPrediction(tmp_path / "c.safetensors")
    assert isinstance(again.network["upstream"], Apc)
    score = first.score(noise(9000)[None]).item()
    assert again.score(noise(9000)[None]).item() == pytest.approx(score, abs=1e-6)
    for name, tensor in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert again.config == first.config


def test_training_reaches_both_parts():
    mos = tiny(freeze=False)
    assert mos.training and mos.network["upstream"].training
    mos.score(noise(20000)[None]).sum().backward()
    for name, parameter in mos.named_parameters():
        assert parameter.grad is not None, name
    frozen = tiny().train()
    assert not any(module.training for module in frozen.modules())
