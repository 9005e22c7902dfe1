"""Reading checkpoints: strictly, and without executing anything in them.

``.pt`` files are pickles, that is programs. :mod:`~s3prl_sb.lobes.upstreams.
pickles` reads them without running them, and :func:`plain` makes dicts, lists
and values of what they hold. What torch would run in other ways is refused:
TorchScript, pickled modules, tar archives.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import hashlib
import os
import pathlib
import re
import tarfile
from pathlib import Path

import numpy
import torch

from s3prl_sb.identity.content import read_hash
from s3prl_sb.identity.opened import opened
from s3prl_sb.lobes.checkpoints import archives, pickles, values
from s3prl_sb.lobes.checkpoints.pickles import Refused, Stub
from s3prl_sb.lobes.checkpoints.values import CheckpointError
from s3prl_sb.storage import files, tensor_files

#: No configuration has more values; a small file may nest to billions.
MOST_VALUES = 1_000_000


def plain(value):
    """Makes dicts, lists and values of stubs.

    Of Namespaces and other objects, what they hold; of OmegaConf's nodes their
    content; of numpy's arrays arrays, and of its scalars numbers; of enums
    their values, of paths and types their names.

    Arguments
    ---------
    value : object
        As read from a checkpoint.

    Returns
    -------
    object
        The same with dict, list and plain values in place of stubs. What
        cannot be told stays a stub.

    Raises
    ------
    CheckpointError
        If it holds itself, or more than any configuration.

    Example
    -------
    >>> import argparse, tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
    ...     torch.save({"args": argparse.Namespace(lr=0.1)}, file.name)
    ...     plain(read(file.name)["args"])
    {'lr': 0.1}
    """
    left = MOST_VALUES

    def convert(value):
        nonlocal left
        left -= 1
        if left < 0:
            raise CheckpointError("A checkpoint's options are too many to be true.")
        if isinstance(value, Stub):
            return unstubbed(value)
        if isinstance(value, type) and issubclass(value, Stub):
            return f"{value.__module__}.{value.__name__}"
        if isinstance(value, dict):
            return {key(k): convert(item) for k, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [convert(item) for item in value]
        return value

    def key(value):
        found = convert(value) if isinstance(value, (Stub, type)) else value
        return found if isinstance(found, collections.abc.Hashable) else value

    def unstubbed(stub):
        held, module = vars(stub), type(stub).__module__
        if module.startswith("numpy"):
            return _array(stub, convert)
        if module.startswith("pathlib"):
            return str(pathlib.PurePosixPath(*map(str, stub.args)))
        state = held.get("items", held.get("listed", held.get("state")))
        if isinstance(state, tuple) and all(isinstance(s, dict | None) for s in state):
            state = {k: v for part in state if part for k, v in part.items()}  # slots
        if isinstance(state, dict):
            for name in ("_content", "_val"):  # an OmegaConf container, a leaf
                if name in state:
                    return convert(state[name])
        if state is None and stub.args:  # of an enum its value
            return convert(stub.args[0] if len(stub.args) == 1 else stub.args)
        return convert(state)

    try:
        return convert(value)
    except RecursionError as error:
        raise CheckpointError("A checkpoint's options hold themselves.") from error


def _array(stub, convert):
    """A stub of numpy as an array or a number, by safe means alone."""
    kind, args = type(stub).__name__, stub.args
    try:
        if kind == "scalar":
            return _values(args[1], args[0]).item()
        if kind == "_frombuffer":
            data, dtype, shape, order = args
            return _values(data, dtype).reshape(shape, order=order)
        if kind == "_reconstruct":
            _, shape, dtype, by_columns, data = stub.state
            if isinstance(data, list):  # of objects
                return convert(data)
            return _values(data, dtype).reshape(shape, order="FC"[not by_columns])
        if kind == "dtype":
            return str(_dtype(stub))
    except (AttributeError, IndexError, TypeError, ValueError):
        pass  # nothing that numpy writes
    return stub


def _dtype(stub):
    """Of numbers and text; anything else could name objects."""
    (name, *_), order = stub.args, vars(stub).get("state", (3, "|"))[1]
    if not re.fullmatch(r"[biufcSU]\d{1,4}", name) or order not in ("<", ">", "|", "="):
        raise ValueError(f"dtype {name}")
    return numpy.dtype(name).newbyteorder(order)


def _values(data, dtype):
    """A vector of raw bytes."""
    if not isinstance(data, (bytes, bytearray)):
        raise TypeError(f"data of type {type(data)}")
    return numpy.frombuffer(data, _dtype(dtype)).copy()


def read(path):
    """Reads a ``.pt``, ``.ckpt``, ``.bin`` or ``.safetensors`` file.

    Tensors are mapped from disk where the format allows it. Each member of a zip is
    checked against its checksum, and each tensor against the data that there is.
    Pickles that are no zip (before torch 1.6) and safetensors have no checksums: of
    these the sizes are checked, and with ``#sha256=`` after a source all of it.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    dict
        Its content on the CPU. Objects of unknown classes are stubs, see
        :func:`plain`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If it is broken, or would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise files.MissingFile(f"No checkpoint at '{path}'.")
    opened(path)
    if path.suffix == ".safetensors":
        try:
            return tensor_files.read_safetensors(
                path, "a safetensors file that is whole"
            )
        except files.FileError as error:
            raise CheckpointError(str(error)) from error
    # With it torch takes no unpickler but its own, which ours is stricter than.
    forced = os.environ.pop("TORCH_FORCE_WEIGHTS_ONLY_LOAD", None)
    try:
        sizes = _members(path)
        return torch.load(
            path,
            map_location="cpu",
            pickle_module=pickles.of(sizes, path.stat().st_size),
            weights_only=False,
            mmap=sizes is not None,
        )
    except CheckpointError:
        raise
    except (Refused, archives.Damaged) as error:
        raise CheckpointError(f"'{path}' is {error}.") from error
    except Exception as error:  # a broken pickle may raise anything
        raise CheckpointError(
            f"'{path}' is not a checkpoint, or a broken one: {_in_words(error)}"
        ) from error
    finally:
        if forced is not None:
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = forced


