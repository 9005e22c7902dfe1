"""From other projects' names of a Transformer's weights to ours.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch

from s3prl_sb.lobes.upstreams import values


def renamed(weights, table, training_only):
    """Our names and shapes.

    Arguments
    ---------
    weights : dict
        Their names to tensors.
    table : list of (str, str)
        Beginnings of names, as regular expressions, and what replaces them.
        What no rule knows keeps its name and is reported later.
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
