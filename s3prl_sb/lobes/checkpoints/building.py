"""From a network's class to a network with weights.

Networks are built without memory (on the "meta" device) and get their weights
afterwards: those of a checkpoint as they lie on disk, or random ones that are
a function of a seed alone.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import contextvars
import inspect
import json

import torch

from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.checkpoints.fetch import fetch
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, load_weights, read
from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.storage.files import SAYS

#: Under this key a converted checkpoint holds its configuration.
CONVERTED = SAYS
_SIZES_ONLY = contextvars.ContextVar("sizes_only", default=False)


@contextlib.contextmanager
def sizes_only():
    """Random networks built inside hold no memory, only shapes.

    Example
    -------
    >>> with sizes_only():
    ...     network = build(lambda: torch.nn.Linear(100000, 100000))
    >>> sum(p.numel() for p in network.parameters())
    10000100000
    """
    token = _SIZES_ONLY.set(True)
    try:
        yield
    finally:
        _SIZES_ONLY.reset(token)


def read_source(source, reader):
    """The configuration and the weights of a checkpoint.

    Arguments
    ---------
    source : str or list of str
        What :func:`~s3prl_sb.lobes.checkpoints.fetch.fetch` takes: a file, a
        folder, an address, an id of Hugging Face.
    reader : callable
        Of the family's own formats: takes a pathlib.Path, returns the
        configuration, a dict that JSON can hold, and the weights, a dict of
        tensors under our names. Not asked for files of ``s3prl-sb convert``,
        which are of our own format.

    Returns
    -------
    config : dict
    weights : dict

    Raises
    ------
    CheckpointError
        If the file is of another family.
    """
    path = fetch(source)
    found = converted(path)
    config, weights = reader(path) if found is None else (found["config"], read(path))
    values.check_options(config, path)
    return config, weights


def converted(path):
    """What a file of ``s3prl-sb convert`` says about itself.

    Arguments
    ---------
    path : pathlib.Path

    Returns
    -------
    dict or None
        ``class`` and ``config``; None for any other file.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors" or not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError:  # the reader will say so
        return None
    if CONVERTED not in metadata:
        return None
    try:
        found = json.loads(metadata[CONVERTED])
        return {"class": found["class"], "config": found["config"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"'{path}' says that it is of s3prl_sb, but not what it is of: {error}"
        ) from error


def build(make, weights=None, source=None, seed=0):
    """A network with the given weights, or random ones.

    Arguments
    ---------
    make : callable
        Returns the module. It runs on the "meta" device: what is no parameter
        and no persistent buffer must not be computed in it, for it would hold
        no values.
    weights : dict, optional
        Names of its parameters and buffers to tensors; all of them, no others.
        None: random, by the module's ``reset_parameters(seed)`` if it has one,
        else by
        :func:`~s3prl_sb.lobes.networks.initialization.initialize`.
    source : str, optional
        Where the weights come from, for errors.
    seed : int
        Equal seeds give equal weights, in every process.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    CheckpointError
        If the weights do not fit.

    Example
    -------
    >>> a, b = (build(lambda: torch.nn.Linear(4, 2), seed=1) for _ in range(2))
    >>> torch.equal(a.weight, b.weight)
    True
    """
    # What the function takes from around it is what the network is built from.
    options = dict(inspect.getclosurevars(make).nonlocals)
    with values.bounded(options, weights, source, _SIZES_ONLY.get()):
        with torch.device("meta"):
            network = make()
    if weights is not None:
        load_weights(network, weights, source)
    elif not _SIZES_ONLY.get():
        network.to_empty(device="cpu")
        own = type(network).__dict__.get("reset_parameters")
        if own and not type(network).__module__.startswith("torch."):
            network.reset_parameters(seed)
        else:
            initialize(network, seed)
    return network
