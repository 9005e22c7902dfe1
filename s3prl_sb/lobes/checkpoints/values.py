"""Values in checkpoints that no model has: weights, and sizes of networks.

A configuration comes from a file, and what it says must not decide alone how much is
built: one digit too many, and a network would fill the memory. Nothing here knows the
names of options: numbers are held against what any model has, and networks, while they
are built, against the weights that lie beside the configuration.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import os

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from s3prl_sb.errors import UserError

#: No option of a speech model is larger: vocabularies, samples of a window.
LARGEST = 10_000_000
#: Of spectral features: seconds of a window, and its bands.
LONGEST, MOST_BANDS = 10, 10_000
#: A network of random weights has fewer tensors: some 1000 layers.
MOST_TENSORS = 20_000
#: What a network may have more than its checkpoint: tensors that pre-training alone
#: uses, weights that the file holds in one piece.
SPARE = 4


class CheckpointError(UserError, ValueError):
    """A checkpoint that cannot be loaded, and why."""


def check_options(options, source):
    """Refuses numbers that would make a network of no use but to fill the memory.

    Arguments
    ---------
    options : dict
        A configuration, as a file holds it.
    source : str
        The file, for the error.

    Raises
    ------
    CheckpointError
        That names the file and the option.

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
    """The whole numbers of a configuration.

    Arguments
    ---------
    options : object
        Dicts, lists, values, and objects that hold such.
    prefix : str
        Where they stand.
    depth : int
        How deep to look.

    Yields
    ------
    (str, int)
        "encoder.layers" and 12. Finite numbers with a fraction size nothing.
    """
    if isinstance(options, int) and not isinstance(options, bool):
        yield prefix, options
    elif not depth or isinstance(options, (type, torch.Tensor)):
        return
    elif isinstance(options, (list, tuple)):
        for i, value in enumerate(options):
            yield from numbers(value, f"{prefix}[{i}]", depth - 1)
    elif isinstance(options, dict) or hasattr(options, "__dict__"):
        held = options if isinstance(options, dict) else vars(options)
        for key, value in held.items():
            if not str(key).startswith("_"):
                name = f"{prefix}.{key}" if prefix else str(key)
                yield from numbers(value, name, depth - 1)


@contextlib.contextmanager
def bounded(options, weights=None, source=None, sizes_only=False):
    """Networks built inside have no more weights than there can be.

    Arguments
    ---------
    options : object
        What they are built from, for the error: dicts, lists, values.
    weights : dict, optional
        That they will get. None: random ones, which must fit into the memory.
    source : str, optional
        The file of both.
    sizes_only : bool
        Whether random weights will take no memory.

    Raises
    ------
    CheckpointError
        That names the file and the options that may have caused it.

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
            told = f"{len(weights)} of them" if weights else "at most that many"
            raise too_large(f"a network of more than {most} weight tensors, not {told}")
        if weights is None and not sizes_only and size > memory:
            raise too_large(
                f"a network of more than {size / 1e9:.0f} GB, and this machine has "
                f"{memory / 1e9:.0f}"
            )

    def too_large(what):
        found = {(name.rpartition(".")[2], value) for name, value in numbers(options)}
        largest = sorted(found, key=lambda option: (-option[1], option[0]))[:3]
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
def naming_checkpoint(kind, found):
    """Turns what goes wrong with a checkpoint into an error that names it.

    Arguments
    ---------
    kind : type
        Of the upstream that is built inside.
    found : s3prl_sb.identity.opened.Opened
        What it has opened so far. As long as that is nothing, errors are about its
        arguments, and pass through; so do all that users can mend already.

    Raises
    ------
    CheckpointError
        That names the first file or folder.
    """
    try:
        yield
    except Exception as error:  # a configuration of wrong types may raise anything
        path = next(iter(found.names.values()), None)
        is_told = isinstance(error, UserError)
        if path is None or path in str(error):
            raise
        if is_told and not isinstance(error, CheckpointError):
            raise
        reason = str(error).strip()
        if not is_told:
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
        Of the weight.

    Returns
    -------
    torch.Tensor

    Raises
    ------
    CheckpointError
        That names it, if it holds whole numbers, which would become weights unseen.
    """
    weight = torch.as_tensor(weights[name])
    if not weight.is_floating_point():
        kind = str(weight.dtype).removeprefix("torch.")
        raise CheckpointError(f"whole numbers are no weights: {name} ({kind})")
    return weight.float()


def check_features(seconds, bands):
    """Refuses spectral features that would fill the memory.

    Arguments
    ---------
    seconds : float
        Of their window.
    bands : int
        How many there are.

    Raises
    ------
    CheckpointError
        That says what there may be.
    """
    for value in (seconds, bands):
        if not isinstance(value, (int, float)):
            # No error of a checkpoint alone: whoever builds it says which file.
            raise ValueError(f"a window and its bands are numbers, not {value!r}")
    if seconds > LONGEST or bands > MOST_BANDS:
        raise CheckpointError(
            f"features of {bands} bands and a window of {seconds:g} s: there may be "
            f"{MOST_BANDS}, and {LONGEST} s"
        )


def check_weights(weights, own, source):
    """Refuses values that are no weights.

    Arguments
    ---------
    weights : dict
        Names to tensors.
    own : dict
        The same of the network, whose types count.
    source : str
        Where they come from, for the error.

    Raises
    ------
    CheckpointError
        That names the file and the tensors.

    Example
    -------
    >>> own = torch.nn.Linear(1, 1).state_dict()
    >>> check_weights({**own, "bias": torch.tensor([float("nan")])}, own, "x.pt")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.values.CheckpointError: 'x.pt' is damaged: …
    """
    bad, other = [], []
    for name, tensor in weights.items():
        floats = own[name].is_floating_point()
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
    """Whether a tensor holds neither NaN nor infinity.

    Arguments
    ---------
    tensor : torch.Tensor
        Of any shape.

    Returns
    -------
    bool
    """
    if not tensor.numel() or not tensor.is_floating_point() or tensor.is_meta:
        return True
    if tensor.itemsize < 2:  # eight bits, which torch hardly computes with
        tensor = tensor.float()
    # A hundred times as fast as isfinite(), which writes a tensor of truths.
    extremes = torch.stack(torch.aminmax(tensor.detach()))
    return bool(torch.isfinite(extremes).all())
