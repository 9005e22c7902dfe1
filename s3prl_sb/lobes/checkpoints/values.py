"""Checks of implausible values in checkpoints: weights, and sizes of networks.

A configuration in a file must not decide alone how large a network is: with one digit
too many it would fill the memory. The checks do not depend on the names of options:
numbers are compared with those of all models, and networks, while they are built, with
the weights next to the configuration.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import os

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from s3prl_sb.errors import UserError

#: Largest number in a configuration, such as a vocabulary or a window in samples.
LARGEST = 10_000_000
#: Longest window of spectral features in seconds, and largest number of bands.
LONGEST, MOST_BANDS = 10, 10_000
#: Largest number of tensors of a network with random weights: some 1000 layers.
MOST_TENSORS = 20_000
#: Largest ratio of a network's tensors to those of its checkpoint: some weights are in
#: one piece in the file, some are used by pre-training alone.
SPARE = 4


class CheckpointError(UserError, ValueError):
    """Error of a checkpoint that cannot be loaded, with the reason."""


def check_options(options, source):
    """Refuses numbers that are too large for any model.

    Arguments
    ---------
    options : dict
        Configuration in a file.
    source : str
        The file, for the error.

    Raises
    ------
    CheckpointError
        If a number is too large; the message names the file and the option.

    Example
    -------
    >>> check_options({"encoder": {"layers": 10**12}}, "config.json")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.values.CheckpointError: 'config.json': encoder.…
    """
    for name, value in numbers(options):
        if abs(value) > LARGEST:
            raise CheckpointError(
                f"'{source}': {name} is {value}, which is too large for any model "
                f"(at most {LARGEST})."
            )


def numbers(options, prefix="", depth=8):
    """Yields the whole numbers of a configuration.

    Arguments
    ---------
    options : object
        Dicts, lists, values, and objects with such attributes.
    prefix : str
        Prefix of the names.
    depth : int
        Largest depth.

    Yields
    ------
    (str, int)
        Name and number, such as "encoder.layers" and 12.
    """
    if isinstance(options, int) and not isinstance(options, bool):
        yield prefix, options
    elif not depth or isinstance(options, (type, torch.Tensor)):
        return
    elif isinstance(options, (list, tuple)):
        for i, value in enumerate(options):
            yield from numbers(value, f"{prefix}[{i}]", depth - 1)
    elif isinstance(options, dict) or hasattr(options, "__dict__"):
        entries = options if isinstance(options, dict) else vars(options)
        for key, value in entries.items():
            if not str(key).startswith("_"):
                name = f"{prefix}.{key}" if prefix else str(key)
                yield from numbers(value, name, depth - 1)


@contextlib.contextmanager
def bounded(options, weights=None, source=None, sizes_only=False):
    """Context in which networks cannot have more weights than are plausible.

    Arguments
    ---------
    options : object
        Dicts, lists, values that networks are built from, for the error.
    weights : dict, optional
        Weights of the network. None: random ones, which must fit into the memory.
    source : str, optional
        File of both.
    sizes_only : bool
        Random weights will take no memory.

    Raises
    ------
    CheckpointError
        If a network is too large; the message names the file and the likely options.

    Example
    -------
    >>> with bounded({"layers": 10**6}), torch.device("meta"):
    ...     [torch.nn.Linear(2, 2) for _ in range(10**6)]
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.values.CheckpointError: The configuration makes a …
    """
    most = MOST_TENSORS if weights is None else SPARE * len(weights) + 1000
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    tensors = size = 0

    def count(module, name, parameter):
        nonlocal tensors, size
        if parameter is None:
            return
        tensors, size = tensors + 1, size + parameter.numel() * parameter.itemsize
        if tensors > most:
            limit = f"{len(weights)} of them" if weights else "at most that many"
            raise too_large(
                f"a network of more than {most} weight tensors, not {limit}"
            )
        if weights is None and not sizes_only and size > memory:
            raise too_large(
                f"a network of more than {size / 1e9:.0f} GB, and this machine has "
                f"{memory / 1e9:.0f}"
            )

    def too_large(what):
        named = {(name.rpartition(".")[2], value) for name, value in numbers(options)}
        largest = sorted(named, key=lambda option: (-option[1], option[0]))[:3]
        look = ", ".join(f"{name}: {value}" for name, value in largest)
        return CheckpointError(
            (f"'{source}' makes" if source else "The configuration makes")
            + f" {what}."
            + (f" Its largest numbers: {look}." if look else "")
        )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    except (OverflowError, MemoryError, RuntimeError) as error:
        if isinstance(error, UserError):
            raise
        reason = str(error).partition("\n")[0]
        raise too_large(f"no network that can be built ({reason})") from error
    finally:
        hook.remove()


@contextlib.contextmanager
def naming_checkpoint(kind, opened):
    """Context that converts errors about a checkpoint to errors that name it.

    Arguments
    ---------
    kind : type
        Class of the upstream that is built inside.
    opened : s3prl_sb.identity.opened.Opened
        Files that it has opened. Before the first one, errors are about the arguments
        and pass unchanged; so do all that tell users what to do.

    Raises
    ------
    CheckpointError
        Error with the name of the first file or folder.
    """
    try:
        yield
    except Exception as error:  # a configuration of wrong types may raise anything
        path = next(iter(opened.names.values()), None)
        is_users = isinstance(error, UserError)
        if path is None or path in str(error):
            raise
        if is_users and not isinstance(error, CheckpointError):
            raise
        reason = str(error).strip()
        if not is_users:
            reason = reason.partition("\n")[0] or "it lacks something"
            reason = f"no {kind.__name__} can be built of it: {reason}"
        raise CheckpointError(f"'{path}': {reason}") from error


def single(weights, name):
    """Returns a weight in single precision, for a reader that computes with it.

    Arguments
    ---------
    weights : dict
        Names to tensors.
    name : str
        Name of the weight.

    Returns
    -------
    torch.Tensor

    Raises
    ------
    CheckpointError
        If it has whole numbers, which would otherwise become weights unnoticed.
    """
    weight = torch.as_tensor(weights[name])
    if not weight.is_floating_point():
        kind = str(weight.dtype).removeprefix("torch.")
        raise CheckpointError(f"whole numbers are no weights: {name} ({kind})")
    return weight.float()


def check_only(options, only, source, remark=""):
    """Checks options for which a class builds one value only.

    Arguments
    ---------
    options : dict
        Options of a checkpoint. One that is absent has the value that is built.
    only : dict
        Names of options to the values that are built.
    source : str or pathlib.Path
        Checkpoint, for the error.
    remark : str
        Rest of the error, such as what to use instead.

    Raises
    ------
    CheckpointError
        For another value.

    Example
    -------
    >>> check_only({"hidden_act": "relu"}, {"hidden_act": "gelu"}, "a.pt")
    Traceback (most recent call last):
    CheckpointError: 'a.pt' has hidden_act: relu, and this class builds gelu only
    """
    for name, value in only.items():
        if options.get(name, value) != value:
            raise CheckpointError(
                f"'{source}' has {name}: {options[name]}, and this class builds "
                f"{value} only{remark}"
            )


def check_features(seconds, bands):
    """Refuses spectral features that would fill the memory.

    Arguments
    ---------
    seconds : float
        Length of their window.
    bands : int
        Number of bands.

    Raises
    ------
    CheckpointError
        If one is too large; the message has the limits.
    """
    for value in (seconds, bands):
        if not isinstance(value, (int, float)):
            # Not a CheckpointError: naming_checkpoint adds the file.
            raise ValueError(f"a window and its bands are numbers, not {value!r}")
    if seconds > LONGEST or bands > MOST_BANDS:
        raise CheckpointError(
            f"features of {bands} bands and a window of {seconds:g} s: there may be "
            f"{MOST_BANDS}, and {LONGEST} s"
        )


def check_weights(weights, state, source):
    """Refuses values that cannot be weights.

    Arguments
    ---------
    weights : dict
        Names to tensors.
    state : dict
        Names to tensors of the network, with the types that weights must have.
    source : str
        File of the weights, for the error.

    Raises
    ------
    CheckpointError
        If values are not finite or of another type; the message names them.

    Example
    -------
    >>> state = torch.nn.Linear(1, 1).state_dict()
    >>> check_weights({**state, "bias": torch.tensor([float("nan")])}, state, "x.pt")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.values.CheckpointError: 'x.pt' is damaged: …
    """
    bad, other = [], []
    for name, tensor in weights.items():
        floats = state[name].is_floating_point()
        if floats != tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            other.append(f"{name} ({kind})")
        elif floats and not is_finite(tensor):
            bad.append(name)
    for names, what in (
        (bad, "is damaged: not finite are the numbers in"),
        (other, "holds another kind of numbers than weights have:"),
    ):
        if names:
            shown = ", ".join(sorted(names)[:6]) + " …" * (len(names) > 6)
            raise CheckpointError(
                f"'{source}' {what} {shown}. Get the file again from where it came "
                "from."
            )


def is_finite(tensor):
    """Returns whether a tensor has neither NaN nor infinity.

    Arguments
    ---------
    tensor : torch.Tensor
        Tensor of any shape.

    Returns
    -------
    bool
    """
    if not tensor.numel() or not tensor.is_floating_point() or tensor.is_meta:
        return True
    if tensor.itemsize < 2:  # torch has few operations of eight bits
        tensor = tensor.float()
    # A hundred times as fast as isfinite(), which writes a tensor of booleans.
    extremes = torch.stack(torch.aminmax(tensor.detach()))
    return bool(torch.isfinite(extremes).all())
