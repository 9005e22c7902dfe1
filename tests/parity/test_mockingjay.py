"""Mockingjay, TERA, Audio ALBERT: S3PRL's numbers, torch's, and the contract."""

import copy
import math

import pytest
import torch
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.encoder import EncoderLayer
from s3prl_sb.lobes.upstreams import load, names
from s3prl_sb.lobes.upstreams.mockingjay import (
    Architecture,
    AudioAlbert,
    FeatureTransformer,
    Mockingjay,
)

TINY = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "initializer_range": 0.2,
}
KALDI = {
    "kaldi": {"feat_type": "fbank", "fbank": {"num_mel_bins": 40}},
    "delta": {"order": 1},
    "cmvn": {"use_cmvn": True},
}


def tiny(
    kind=Mockingjay, freeze=True, seed=0, sequence_length=1500, audio=None, **more
):
    config = {
        "transformer": {**TINY, **more},
        "audio": audio or {},
        "task": {"sequence_length": sequence_length},
    }
    return kind(config=config, freeze=freeze, seed=seed)


def test_other_checkpoints_are_refused(oracle_folder):
    with pytest.raises(CheckpointError, match="is not .* Mockingjay.*model_weight"):
        Mockingjay(oracle_folder / "hubert" / "ckpt.pt")


# ------------------------------------------- independent, runs everywhere
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_layer_is_torchs(norm_first, activation):
    options = {**TINY, "hidden_act": activation, "pre_layer_norm": norm_first}
    layer = EncoderLayer(Architecture(**options).layer)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    theirs = torch.nn.TransformerEncoderLayer(
        48, 4, 96, 0.1, activation, 1e-12, batch_first=True, norm_first=norm_first
    )
    attention = layer.attention
    qkv = (attention.query, attention.key, attention.value)
    weights = {
        "self_attn.in_proj_weight": torch.cat([part.weight for part in qkv]),
        "self_attn.in_proj_bias": torch.cat([part.bias for part in qkv]),
    }
    for ours, name in (
        (attention.output, "self_attn.out_proj"),
        (layer.attention_norm, "norm1"),
        (layer.expand, "linear1"),
        (layer.contract, "linear2"),
        (layer.ffn_norm, "norm2"),
    ):
        weights.update({f"{name}.{k}": v for k, v in ours.state_dict().items()})
    theirs.load_state_dict(weights)
    layer.eval(), theirs.eval()
    x = torch.randn(50, 48)
    for sizes in ([50], [25, 25], [30, 17, 3]):
        expected = torch.cat([theirs(chunk[None])[0] for chunk in x.split(sizes)])
        close(layer(x, sizes)[0], expected, 1e-5)


def test_embedding_formula():
    network = FeatureTransformer(Architecture(**TINY), 8).eval()
    x = torch.randn(70, 8)
    positions = torch.zeros(70, 48, dtype=torch.double)
    for t, frame in enumerate([*range(40), *range(30)]):  # from 0 in each chunk
        for i in range(0, 48, 2):
            angle = frame / 10000 ** (i / 48)
            positions[t, i], positions[t, i + 1] = math.sin(angle), math.cos(angle)
    embedded = network.projection(x) + positions.float()
    expected = torch.nn.functional.layer_norm(embedded, (48,), eps=1e-12)
    close(next(network(x, [40, 30])), expected, 1e-5)


def test_pre_layer_norm_norms_every_state():
    states = tiny(pre_layer_norm=True)(noise(8000)[None])[0]
    for state in states:
        assert state.mean(-1).abs().max() < 1e-5
        assert (state.std(-1, correction=0) - 1).abs().max() < 1e-4


def test_level_of_the_waveform_does_not_matter():
    wav = noise(8000)[None]
    for a, b in zip(tiny()(wav)[0], tiny()(wav * 0.01)[0]):
        close(a, b, 1e-4)


