"""LightHuBERT's sub-networks against formulas on the supernet's own weights."""

import argparse

import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.checkpoints.building import sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.lighthubert import LightHubert

#: name of the model, file of the search space, size of supernet and sub-network
STAGES = {
    "small": ("hubert_pruner", "config/Supernet-Small.yaml", 512, 384),
    "base": ("hubert_pruner", "config/Supernet-Base.yaml", 768, 640),
    "stage1": ("student_hubert", None, 768, 768),
}
KERNEL, GROUPS, LAYERS = 6, 16, 2


def weights_of(size):
    """A random supernet's weights under their names in a checkpoint."""
    random = torch.Generator().manual_seed(size)
    found = {}

    def add(name, *shape):
        std = torch.Size(shape[1:]).numel() ** -0.5 if len(shape) > 1 else 0.2
        found[name] = torch.randn(shape, generator=random) * std

    def linear(name, out, size):
        add(f"{name}.weight", out, size)
        add(f"{name}.bias", out)

    def norm(name, size):
        add(f"{name}.weight", size)
        add(f"{name}.bias", size)
        found[f"{name}.weight"] += 1

    for i, (channels, kernel) in enumerate(((1, 10), (16, 8))):
        add(f"feature_extractor.conv_layers.{i}.0.weight", 16, channels, kernel)
        norm(f"feature_extractor.conv_layers.{i}.2.1", 16)
    norm("layer_norm", 16)
    linear("post_extract_proj", size, 16)
    add("encoder.pos_conv.0.bias", size)
    add("encoder.pos_conv.0.weight_v", size, size // GROUPS, KERNEL)
    found["encoder.pos_conv.0.weight_g"] = 5 * torch.rand(
        1, 1, KERNEL, generator=random
    )
    norm("encoder.layer_norm", size)
    for i in range(LAYERS):
        layer = f"encoder.layers.{i}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.self_attn.{name}", size, size)
        norm(f"{layer}.self_attn_layer_norm", size)
        linear(f"{layer}.fc1", 4 * size, size)
        linear(f"{layer}.fc2", size, 4 * size)
        norm(f"{layer}.final_layer_norm", size)
    add("mask_emb", size)
    linear("final_proj", 8, size)
    add("label_embs_concat", 5, 8)
    add(f"layer_pred_heads.{LAYERS - 1}.weight", size, size)
    return found


def write(path, stage, weights=None, **options):
    kind, file, size, _ = STAGES[stage]
    model = {
        "_name": kind,
        "pruner_supernet": file,
        "conv_feature_layers": "[(16,10,5), (16,8,8)]",
        "encoder_embed_dim": size,
        "encoder_ffn_embed_dim": 4 * size,
        "encoder_attention_heads": size // 64,
        "encoder_layers": LAYERS,
        "conv_pos": KERNEL,
        **options,
    }
    weights = weights_of(size) if weights is None else weights
    content = {"cfg": {"model": model}, "model": weights}
    content["args"] = argparse.Namespace(seed=1)
    torch.save(content, path)
    return str(path)


def noise(samples):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


