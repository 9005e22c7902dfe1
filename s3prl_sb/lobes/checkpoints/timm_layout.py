"""Weights of timm's Vision Transformers under our names.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch

from s3prl_sb.lobes.checkpoints.reading import CheckpointError

#: Size of a head in all models of timm's family that are published.
HEAD_SIZE = 64
#: timm's names of the weights, and ours. Applied from first to last.
NAMES = {
    r"^patch_embed\.proj\.": "patches.",
    r"^blocks\.": "layers.",
    r"\.norm1\.": ".attention_norm.",
    r"\.norm2\.": ".ffn_norm.",
    r"\.attn\.proj\.": ".attention.output.",
    r"\.mlp\.fc1\.": ".expand.",
    r"\.mlp\.fc2\.": ".contract.",
    r"^(mlp_)?head\.0\.": "head_norm.",
    r"^(mlp_)?head\.1\.": "head.",
}


def from_timm(weights, path):
    """Weights of a Vision Transformer of timm under our names.

    Arguments
    ---------
    weights : dict
        Names to tensors, without what is not the Transformer's.
    path : pathlib.Path
        Where they come from, for errors.

    Returns
    -------
    sizes : dict
        The entries of :class:`VisionTransformerConfig` that they tell.
    weights : dict
    """
    converted = {}
    for name, tensor in weights.items():
        for pattern, ours in NAMES.items():
            name = re.sub(pattern, ours, name)
        if ".attn.qkv." in name:
            for part, third in zip(("query", "key", "value"), tensor.chunk(3)):
                converted[name.replace("attn.qkv", f"attention.{part}")] = third
        else:
            converted[name] = tensor
    try:
        patches = converted["patches.weight"]
        ffn_size = len(converted["layers.0.expand.weight"])
    except KeyError as error:
        raise CheckpointError(
            f"'{path}' holds no Vision Transformer: it has no {error}"
        ) from error
    depth = {n.split(".")[1] for n in converted if n.startswith("layers.")}
    sizes = {
        "hidden_size": len(patches),
        "ffn_size": ffn_size,
        "num_layers": len(depth),
        "num_heads": max(1, len(patches) // HEAD_SIZE),
        "patch": list(patches.shape[2:]),
    }
    return sizes, converted


def joined_tokens(weights, *names):
    """Takes two tokens and their positions out of a checkpoint's weights.

    Arguments
    ---------
    weights : dict
        Loses ``names``.
    names : str
        Of the token of the class, that of the distillation, and the positions
        [1, 2 or more, size], those of the tokens first.

    Returns
    -------
    tokens : torch.Tensor
        [2, size]: with their positions, which only they have.
    positions : torch.Tensor
        The other ones, [patches, size].
    """
    first, second, positions = (weights.pop(name)[0] for name in names)
    return torch.cat([first, second]) + positions[:2], positions[2:]
