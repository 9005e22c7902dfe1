"""Weights of timm's Vision Transformers under our names.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.renaming import our_name, split_projections

#: Size of a head in all published models of timm's layout.
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


#: Factors of LayerScale, and the last linear layers of the branches that they scale.
SCALES = {".ls1.gamma": ".attention.output", ".ls2.gamma": ".contract"}


def from_timm(weights, path):
    """Renames the weights of a Vision Transformer of timm.

    LayerScale becomes part of the linear layers before it, which gives the same
    function.

    Arguments
    ---------
    weights : dict
        Names to tensors of the Transformer alone.
    path : pathlib.Path
        File of the weights, for errors.

    Returns
    -------
    sizes : dict
        The entries of
        :class:`~s3prl_sb.lobes.networks.vision_transformer.VisionTransformerConfig`
        that follow from the weights.
    weights : dict
        Our names to tensors.

    Raises
    ------
    CheckpointError
        If they are not of a Vision Transformer.
    """
    parts = [f".attention.{part}." for part in ("query", "key", "value")]
    converted = {our_name(name, NAMES): tensor for name, tensor in weights.items()}
    converted = split_projections(converted, ".attn.qkv.", parts)
    try:
        _scale(converted)
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


def _scale(weights):
    """Multiplies the branches of the layers by the factors of LayerScale."""
    for name in [n for n in weights if n.endswith(tuple(SCALES))]:
        layer, end = name.rsplit(".", 2)[0], name[-len(".ls1.gamma") :]
        gamma = weights.pop(name)
        for linear in (layer + SCALES[end] + part for part in (".weight", ".bias")):
            weight = values.single(weights, linear)
            scaled = weight.movedim(0, -1) * gamma.float()  # of each output
            weights[linear] = scaled.movedim(-1, 0).contiguous()


def without_batch(weights, name):
    """Removes a weight for one example from a checkpoint's weights, such as a token.

    Arguments
    ---------
    weights : dict
        Weights, from which it is removed.
    name : str
        Name of the weight, [1, ...].

    Returns
    -------
    torch.Tensor
        [...], in single precision.

    Raises
    ------
    CheckpointError
        If it is absent, has whole numbers, or another shape.

    Example
    -------
    >>> without_batch({"cls_token": torch.zeros(1, 1, 8)}, "cls_token").shape
    torch.Size([1, 8])
    """
    if name not in weights:
        raise CheckpointError(f"it has no {name}")
    weight = values.single(weights, name)
    del weights[name]
    if weight.shape[:1] != (1,):
        raise CheckpointError(f"{name} is {list(weight.shape)}, not [1, …]")
    return weight[0]


def joined_tokens(weights):
    """Removes two tokens and the positions from a checkpoint's weights.

    Arguments
    ---------
    weights : dict
        Weights, from which the class token ``cls_token``, the distillation token
        ``dist_token`` and the positions ``pos_embed``, [1, 2 or more, size], those
        of the tokens first, are removed.

    Returns
    -------
    tokens : torch.Tensor
        Tokens plus their positions, [2, size].
    positions : torch.Tensor
        Positions of the patches, [patches, size].
    """
    names = ("cls_token", "dist_token", "pos_embed")
    first, second, positions = (weights.pop(name)[0] for name in names)
    return torch.cat([first, second]) + positions[:2], positions[2:]
