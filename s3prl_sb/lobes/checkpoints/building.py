"""Building of networks with weights.

Networks are built without memory (on the "meta" device) and get their weights
afterwards: tensors of a checkpoint, mapped from the file without a copy, or random
ones that depend on a seed alone.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import contextvars
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.checkpoints.fetch import fetch
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, load_weights, read
from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.storage.tensor_files import METADATA

#: Key of the configuration in the metadata of a converted checkpoint.
CONVERTED = METADATA
_SIZES_ONLY = contextvars.ContextVar("sizes_only", default=False)
#: Functions that set the values of a tensor, and return it.
_FILLING = {
    *(getattr(nn.init, name) for name in dir(nn.init) if re.match("[a-z].*_$", name)),
    *(getattr(torch.Tensor, f"{name}_") for name in ("fill", "normal", "uniform")),
    torch.Tensor.zero_,
}


class _Unfilled(TorchFunctionMode):
    """Leaves out the initialization of parameters on the "meta" device.

    They have no values there, but torch goes the whole way for each of them: most of
    the time that the layers of a Transformer take to build.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function in _FILLING:
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs or {})


@contextlib.contextmanager
def sizes_only():
    """Builds random networks inside without memory: only their shapes are right.

    Example
    -------
    >>> with sizes_only():
    ...     network = build(lambda: nn.Linear(100000, 100000))
    >>> sum(p.numel() for p in network.parameters())
    10000100000
    """
    token = _SIZES_ONLY.set(True)
    try:
        yield
    finally:
        _SIZES_ONLY.reset(token)


def read_source(
    source: str | list[str],
    reader: Callable[[Path], tuple[dict, dict[str, torch.Tensor]]],
) -> tuple[dict, dict[str, torch.Tensor]]:
    """Returns the configuration and the weights of a checkpoint.

    Arguments
    ---------
    source : str or list of str
        A file, a folder, an address or an id of Hugging Face, see
        :func:`~s3prl_sb.lobes.checkpoints.fetch.fetch`.
    reader : callable
        Reads the family's formats: takes a pathlib.Path, returns the
        configuration, a dict that JSON can hold, and the weights, a dict of
        tensors under our names. It is not called for files of ``s3prl-sb
        convert``.

    Returns
    -------
    config : dict
    weights : dict

    Raises
    ------
    CheckpointError
        If the file belongs to another family.
    """
    path = fetch(source)
    metadata = converted(path)
    if metadata is None:
        config, weights = reader(path)
    else:
        config, weights = metadata["config"], read(path)
    values.check_options(config, path)
    return config, weights


def converted(path: Path) -> dict[str, Any] | None:
    """Returns the class and the configuration of a file of ``s3prl-sb convert``.

    Arguments
    ---------
    path : pathlib.Path
        Any file or folder.

    Returns
    -------
    dict or None
        ``class`` and ``config``; None for any other file.

    Raises
    ------
    CheckpointError
        If the metadata of the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError:  # the reader raises an error that names the file
        return None
    if CONVERTED not in metadata:
        return None
    try:
        content = json.loads(metadata[CONVERTED])
        return {key: content[key] for key in ("class", "config")}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"'{path}' says that it is of s3prl_sb, but not what it is of: {error}"
        ) from error


def build(
    make: Callable[[], nn.Module],
    weights: dict[str, torch.Tensor] | None = None,
    source: str | list[str] | None = None,
    seed: int = 0,
    options: dict[str, Any] | None = None,
) -> nn.Module:
    """Builds a network with the given weights, or with random ones.

    Arguments
    ---------
    make : callable
        Returns the module. It runs on the "meta" device, where tensors hold no
        values: it must compute nothing but parameters and persistent buffers.
    weights : dict, optional
        Names of its parameters and buffers to tensors; all of them, no others.
        None: random, by the module's ``reset_parameters(seed)`` if it has one,
        else by :func:`~s3prl_sb.lobes.networks.initialization.initialize`.
    source : str, optional
        Origin of the weights, for errors.
    seed : int
        Equal seeds give equal weights, in every process.
    options : dict, optional
        Sizes of the network, for the error if it is too large. Default: the
        variables that the function ``make`` captures.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    CheckpointError
        If the weights do not fit.

    Example
    -------
    >>> a, b = (build(lambda: nn.Linear(4, 2), seed=1) for _ in range(2))
    >>> torch.equal(a.weight, b.weight)
    True
    """
    if options is None:
        options = dict(inspect.getclosurevars(make).nonlocals)
    with values.bounded(options, weights, source, _SIZES_ONLY.get()):
        with torch.device("meta"), _Unfilled():
            network = make()
    if weights is not None:
        load_weights(network, weights, source)
    elif not _SIZES_ONLY.get():
        network.to_empty(device="cpu")
        reset = getattr(type(network), "reset_parameters", None)
        if reset and not reset.__module__.startswith("torch."):
            network.reset_parameters(seed)
        else:
            initialize(network, seed)
    return network