def naive(w, wav, size):
    """The hidden states [frames, size] that the supernet has for a size, each
    step on a part of its weights."""

    def part(name):
        return w[f"{name}.weight"][:size], w[f"{name}.bias"][:size]

    def normed(x, name):
        return F.layer_norm(x, x.shape[-1:], *part(name))

    x = (wav - wav.mean()) / (wav.var(correction=0) + 1e-5).sqrt()
    x = x[None]
    for i, stride in enumerate((5, 8)):
        layer = f"feature_extractor.conv_layers.{i}"
        x = F.conv1d(x, w[f"{layer}.0.weight"], stride=stride)
        weight, bias = w[f"{layer}.2.1.weight"], w[f"{layer}.2.1.bias"]
        x = F.gelu(F.layer_norm(x.T, (16,), weight, bias)).T
    x = F.layer_norm(x.T, (16,), w["layer_norm.weight"], w["layer_norm.bias"])
    x = F.linear(x, *part("post_extract_proj"))
    states = [x]
    v, g = w["encoder.pos_conv.0.weight_v"], w["encoder.pos_conv.0.weight_g"]
    kernel = g * v / v.pow(2).sum((0, 1), keepdim=True).sqrt()  # of the supernet
    kernel = kernel[:size, : size // GROUPS]
    bias = w["encoder.pos_conv.0.bias"][:size]
    seen = F.conv1d(x.T[None], kernel, bias, padding=KERNEL // 2, groups=GROUPS)
    x = normed(x + F.gelu(seen[0, :, : len(x)]).T, "encoder.layer_norm")
    for i in range(LAYERS):
        layer = f"encoder.layers.{i}"
        q, k, v = (
            (x @ w[f"{layer}.self_attn.{n}.weight"][:size, :size].T)
            + w[f"{layer}.self_attn.{n}.bias"][:size]
            for n in ("q_proj", "k_proj", "v_proj")
        )
        heads = []
        for head in range(size // 64):
            one = slice(64 * head, 64 * head + 64)
            scores = torch.softmax(q[:, one] @ k[:, one].T / 8, dim=-1)
            heads.append(scores @ v[:, one])
        out, bias = part(f"{layer}.self_attn.out_proj")
        x = x + torch.cat(heads, 1) @ out[:, :size].T + bias
        x = normed(x, f"{layer}.self_attn_layer_norm")
        ffn = w[f"{layer}.fc2.bias"][:size]
        expand, contract = w[f"{layer}.fc1.weight"], w[f"{layer}.fc2.weight"]
        for start in range(0, len(expand), contract.shape[0]):  # block by block
            rows = slice(start, start + size)
            inner = x @ expand[rows, :size].T + w[f"{layer}.fc1.bias"][rows]
            ffn = ffn + F.gelu(inner) @ contract[:size, rows].T
        x = normed(x + ffn, f"{layer}.final_layer_norm")
        states.append(x)
    return states


@pytest.mark.parametrize("stage", STAGES)
def test_as_the_supernet(tmp_path, stage):
    size = STAGES[stage][3]
    upstream = LightHubert(write(tmp_path / "x.pt", stage))
    assert upstream.output_size == size and upstream.num_layers == 1 + LAYERS
    assert upstream.config.num_heads == size // 64
    weights = weights_of(STAGES[stage][2])
    for samples in (3001, 500):
        states, _ = upstream(noise(samples)[None])
        expected = naive(weights, noise(samples), size)
        assert len(states) == len(expected)
        for state, reference in zip(states, expected):
            assert state[0].shape == reference.shape
            difference = (state[0] - reference).abs().max()
            assert difference < 1e-5 * reference.abs().max()


@pytest.mark.parametrize(
    "name, size, millions", [("small", 384, 27), ("base", 640, 67), ("stage1", 768, 94)]
)
def test_published_sizes(name, size, millions):
    """As many parameters as S3PRL counts in the sub-network."""
    with sizes_only():
        upstream = load(f"lighthubert_{name}", source=None)
    assert upstream.output_sizes == [size] * 13
    count = sum(p.numel() for p in upstream.parameters())
    assert round(count / 1e6) == millions


def test_refuses_what_it_cannot_cut(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"task_cfg": {}, "model_cfg": {}, "model_weight": {}}, path)
    with pytest.raises(CheckpointError, match="LightHuBERT: it holds .*model_weight"):
        LightHubert(str(path))
    hubert = {"cfg": {"model": {"_name": "hubert"}}, "model": {}}
    torch.save(hubert, path)
    with pytest.raises(CheckpointError, match="a model called hubert, .*hubert_pruner"):
        LightHubert(str(path))
    weights = weights_of(512)
    write(path, "base", weights, encoder_embed_dim=512, encoder_ffn_embed_dim=2048)
    with pytest.raises(CheckpointError, match=r"\[512, 2048, 12\].*\[640, 2560, 10\]"):
        LightHubert(str(path))
    write(path, "base", weights)  # which says 768
    with pytest.raises(CheckpointError, match="other sizes than it says"):
        LightHubert(str(path))
    del weights["layer_norm.bias"]
    weights["extra"] = torch.ones(1)
    write(path, "small", weights)
    with pytest.raises(CheckpointError, match="front_end_norm.bias[^$]*extra"):
        LightHubert(str(path))
    write(path, "small", pos_conv_depth=2, prune_encoder_pos_conv=False)
    with pytest.raises(CheckpointError, match="supernet's size"):
        LightHubert(str(path))
