"""Weights of an objective of pre-training, beside the card of its network.

No hidden state needs them: prediction heads, mask vectors, quantizers. S3PRL's
checkpoints have them, and a training that continues begins with them. The file has the
name of the network's, with another ending, and holds tensors and JSON only.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import inspect
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch

from s3prl_sb import own
from s3prl_sb.lobes.cards.loading import card
from s3prl_sb.lobes.cards.places import beside
from s3prl_sb.lobes.cards.writing import separate
from s3prl_sb.storage.tensor_files import (
    read_metadata,
    read_safetensors,
    write_safetensors,
)

#: Ending of the file, in place of the network's ``.safetensors``.
ENDING = ".objective.safetensors"
#: Prefix of the network's weights in those of an objective.
NETWORK = "network."


class ObjectiveFile(NamedTuple):
    """Content of a file of :func:`write_objective`."""

    name: str  #: dotted name of the objective's class
    arguments: dict[str, Any]  #: plain arguments of the objective
    weights: dict[str, torch.Tensor]  #: its own weights, without the network's


def file_name(network: str) -> str:
    """Returns the name of the file for that of the network's weights.

    Example
    -------
    >>> file_name("tera.safetensors")
    'tera.objective.safetensors'
    """
    return network.removesuffix(".safetensors") + ENDING


def own_weights(objective: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Returns the weights of an objective that are not its network's.

    Arguments
    ---------
    objective : torch.nn.Module
        Objective with a ``network``.

    Returns
    -------
    dict
        Names to tensors on the CPU.

    Example
    -------
    >>> from torch import nn
    >>> parts = {"network": nn.Linear(4, 2), "head": nn.Linear(2, 4)}
    >>> list(own_weights(nn.ModuleDict(parts)))
    ['head.weight', 'head.bias']
    """
    weights = objective.state_dict().items()
    return separate({k: v for k, v in weights if not k.startswith(NETWORK)})


def plain_arguments(instance: Any) -> dict[str, Any]:
    """Returns the arguments of an object's class that it keeps under their names, as
    far as JSON can hold them.

    Arguments
    ---------
    instance : object
        Any object.

    Returns
    -------
    dict

    Example
    -------
    >>> plain_arguments(torch.nn.Dropout(0.3))
    {'p': 0.3, 'inplace': False}
    """
    arguments = {}
    for name in inspect.signature(type(instance).__init__).parameters:
        value = vars(instance).get(name)
        if value is not None:
            with contextlib.suppress(TypeError, ValueError):
                arguments[name] = json.loads(json.dumps(value, allow_nan=False))
    return arguments


def write_objective(path: Path, objective: torch.nn.Module) -> None:
    """Writes the weights of an objective, with its class and plain arguments.

    Arguments
    ---------
    path : pathlib.Path
        File to write.
    objective : torch.nn.Module
        Objective with a ``network``.
    """
    metadata = {
        "objective": own.plain_name(type(objective)),
        "arguments": plain_arguments(objective),
    }
    write_safetensors(path, own_weights(objective), metadata)


def read_objective(name: str) -> ObjectiveFile | None:
    """Returns the objective beside the network of a card. No class is imported.

    Arguments
    ---------
    name : str
        Name or file of a card.

    Returns
    -------
    ObjectiveFile or None
        None: the card is not one of pre-training.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If the file is damaged.

    Example
    -------
    >>> read_objective("tera") is None
    True
    """
    source = card(name).get("source")
    file = source.partition("#sha256=")[0] if isinstance(source, str) else ""
    if not file.endswith(".safetensors"):
        return None
    path = beside(file, file_name(file.rpartition("/")[2]))
    if path is None:
        return None
    what = "an objective's weights"
    weights = read_safetensors(path, what, signed=True)
    metadata = read_metadata(path, what)
    return ObjectiveFile(metadata["objective"], metadata["arguments"], weights)
