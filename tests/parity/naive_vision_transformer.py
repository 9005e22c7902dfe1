"""A Vision Transformer in timm's layout, written out: what ours must equal."""

import torch
import torch.nn.functional as F


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator)


def random_weights(size=128, ffn=160, depth=2, patch=(16, 16), norm=True):
    """Input of the Transformer, without tokens and positions."""
    shapes = {"patch_embed.proj.weight": (size, 1, *patch)}
    for i in range(depth):
        shapes[f"blocks.{i}.attn.qkv.weight"] = (3 * size, size)
        shapes[f"blocks.{i}.attn.proj.weight"] = (size, size)
        shapes[f"blocks.{i}.mlp.fc1.weight"] = (ffn, size)
        shapes[f"blocks.{i}.mlp.fc2.weight"] = (size, ffn)
    weights = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        scale = torch.Size(shape[1:]).numel() ** -0.5
        weights[name] = scale * noise(*shape, seed=seed)
        name = name.replace("weight", "bias")
        weights[name] = 0.1 * noise(shape[0], seed=100 + seed)
    norms = [f"blocks.{i}.norm{j}" for i in range(depth) for j in (1, 2)]
    for seed, name in enumerate(norms + ["norm"] * norm):
        weights[f"{name}.weight"] = 1 + 0.2 * noise(size, seed=200 + seed)
        weights[f"{name}.bias"] = 0.1 * noise(size, seed=300 + seed)
    return weights


def head(size=128, classes=7, norm="mlp_head.0", linear="mlp_head.1"):
    """A classifier's weights."""
    return {
        f"{norm}.weight": 1 + 0.2 * noise(size, seed=1),
        f"{norm}.bias": 0.1 * noise(size, seed=2),
        f"{linear}.weight": 0.1 * noise(classes, size, seed=3),
        f"{linear}.bias": 0.1 * noise(classes, seed=4),
    }


def forward(weights, x, positions, tokens, stride, heads=2):
    """The output of every block.

    ``x``: [bands, frames]; ``positions``: [bands, times, size] of the patches;
    ``tokens``: [2, size], with positions. One window, one head at a time.
    """

    def linear(name, x):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(name, x):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0) + 1e-6).sqrt()[
            :, None
        ]
        return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    kernel = weights["patch_embed.proj.weight"]
    size, _, high, wide = kernel.shape
    rows = [*tokens]
    for band in range(positions.shape[0]):
        for time in range(positions.shape[1]):
            top, left = band * stride[0], time * stride[1]
            patch = x[top : top + high, left : left + wide]
            value = kernel.flatten(1) @ patch.flatten()
            value = value + weights["patch_embed.proj.bias"]
            rows.append(value + positions[band, time])
    x, states, depth = torch.stack(rows), [], 0
    while f"blocks.{depth}.norm1.weight" in weights:
        block = f"blocks.{depth}"
        q, k, v = linear(f"{block}.attn.qkv", norm(f"{block}.norm1", x)).chunk(3, -1)
        mixed = []
        for part in range(heads):
            columns = slice(part * size // heads, (part + 1) * size // heads)
            scores = q[:, columns] @ k[:, columns].T / (size / heads) ** 0.5
            mixed.append(scores.softmax(-1) @ v[:, columns])
        x = x + linear(f"{block}.attn.proj", torch.cat(mixed, -1))
        inner = F.gelu(linear(f"{block}.mlp.fc1", norm(f"{block}.norm2", x)))
        x = x + linear(f"{block}.mlp.fc2", inner)
        states.append(x)
        depth += 1
    return states


def classify(weights, state, norm="mlp_head.0", linear="mlp_head.1"):
    """(logits, features) of the last block's output."""
    size = state.shape[-1]
    x = F.layer_norm(state, [size], weights["norm.weight"], weights["norm.bias"], 1e-6)
    features = (x[0] + x[1]) / 2
    x = F.layer_norm(
        features, [size], weights[f"{norm}.weight"], weights[f"{norm}.bias"]
    )
    return F.linear(x, weights[f"{linear}.weight"], weights[f"{linear}.bias"]), features
