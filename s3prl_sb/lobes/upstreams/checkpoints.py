"""Reading checkpoints: strictly, and without executing anything in them.

A ``.pt`` file is a pickle, and a pickle is a program. ``torch.load`` with
``weights_only`` runs a harmless subset of it, which refuses most checkpoints
of the field: they carry an ``argparse.Namespace``, optimizer objects, fairseq
dictionaries. Here these become inert :class:`Stub` objects that hold their
state and have no behaviour; any other global is refused by name.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import hashlib
import json
import pickle
from pathlib import Path

import torch

#: Globals that are rebuilt for real: plain containers and tensors.
ALLOWED = {
    ("builtins", "dict"): dict,
    ("builtins", "list"): list,
    ("builtins", "tuple"): tuple,
    ("builtins", "int"): int,
    ("builtins", "float"): float,
    ("builtins", "bool"): bool,
    ("builtins", "str"): str,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "complex"): complex,
    ("builtins", "slice"): slice,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}
#: Modules (and their submodules) whose objects become stubs.
STUBBED = (
    "argparse",
    "collections",  # Counter, defaultdict: their factory is a global too
    "datetime",
    "enum",
    "easydict",
    "fairseq",
    "numpy",
    "omegaconf",
    "optimizers",
    "pathlib",
    "s3prl",
    "torch.optim",
    "typing",
    "unilm",
)


class CheckpointError(ValueError):
    """A checkpoint that cannot be loaded, and why."""


class Stub:
    """What stands in for an object whose class is not to be run.

    Built with any arguments, it only remembers what it is given.
    """

    def __init__(self, *args, **kwargs):
        self.args = args

    def __call__(self, *args, **kwargs):
        return Stub(*args)

    def __setstate__(self, state):
        self.state = state

    def __setitem__(self, key, value):
        self.__dict__.setdefault("items", {})[key] = value

    def append(self, value):
        """Takes one item of a stubbed list."""
        self.__dict__.setdefault("listed", []).append(value)

    def extend(self, values):
        """Takes items of a stubbed list."""
        self.__dict__.setdefault("listed", []).extend(values)

    def __hash__(self):
        return id(self)


def plain(value):
    """Turns stubs of Namespaces and of OmegaConf nodes into dicts and values.

    Arguments
    ---------
    value : object
        As read from a checkpoint.

    Returns
    -------
    object
        The same with dict, list and plain values in place of stubs.

    Example
    -------
    >>> import argparse, tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
    ...     torch.save({"args": argparse.Namespace(lr=0.1)}, file.name)
    ...     plain(read(file.name)["args"])
    {'lr': 0.1}
    """
    if isinstance(value, Stub):
        state = value.__dict__.get("state", value.__dict__.get("items"))
        if isinstance(state, tuple):  # (dict state, slots state)
            state = {k: v for part in state if part for k, v in part.items()}
        if isinstance(state, dict):
            for key in ("_content", "_val"):  # an OmegaConf container, a leaf
                if key in state:
                    return plain(state[key])
        return plain(state)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class _Pickle:
    """What torch.load expects of a pickle module, with a strict find_class."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module, name):
            # torch.save writes protocol 2, which calls builtins so.
            module = "builtins" if module == "__builtin__" else module
            if (module, name) in ALLOWED:
                return ALLOWED[module, name]
            if any(module == m or module.startswith(m + ".") for m in STUBBED):
                return type(name, (Stub,), {"__module__": module})
            raise CheckpointError(
                f"refused: it would run {module}.{name}, which no checkpoint "
                "needs. Do not trust this file"
            )

    @staticmethod
    def load(file, **kwargs):
        return _Pickle.Unpickler(file, **kwargs).load()


def read(path):
    """Reads a ``.pt``, ``.ckpt``, ``.bin`` or ``.safetensors`` file.

    Tensors are mapped from disk where the format allows it: what is not used
    is not read.

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
        raise FileNotFoundError(f"No checkpoint at '{path}'.")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except Exception as error:
            raise CheckpointError(f"'{path}' is broken: {error}") from error
    with open(path, "rb") as file:
        zipped = torch.serialization._is_zipfile(file)
    how = {"map_location": "cpu", "mmap": zipped or None}
    try:
        try:
            return torch.load(path, weights_only=True, **how)
        except Exception:
            return torch.load(path, weights_only=False, pickle_module=_Pickle, **how)
    except CheckpointError as error:
        raise CheckpointError(f"'{path}' is {error}.") from error
    except Exception as error:  # a broken pickle may raise anything
        raise CheckpointError(
            f"'{path}' is not a checkpoint, or a broken one: {error}"
        ) from error


def read_json(path):
    """Reads a JSON file, with an error that names it.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    object
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise CheckpointError(f"'{path}' is not valid JSON: {error}") from error


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
        That lists what is missing, what is unexpected, what has another shape.

    Example
    -------
    >>> load_weights(torch.nn.Linear(2, 2), {"weight": torch.ones(2, 2)}, "x.pt")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.upstreams.checkpoints.CheckpointError: 'x.pt' does not fit Linear:
      missing (1): bias
    The checkpoint is of another architecture, or of a variant that is not supported.
    """
    own = module.state_dict()
    shapes = [
        f"{name} {list(weights[name].shape)} instead of {list(own[name].shape)}"
        for name in own.keys() & weights.keys()
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
        found = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                found.update(chunk)
        return found.hexdigest()
    parts = sorted(p for p in path.iterdir() if p.is_file())
    text = "".join(f"{p.name} {digest(p)}\n" for p in parts)
    return hashlib.sha256(text.encode()).hexdigest()
