"""The folder of a model of the library transformers: its three files.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import Path

from s3prl_sb.files import naming, read_json
from s3prl_sb.lobes.upstreams import checkpoints, values
from s3prl_sb.lobes.upstreams.checkpoints import CheckpointError

#: Of a weight-normed one: the weight's length and its direction, once and now.
LENGTHS = {
    "weight_g": "weight_v",
    "parametrizations.weight.original0": "parametrizations.weight.original1",
}


def entries(folder):
    """The configuration.

    Arguments
    ---------
    folder : pathlib.Path

    Returns
    -------
    dict
        That of ``config.json``, and under ``preprocessor`` that of
        ``preprocessor_config.json`` if there is one.

    Raises
    ------
    CheckpointError
        If there is none.
    """
    if not (folder / "config.json").is_file():
        what = "has no config.json" if folder.is_dir() else "is a file"
        raise CheckpointError(
            f"'{folder}' {what}: a model of transformers is a folder with "
            "config.json and the weights, or an id of Hugging Face."
        )
    config = {**checkpoints.read_json(folder / "config.json"), "preprocessor": {}}
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            found = checkpoints.read_json(folder / name)
            config["preprocessor"] = found.get("feature_extractor", found)
    return config


def weights(folder, prefixes=()):
    """The weights, weight norm multiplied out.

    Arguments
    ---------
    folder : pathlib.Path
        With ``model.safetensors`` or else ``pytorch_model.bin``, or an index
        of several files in place of the one.
    prefixes : iterable of str
        Where a model for some task keeps this one: of the first that there is,
        what follows it; what has another name is the head.

    Returns
    -------
    dict
        Names to tensors.

    Raises
    ------
    CheckpointError
        If there are none.
    """
    found = {}
    for file in _files(folder):
        found.update(checkpoints.read(file))
    for prefix in prefixes:
        inner = {n[len(prefix) :]: t for n, t in found.items() if n.startswith(prefix)}
        if inner:
            found = inner
            break
    return without_norm(found)


def _files(folder):
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            with naming(index, "an index of weights"):
                parts = set(read_json(index, kind=dict)["weight_map"].values())
                return [folder / Path(part).name for part in sorted(parts)]
    raise CheckpointError(
        f"'{folder}' has no weights: model.safetensors or pytorch_model.bin."
    )


def without_norm(weights):
    """Multiplies weight norm out.

    Arguments
    ---------
    weights : dict
        Names to tensors.

    Returns
    -------
    dict
        With a ``weight`` in place of its length and its direction.

    Example
    -------
    >>> import torch
    >>> without_norm({"a.weight_g": torch.tensor([[2.0]]),
    ...     "a.weight_v": torch.tensor([[3.0], [4.0]])})
    {'a.weight': tensor([[1.2000],
            [1.6000]])}
    """
    result = dict(weights)
    for name, length in weights.items():
        for suffix, other in LENGTHS.items():
            direction = re.sub(rf"\b{re.escape(suffix)}$", other, name)
            if direction != name and direction in weights:
                v, g = (values.single(weights, part) for part in (direction, name))
                del result[direction], result[name]
                over = [i for i, size in enumerate(g.shape) if size == 1]
                weight = v * (g / v.norm(dim=over, keepdim=True))
                result[f"{name.removesuffix(suffix)}weight"] = weight
    return result
