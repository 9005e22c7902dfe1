"""Conversion of other projects' names of weights to ours.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.checkpoints.reading import CheckpointError

#: Names of weight norm's two parts since PyTorch 2.1, and before.
NORMS = {
    ".parametrizations.weight.original0": ".weight_g",
    ".parametrizations.weight.original1": ".weight_v",
}
#: Parts of names that torch.compile, FSDP and activation checkpointing insert.
WRAPPERS = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
#: Prefixes of all names if a network was saved with its wrapper.
AROUND = ("module.", "model.")


def bare(weights):
    """Removes the wrappers of training from names.

    These are ``module.`` of DataParallel and DistributedDataParallel, ``model.`` of
    many programs, and the parts that torch.compile, FSDP and activation checkpointing
    insert.

    Arguments
    ---------
    weights : dict
        Names to tensors.

    Returns
    -------
    dict
        Names without wrappers to tensors.

    Raises
    ------
    CheckpointError
        If two names become equal.

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
    """Extracts the network from the state dict of a larger model.

    Arguments
    ---------
    weights : dict
        Names to tensors.
    landmark : str
        Name of a weight that only the network has.

    Returns
    -------
    dict
        Weights with the same prefix as the landmark, without the prefix. Others
        belong to the head of a task. All weights, if the landmark is missing.

    Raises
    ------
    CheckpointError
        If there are several networks, such as a teacher and a student.

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


def our_name(name, table):
    """Converts the name of a weight to ours.

    Arguments
    ---------
    name : str
        Name in another project.
    table : dict
        Regular expressions to their replacements; all apply, from first to last.

    Returns
    -------
    str

    Example
    -------
    >>> our_name("encoder.fc1.bias", {r"^encoder\\.": "layers.0.", r"fc1": "expand"})
    'layers.0.expand.bias'
    """
    for pattern, ours in table.items():
        name = re.sub(pattern, ours, name)
    return name


def layer_rules(prefix, table):
    """Returns rules of :func:`renamed` for the names of all layers of an encoder.

    Arguments
    ---------
    prefix : str
        Regular expression of the names of layers, up to their number.
    table : list of (str, str)
        Rules for the names in a layer.

    Returns
    -------
    list of (str, str)
    """
    return [
        (rf"{prefix}(\d+)\." + theirs, rf"encoder.layers.\1.{ours}")
        for theirs, ours in table
    ]


def split_projections(weights, fused, parts):
    """Splits the projections of query, key and value that are one tensor.

    Arguments
    ---------
    weights : dict
        Names to tensors.
    fused : str
        Part of the names of these tensors.
    parts : list of str
        Replacements of that part for the three, in the order of the rows.

    Returns
    -------
    dict
        Names to tensors; those of the three are views.

    Example
    -------
    >>> weights = {"0.qkv.bias": torch.arange(6), "0.out.bias": torch.zeros(2)}
    >>> weights = split_projections(weights, "qkv", ["query", "key", "value"])
    >>> list(weights), weights["0.key.bias"].tolist()
    (['0.query.bias', '0.key.bias', '0.value.bias', '0.out.bias'], [2, 3])
    """
    result = {}
    for name, tensor in weights.items():
        if fused in name:
            for part, rows in zip(parts, tensor.chunk(3)):
                result[name.replace(fused, part)] = rows
        else:
            result[name] = tensor
    return result


def ruled_name(name, table):
    """Converts the name of a weight to ours by the first rule that fits.

    Arguments
    ---------
    name : str
        Name in another project.
    table : list of (str, str)
        See :func:`renamed`.

    Returns
    -------
    str
        The name as it is, if no rule fits.

    Example
    -------
    >>> ruled_name("encoder.a.bias", [(r"encoder\\.", "layers."), ("enc", "e")])
    'layers.a.bias'
    """
    for pattern, ours in table:
        new, count = re.subn("^" + pattern, ours, name)
        if count:
            return new
    return name


def of_weight_norm(
    direction: torch.Tensor, magnitude: torch.Tensor, dim: int, name: str
) -> torch.Tensor:
    """Returns the weight that weight normalization has in two parts.

    Arguments
    ---------
    direction : torch.Tensor
        ``weight_v``, of the shape of the weight.
    magnitude : torch.Tensor
        ``weight_g``, of one value for each slice along ``dim``.
    dim : int
        Dimension that is not normalized over.
    name : str
        Name of the weight, for the error.

    Returns
    -------
    torch.Tensor

    Raises
    ------
    CheckpointError
        If the shapes do not fit, with which torch reads and writes beyond the end of
        the tensors.

    Example
    -------
    >>> g, v = torch.full((1, 1), 2.0), torch.tensor([[3.0, 4.0]])
    >>> of_weight_norm(v, g, 0, "conv").tolist()
    [[1.2000000476837158, 1.600000023841858]]
    """
    parts = direction, magnitude
    if all(isinstance(p, torch.Tensor) and p.is_floating_point() for p in parts):
        shape = [1] * direction.dim()
        shape[dim : dim + 1] = direction.shape[dim : dim + 1]
        if list(magnitude.shape) == shape and direction.dim() > dim:
            return torch._weight_norm(direction, magnitude.to(direction.dtype), dim)
    raise CheckpointError(
        f"The two parts of the weight norm of '{name}' do not fit: the file is damaged."
    )


def renamed(weights, table, training_only):
    """Converts weights to our names and shapes.

    Arguments
    ---------
    weights : dict
        Their names to tensors.
    table : list of (str, str)
        Prefixes of names, as regular expressions, and their replacements. A name
        without a rule is kept and reported later. Weight norm has PyTorch's old
        names, ``weight_g`` and ``weight_v``.
    training_only : re.Pattern
        Names of weights that are left out.

    Returns
    -------
    dict
        Our names to tensors.
    """
    result = {}
    for name, tensor in weights.items():
        if training_only.match(name):
            continue
        for new, old in NORMS.items():
            if name.endswith(new):
                name = name.removesuffix(new) + old
        name = ruled_name(name, table)
        if name.endswith((".enter.weight", ".leave.weight")) and tensor.dim() == 3:
            tensor = tensor[:, :, 0]  # a convolution of one frame
        if name.endswith((".content_bias", ".position_bias", ".gate_scale")):
            tensor = tensor.flatten()  # [heads, size of a head], [1, heads, 1, 1]
        result[name] = tensor
    positions = "encoder.positions.convolutions.0.weight"
    norm = [positions + "_v", positions + "_g"]
    if set(norm) <= result.keys():  # weight norm over all dimensions but the kernel's
        v, g = (values.single(result, name) for name in norm)
        result[positions] = of_weight_norm(v, g, 2, positions)
    for name in norm:
        result.pop(name, None)
    return result
