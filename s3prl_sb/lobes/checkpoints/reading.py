"""Reading of checkpoints, strictly and without executing anything in them.

``.pt`` files are pickles, that is programs. :mod:`~s3prl_sb.lobes.checkpoints.pickles`
reads them without running them, and :func:`plain` turns their content into dicts, lists
and values. Other formats with code are refused: TorchScript, pickled modules, tar
archives.

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

#: Largest number of values of a configuration; a small file may nest to billions.
MOST_VALUES = 1_000_000


def plain(value):
    """Converts stubs to dicts, lists and values.

    Namespaces and other objects become dicts, OmegaConf's nodes their content, numpy's
    arrays arrays and its scalars numbers, enums their values, paths and types their
    names.

    Arguments
    ---------
    value : object
        Content of a checkpoint.

    Returns
    -------
    object
        The same with dicts, lists and plain values instead of stubs. Unknown stubs
        are kept.

    Raises
    ------
    CheckpointError
        If it contains itself, or has more values than any configuration.

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
        name = convert(value) if isinstance(value, (Stub, type)) else value
        return name if isinstance(name, collections.abc.Hashable) else value

    def unstubbed(stub):
        attributes, module = vars(stub), type(stub).__module__
        if module.startswith("numpy"):
            return _array(stub, convert)
        if module.startswith("pathlib"):
            return str(pathlib.PurePosixPath(*map(str, stub.args)))
        state = attributes.get("listed", attributes.get("state"))
        state = attributes.get("items", state)
        if isinstance(state, tuple) and all(isinstance(s, dict | None) for s in state):
            state = {k: v for part in state if part for k, v in part.items()}  # slots
        if isinstance(state, dict):
            for name in ("_content", "_val"):  # an OmegaConf container, a leaf
                if name in state:
                    return convert(state[name])
        if state is None and stub.args:  # the value of an enum
            return convert(stub.args[0] if len(stub.args) == 1 else stub.args)
        return convert(state)

    try:
        return convert(value)
    except RecursionError as error:
        raise CheckpointError("A checkpoint's options hold themselves.") from error


def as_dict(value):
    """Returns a dict unchanged, and an empty one for any other object.

    Arguments
    ---------
    value : object
        Content of a checkpoint, or of an entry in it.

    Returns
    -------
    dict

    Example
    -------
    >>> as_dict({"a": 1}), as_dict(None)
    ({'a': 1}, {})
    """
    return value if isinstance(value, dict) else {}


def _array(stub, convert):
    """Converts a stub of numpy to an array or a number, by safe means alone."""
    kind, args = type(stub).__name__, stub.args
    try:
        if kind == "scalar":
            return _values(args[1], args[0]).item()
        if kind == "_frombuffer":
            data, dtype, shape, order = args
            return _values(data, dtype).reshape(shape, order=order)
        if kind == "_reconstruct":
            _, shape, dtype, by_columns, data = stub.state
            if isinstance(data, list):  # an array of objects
                return convert(data)
            return _values(data, dtype).reshape(shape, order="FC"[not by_columns])
        if kind == "dtype":
            return str(_dtype(stub))
    except (AttributeError, IndexError, TypeError, ValueError):
        pass  # numpy writes nothing like it
    return stub


def _dtype(stub):
    """Returns a dtype of numbers or text; others could name objects."""
    (name, *_), order = stub.args, vars(stub).get("state", (3, "|"))[1]
    if not re.fullmatch(r"[biufcSU]\d{1,4}", name) or order not in ("<", ">", "|", "="):
        raise ValueError(f"dtype {name}")
    return numpy.dtype(name).newbyteorder(order)


def _values(data, dtype):
    """Returns raw bytes as a vector."""
    if not isinstance(data, (bytes, bytearray)):
        raise TypeError(f"data of type {type(data)}")
    return numpy.frombuffer(data, _dtype(dtype)).copy()


def read(path):
    """Reads a ``.pt``, ``.ckpt``, ``.bin`` or ``.safetensors`` file.

    Tensors are memory-mapped if the format allows it. Each member of a zip is checked
    against its checksum, and each tensor against the size of its data. Pickles before
    torch 1.6 and safetensors have no checksums: only sizes are checked, unless the
    source has a hash (``#sha256=``).

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    dict
        Content of the file, on the CPU. Objects of unknown classes are stubs, see
        :func:`plain`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CheckpointError
        If it is broken or would run code.
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
    # With it torch accepts only its own unpickler, which is less strict.
    forced = os.environ.pop("TORCH_FORCE_WEIGHTS_ONLY_LOAD", None)
    try:
        sizes = _members(path)
        return torch.load(
            path,
            map_location="cpu",
            pickle_module=pickles.pickle_module(sizes, path.stat().st_size),
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
    # torch appends the place in its own code.
    return str(error).partition("\n")[0] or type(error).__name__


def _members(path):
    """Returns the members of a zip and their sizes, or None for other files.

    Raises an error for formats that torch would run.
    """
    with open(path, "rb") as file:
        if torch.serialization._is_zipfile(file):
            # torch's own reader, as another one could see other members.
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
        JSON file.

    Returns
    -------
    dict
        The configuration.

    Raises
    ------
    CheckpointError
        If it is not valid JSON or has an implausibly large number.
    """
    try:
        config = files.read_json(opened(path), "valid JSON", kind=dict)
    except files.FileError as error:
        raise CheckpointError(str(error)) from error
    values.check_options(config, path)
    return config


def load_weights(module, weights, source):
    """Loads weights into a network: all of them and no others.

    Arguments
    ---------
    module : torch.nn.Module
        Network, possibly on the "meta" device: the tensors are assigned, not
        copied.
    weights : dict
        Parameter names of ``module`` to tensors.
    source : str
        File of the weights, for the error.

    Raises
    ------
    CheckpointError
        If weights are missing, unexpected, of another shape, not finite or not of
        floating point; the message names them.

    Example
    -------
    >>> load_weights(torch.nn.Linear(2, 2), {"weight": torch.ones(2, 2)}, "x.pt")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.reading.CheckpointError: 'x.pt' does not fit Linear:
      missing (1): bias
    The checkpoint is of another architecture, or of a variant that is not supported.
    """
    state = module.state_dict()
    others = [n for n, w in weights.items() if not isinstance(w, torch.Tensor)]
    shapes = [
        f"{name} {list(weights[name].shape)} instead of {list(state[name].shape)}"
        for name in state.keys() & weights.keys() - set(others)
        if weights[name].shape != state[name].shape
    ]
    problems = [
        f"  {what} ({len(names)}): "
        + ", ".join(sorted(names)[:6])
        + " …" * (len(names) > 6)
        for what, names in (
            ("missing", state.keys() - weights.keys()),
            ("unexpected", weights.keys() - state.keys()),
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
    values.check_weights(weights, state, source)
    weights = {name: tensor.to(state[name].dtype) for name, tensor in weights.items()}
    module.load_state_dict(weights, strict=True, assign=True)


def digest(path):
    """Computes the SHA-256 of a file, or of a folder's files and their names.

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