# -------------------------------------------------------------- checkpoints
def s3prl_checkpoint(legacy=False, shared=False, pre=False, old=False):
    """Random weights in S3PRL's format, three layers."""
    generator = torch.Generator().manual_seed(1)

    def linear(name, out, size):
        weights[f"{name}.weight"] = 0.2 * torch.randn(out, size, generator=generator)
        weights[f"{name}.bias"] = 0.1 * torch.randn(out, generator=generator)

    def norm(name):
        keys = ("gamma", "beta") if old else ("weight", "bias")
        for key, mean in zip(keys, (1.0, 0.0)):
            noise = 0.1 * torch.randn(48, generator=generator)
            weights[f"{name}.{key}"] = mean + noise

    weights = {}
    linear("input_representations.spec_transform", 48, 80)
    norm("input_representations.LayerNorm")
    for i in range(3):
        prefix = f"encoder.layer.{i}."
        for part in ("query", "key", "value"):
            linear(f"{prefix}attention.self.{part}", 48, 48)
        linear(f"{prefix}attention.output.dense", 48, 48)
        norm(f"{prefix}attention.output.LayerNorm")
        linear(f"{prefix}intermediate.dense", 96, 48)
        linear(f"{prefix}output.dense", 48, 96)
        norm(f"{prefix}output.LayerNorm")
        for name in [name for name in weights if name.startswith(prefix)]:
            if shared:  # a copy of the first layer
                weights[name] = weights[name.replace(f".{i}.", ".0.", 1)]
            if pre and "LayerNorm" in name:
                weights[name.replace("output.LayerNorm", "LayerNorm")] = weights[name]
    for i in range(4 if pre else 0):
        norm(f"encoder.LayerNorm.{i}")
    transformer = {**Mockingjay.defaults["transformer"], **TINY}
    transformer.update(share_layer=shared, pre_layer_norm=pre, layer_norm_eps="1e-12")
    upstream = {**Mockingjay.defaults, "transformer": transformer}
    states = {"Transformer": weights, "SpecHead": {"dense.weight": torch.ones(1)}}
    if legacy:
        return {**states, "Config": upstream, "Runner": {"runner": {}}}
    return {**states, "Config": {"runner": {}}, "Upstream_Config": upstream}


@pytest.mark.parametrize("variant", ["legacy", "shared", "pre", "old"])
def test_checkpoint_layouts(variant, tmp_path):
    states = s3prl_checkpoint(**{variant: True})
    torch.save(states, tmp_path / "states.ckpt")
    upstream = check(Mockingjay(str(tmp_path / "states.ckpt")))
    layers = upstream.network.layers
    assert len(layers) == (1 if variant == "shared" else 3)
    theirs = states["Transformer"]
    expected = theirs["encoder.layer.0.intermediate.dense.weight"]
    assert torch.equal(layers[0].expand.weight, expected)
    key = "gamma" if variant == "old" else "weight"
    expected = theirs[f"encoder.layer.0.output.LayerNorm.{key}"]
    assert torch.equal(layers[0].ffn_norm.weight, expected)
    assert not any(p.is_meta for p in upstream.parameters())


def test_nothing_is_missing_nor_left_over(tmp_path):
    file = tmp_path / "states.ckpt"

    def error(change):
        states = s3prl_checkpoint(shared=True)
        change(states["Transformer"])
        torch.save(states, file)
        with pytest.raises(CheckpointError) as caught:
            AudioAlbert(file)
        return str(caught.value)

    name = "input_representations.LayerNorm.bias"
    assert "missing (1): norm.bias" in error(lambda w: w.pop(name))
    assert "unexpected (1): extra" in error(lambda w: w.update(extra=torch.ones(1)))
    assert "another shape" in error(lambda w: w.update({name: torch.ones(2)}))
    name = "encoder.layer.2.attention.self.query.bias"
    assert "should be shared" in error(lambda w: w.update({name: torch.ones(48)}))


def test_checkpoint_without_features_is_refused(tmp_path):
    states = s3prl_checkpoint()
    del states["Upstream_Config"]["audio"]
    torch.save(states, tmp_path / "states.ckpt")
    with pytest.raises(CheckpointError, match="'audio' and 'task'. Its keys: Config"):
        Mockingjay(tmp_path / "states.ckpt")


# ------------------------------------------------------------ the contract
def check(upstream):
    check_upstream(upstream)
    return upstream


@pytest.mark.parametrize(
    "options",
    [{}, {"kind": AudioAlbert}, {"audio": KALDI}, {"sequence_length": 40}],
    ids=str,
)
@pytest.mark.parametrize("pre_layer_norm", [False, True])
def test_contract(options, pre_layer_norm):
    upstream = check(tiny(pre_layer_norm=pre_layer_norm, **options))
    samples = [300, 16000, 399, 7777, 16000, 1]
    wavs = [noise(n, seed=i) for i, n in enumerate(samples)]
    together = upstream.extract(wavs)["hidden_states"]
    for i, wav in enumerate(wavs):
        alone, _ = upstream(wav[None])
        for a, b in zip(alone, together):
            close(b[i, : a.shape[1]], a[0], 1e-5)


@pytest.mark.parametrize("audio", [None, KALDI], ids=["stft", "kaldi"])
def test_frames_are_exact(audio):
    upstream, wav = tiny(audio=audio, sequence_length=9), noise(5000)
    for samples in range(1, 5000, 97):
        states, _ = upstream(wav[None, :samples])
        shape = (1, upstream.frames(samples), 48)
        assert {tuple(state.shape) for state in states} == {shape}