def _in_words(error):
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # torch appends where in its own code this happened.
    return str(error).partition("\n")[0] or type(error).__name__


def _members(path):
    """What torch will find in a zip, and how large; None of another file. Refused is
    what it would run."""
    with open(path, "rb") as file:
        if torch.serialization._is_zipfile(file):
            # By torch's own reader: another could see other members.
            if "constants.pkl" in torch._C.PyTorchFileReader(file).get_all_records():
                raise Refused("a TorchScript program")
            return archives.members(path)
    try:
        tarfile.open(path, "r:").close()
    except tarfile.TarError:
        return None
    raise CheckpointError(
        f"'{path}' is a tar archive, as NeMo and PyTorch before 0.1.10 write: unpack "
        "it, and name the checkpoint in it."
    )


def read_json(path):
    """Reads the configuration of a model, with an error that names the file.

    Arguments
    ---------
    path : str
        A JSON file.

    Returns
    -------
    dict

    Raises
    ------
    CheckpointError
        If it is none, or holds a number that no model has.
    """
    try:
        found = files.read_json(opened(path), "valid JSON", kind=dict)
    except files.FileError as error:
        raise CheckpointError(str(error)) from error
    values.check_options(found, path)
    return found


def load_weights(module, weights, source):
    """Loads weights, all of them and nothing else.

    Arguments
    ---------
    module : torch.nn.Module
        The network, possibly built on the "meta" device: the tensors are
        assigned, not copied.
    weights : dict
        Parameter names of ``module`` to tensors.
    source : str
        Where they come from, for the error.

    Raises
    ------
    CheckpointError
        That lists what is missing, what is unexpected, what has another shape; or
        names a weight that is not finite, or a whole number where it should be none.

    Example
    -------
    >>> load_weights(torch.nn.Linear(2, 2), {"weight": torch.ones(2, 2)}, "x.pt")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.reading.CheckpointError: 'x.pt' does not fit Linear:
      missing (1): bias
    The checkpoint is of another architecture, or of a variant that is not supported.
    """
    own = module.state_dict()
    others = [n for n, w in weights.items() if not isinstance(w, torch.Tensor)]
    shapes = [
        f"{name} {list(weights[name].shape)} instead of {list(own[name].shape)}"
        for name in own.keys() & weights.keys() - set(others)
        if weights[name].shape != own[name].shape
    ]
    problems = [
        f"  {what} ({len(names)}): "
        + ", ".join(sorted(names)[:6])
        + " …" * (len(names) > 6)
        for what, names in (
            ("missing", own.keys() - weights.keys()),
            ("unexpected", weights.keys() - own.keys()),
            ("of another shape", shapes),
            ("no tensors", others),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"'{source}' does not fit {type(module).__name__}:\n"
            + "\n".join(problems)
            + "\nThe checkpoint is of another architecture, or of a variant "
            "that is not supported."
        )
    values.check_weights(weights, own, source)
    weights = {name: tensor.to(own[name].dtype) for name, tensor in weights.items()}
    module.load_state_dict(weights, strict=True, assign=True)


def digest(path):
    """SHA-256 of a file, or of the files of a folder with their names.

    Arguments
    ---------
    path : str
        File or folder.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    path = Path(path)
    if path.is_file():
        return read_hash(path)
    parts = sorted(p for p in path.iterdir() if p.is_file())
    text = "".join(f"{p.name} {digest(p)}\n" for p in parts)
    return hashlib.sha256(text.encode()).hexdigest()
