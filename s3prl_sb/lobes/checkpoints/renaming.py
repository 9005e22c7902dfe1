"""From other projects' names of a Transformer's weights to ours.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.checkpoints.reading import CheckpointError

#: Weight norm's two parts as PyTorch calls them since 2.1, and did before.
NORMS = {
    ".parametrizations.weight.original0": ".weight_g",
    ".parametrizations.weight.original1": ".weight_v",
}
#: Parts of names that torch.compile and FSDP put anywhere.
WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
#: What all names begin with if a network was saved with what was around it.
AROUND = ("module.", "model.")


def bare(weights):
    """Names without what training wraps around a network.

    That is ``module.`` of DataParallel and DistributedDataParallel, ``model.`` of
    many programs, and what torch.compile, FSDP and activation checkpointing put in
    between.

    Arguments
    ---------
    weights : dict
        Their names to tensors.

    Returns
    -------
    dict

    Raises
    ------
    CheckpointError
        If two names become one.

    Example
    -------
    >>> list(bare({"module.a._orig_mod.weight": 1, "module.model.bias": 2}))
    ['a.weight', 'model.bias']
    """
    result = {WRAPPERS.sub("", str(name)): tensor for name, tensor in weights.items()}
    if len(result) < len(weights):
        raise CheckpointError("it holds the same weights twice: bare, and compiled")
    while result:
        around = next((p for p in AROUND if all(n.startswith(p) for n in result)), None)
        if around is None:
            break
        result = {name[len(around) :]: tensor for name, tensor in result.items()}
    return result


def below(weights, landmark):
    """The one network that a state dict holds, whatever it is a part of.

    Arguments
    ---------
    weights : dict
        Names to tensors.
    landmark : str
        A name that the network has and nothing else.

    Returns
    -------
    dict
        What has the same beginning as the landmark, without it. What does not is the
        head of some task. Without a landmark: all.

    Raises
    ------
    CheckpointError
        If there are several, such as a teacher and a student.

    Example
    -------
    >>> below({"encoder.w2v.conv.weight": 1, "head.weight": 2}, "conv.weight")
    {'conv.weight': 1}
    """
    places = [n[: -len(landmark)] for n in weights if n.endswith(landmark)]
    places = sorted(p for p in places if not p or p.endswith("."))
    if len(places) > 1:
        raise CheckpointError(
            f"it holds {len(places)} networks, under {', '.join(map(repr, places))}: "
            "save the one that you mean alone"
        )
    if not places:
        return weights
    start = places[0]
    return {n[len(start) :]: t for n, t in weights.items() if n.startswith(start)}


def renamed(weights, table, training_only):
    """Our names and shapes.

    Arguments
    ---------
    weights : dict
        Their names to tensors.
    table : list of (str, str)
        Beginnings of names, as regular expressions, and what replaces them.
        What no rule knows keeps its name and is reported later. Of weight norm the
        names are PyTorch's old ones, ``weight_g`` and ``weight_v``.
    training_only : re.Pattern
        What is left out.

    Returns
    -------
    dict
    """
    result = {}
    for name, tensor in weights.items():
        if training_only.match(name):
            continue
        for new, old in NORMS.items():
            if name.endswith(new):
                name = name.removesuffix(new) + old
        for pattern, ours in table:
            new, count = re.subn("^" + pattern, ours, name)
            if count:
                name = new
                break
        if name.endswith((".enter.weight", ".leave.weight")) and tensor.dim() == 3:
            tensor = tensor[:, :, 0]  # a convolution of one frame
        if name.endswith((".content_bias", ".position_bias", ".gate_scale")):
            tensor = tensor.flatten()  # [heads, size of a head], [1, heads, 1, 1]
        result[name] = tensor
    positions = "encoder.positions.convolutions.0.weight"
    norm = [positions + "_v", positions + "_g"]
    if set(norm) <= result.keys():  # weight norm over all but the kernel
        v, g = (values.single(result, name) for name in norm)
        result[positions] = torch._weight_norm(v, g, 2)
    for name in norm:
        result.pop(name, None)
    return result