@pytest.mark.parametrize("samples", [160 * 59, 160 * 60, 160 * 100, 160 * 125])
def test_chunks_do_not_see_each_other(samples):
    wav = noise(samples)
    upstream, whole = tiny(sequence_length=60), tiny(sequence_length=0)
    states, _ = upstream(wav[None])
    features = upstream.input_features(wav)
    assert len(features) == upstream.frames(samples)
    start = 0
    for chunk in torch.chunk(features, math.ceil(len(features) / 60)):
        expected = whole.network(chunk, [len(chunk)])
        for state, reference in zip(states, expected):
            close(state[0, start : start + len(chunk)], reference, 1e-5)
        start += len(chunk)
    assert start == states[0].shape[1]


def test_gradients_and_dropout_when_unfrozen():
    upstream, wav = tiny(AudioAlbert, freeze=False), noise(8000)[None]
    first, second = upstream(wav)[0], upstream(wav)[0]
    assert not torch.equal(first[-1], second[-1])
    sum(state.square().sum() for state in first).backward()
    for name, parameter in upstream.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    upstream.eval()
    assert torch.equal(upstream(wav)[0][-1], upstream(wav)[0][-1])


def test_frozen_stays_frozen():
    upstream, wav = tiny().train(), noise(8000)[None]
    first, second = upstream(wav)[0], upstream(wav)[0]
    assert all(torch.equal(a, b) for a, b in zip(first, second))
    assert not any(m.training for m in upstream.modules())
    assert not any(p.requires_grad for p in upstream.parameters())


def test_random_network_is_the_same_everywhere():
    before = torch.get_rng_state()
    upstream = tiny(initializer_range=0.02)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1234)
    again = tiny(initializer_range=0.02)
    for a, b in zip(upstream.parameters(), again.parameters()):
        assert torch.equal(a, b)
    query = upstream.network.layers[0].attention.query
    assert abs(query.weight.std().item() - 0.02) < 2e-3 and query.bias.eq(0).all()
    other = tiny(initializer_range=0.02, seed=1).network.layers[0].attention.query
    assert not torch.equal(query.weight, other.weight)


def test_half_precision_and_copies():
    config, wav = {"transformer": TINY}, noise(8000)[None]
    reference = Mockingjay(config=config)(wav)[0]
    half = Mockingjay(config=config, precision="bf16")
    for a, b in zip(reference, copy.deepcopy(half)(wav)[0]):
        assert b.dtype == torch.bfloat16
        close(b.float(), a, 5e-2)
    other = Mockingjay(config=config, seed=1)
    other.load_state_dict(Mockingjay(config=config).state_dict())
    assert torch.equal(other(wav)[0][-1], reference[-1])


# ------------------------------------------------------------------- cards
@pytest.mark.parametrize(
    "name, num_layers, features, sequence_length",
    [
        ("mockingjay", 13, 80, 500),
        ("mockingjay_100hr", 4, 80, 1500),
        ("tera", 4, 80, 1500),
        ("tera_fbankBase_T_F_AdamW_b32_200k_100hr", 4, 240, 1500),
        ("tera_logMelBase_T_F_AdamW_b32_1m_960hr_seq3k", 4, 80, 3000),
        ("audio_albert_960hr", 4, 80, 1500),
    ],
)
def test_cards(name, num_layers, features, sequence_length):
    upstream = load(name, source=None)
    assert upstream.num_layers == num_layers and upstream.output_size == 768
    assert upstream.features.output_size == features
    assert upstream.sequence_length == sequence_length
    assert len(upstream.network.layers) == (1 if "albert" in name else num_layers - 1)


def test_number_of_cards():
    counts = [len(names(f"{family}*")) for family in ("mockingjay", "tera", "audio_a")]
    assert counts == [9, 10, 3]


@pytest.mark.parametrize(
    "config, message",
    [
        ({"transfromer": {}}, "Unknown config.transfromer. Known: transformer"),
        ({"transformer": {"layers": 3}}, "config.transformer.layers. Known: hidden"),
        ({"transformer": {"hidden_act": "tanh"}}, "must be one of: gelu, relu, swish"),
        ({"transformer": {"num_attention_heads": 7}}, "must be a multiple"),
        ({"audio": {"input": {"feat_type": "wav"}}}, "feature: wav. Known: mel"),
    ],
)
def test_mistakes_are_explained(config, message):
    with pytest.raises(ValueError, match=message):
        Mockingjay(config=config)
