"""Unpickling without executing anything.

A pickle is a program that calls whatever it can name. Here it can name plain
containers and tensors (:data:`ALLOWED`), and the classes that checkpoints of
the field carry along: ``argparse.Namespace``, optimizers, nodes of OmegaConf,
arrays of numpy (:data:`STUBBED`). These classes are not imported: inert
:class:`Stub` objects stand in for theirs. Any other name is refused.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import math
import pickle
import re
import types
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

import torch

from s3prl_sb.errors import printable

#: Packages and modules whose classes become stubs.
STUBBED = (
    "apex", "argparse", "collections", "datetime", "deepspeed", "easydict", "enum",
    "espnet", "espnet2", "fairseq", "lightning", "lightning_fabric", "numpy.random",
    "omegaconf", "optimizers", "pathlib", "pytorch_lightning", "s3prl", "torch.optim",
    "transformers", "typing", "unilm", "yacs",
)  # fmt: skip
#: The same of modules that hold other things too: patterns of names.
STUBBED_NAMES = {
    "builtins": "NoneType|object|str|type",
    "numpy": r"dtype|ndarray|(bool|u?int|float|complex|str)\d*_?",
    "numpy.core.multiarray": "_reconstruct|scalar",
    "numpy._core.multiarray": "_reconstruct|scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "torch": "Tensor",
    "torch._tensor": "Tensor",
    "torch.nn.parameter": "Parameter",
}
#: A tensor that repeats its storage may have so many elements: a small file
#: must not become gigabytes.
MOST_REPEATED = 1 << 24


class Refused(ValueError):
    """What a file would run, or make."""

    def __init__(self, name):
        super().__init__(
            f"refused: it would run {printable(name)[:100]}, which no checkpoint "
            "needs. Do not trust this file"
        )


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
        self.extend([value])

    def extend(self, values):
        """Takes items of a stubbed list."""
        self.__dict__.setdefault("listed", []).extend(values)

    add = append  # of a stubbed set

    def __hash__(self):
        return id(self)


def _tensor(storage, offset, size, stride, grad=False, hooks=(), flags=None):
    """A tensor, without the hooks that a file may give it."""
    if flags:  # of complex numbers: conjugated, but not yet
        raise ValueError("a tensor with flags")
    if math.prod(size) > max(storage._size(), MOST_REPEATED):
        raise ValueError(f"a tensor of {list(size)} from too little data")
    return torch._utils._rebuild_tensor(storage, offset, size, stride)


def _bytes(text="", encoding="latin1"):
    """How the older protocols write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"_codecs.encode to {encoding}")
    return text.encode("latin1")


def _bytearray(data=b"", *encoding):
    return bytearray(data if isinstance(data, bytes) else _bytes(data, *encoding))


def _object(kind, *_):
    """How the oldest protocols make an object."""
    if not (isinstance(kind, type) and issubclass(kind, Stub)):
        raise Refused("copyreg._reconstructor")
    return kind()


#: What is made for real. No other function or class can be called.
ALLOWED = {
    ("_codecs", "encode"): _bytes,
    ("builtins", "bool"): bool,
    ("builtins", "bytearray"): _bytearray,
    ("builtins", "bytes"): _bytes,
    ("builtins", "complex"): complex,
    ("builtins", "dict"): dict,
    ("builtins", "float"): float,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "int"): int,
    ("builtins", "list"): list,
    ("builtins", "set"): set,
    ("builtins", "slice"): slice,
    ("builtins", "tuple"): tuple,
    ("collections", "Counter"): lambda *counts: dict(*counts),
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): lambda *factory: {},
    ("copyreg", "_reconstructor"): _object,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch._tensor", "_rebuild_from_type_v2"): lambda make, kind, args, _: make(*args),
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda data, *_: data,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
}
ALLOWED.update(
    {("torch", n): v for n, v in vars(torch).items() if isinstance(v, torch.dtype)}
)


# The one in Python: that in C lets a file set attributes of all it can name.
class Unpickler(pickle._Unpickler):
    """Reads a pickle; a name that is not known is :class:`Refused`.

    Example
    -------
    >>> import argparse, io, os
    >>> text = pickle.dumps({"args": argparse.Namespace(lr=0.1)})
    >>> Unpickler(io.BytesIO(text)).load()["args"].state
    {'lr': 0.1}
    >>> Unpickler(io.BytesIO(pickle.dumps(os.getcwd))).load()
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.pickles.Refused: refused: it would run posix.getcwd
    """

    dispatch = dict(pickle._Unpickler.dispatch)
    sizes, most = None, math.inf  #: see :func:`of`

    def find_class(self, module, name):
        """What a name in a file stands for."""
        # The older protocols use the names of Python 2.
        module, name = NAME_MAPPING.get((module, name), (module, name))
        module = IMPORT_MAPPING.get(module, module)
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        known = any(module == m or module.startswith(m + ".") for m in STUBBED)
        known = known or re.fullmatch(STUBBED_NAMES.get(module, "(?!)"), name)
        if not known or "." in name:  # "argparse", "_os.system"
            raise Refused(f"{module}.{name}")
        return type(name, (Stub,), {"__module__": module})

    def load_build(self):
        """Sets the state of an object."""
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, Stub):
            made.__setstate__(state)
        elif not isinstance(made, collections.OrderedDict):  # its _metadata
            name = getattr(made, "__name__", type(made).__name__)
            raise Refused(f"{name}.__setstate__")

    def load_binpersid(self):
        """Takes what torch has stored outside of the pickle."""
        found = self.stack[-1]
        kind = found[0] if isinstance(found, tuple) and found else None
        if kind not in ("storage", b"storage"):
            raise Refused("a pickled module")
        _check_storage(found, self.sizes, self.most)
        super().load_binpersid()

    def load_persid(self):
        """The same as text, which torch never writes."""
        raise Refused("a persistent id")

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BINPERSID[0]] = load_binpersid
    dispatch[pickle.PERSID[0]] = load_persid


def _check_storage(persistent, sizes, most):
    """Makes sure that there is as much of a tensor's data as it needs."""
    try:
        _, kind, key, _, count, *_ = persistent
        needed = count * getattr(kind, "dtype", torch.uint8).itemsize
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError("tensors without their data") from error
    if not isinstance(needed, int) or not 0 <= needed <= most:
        raise ValueError(f"a tensor of {count} numbers in a file of {most} bytes")
    key = f"data/{key}"
    if sizes is not None and sizes.get(key) != needed:
        raise ValueError(
            f"the tensor {key} takes {needed} bytes, and the file has {sizes.get(key)}"
        )


def of(sizes, most):
    """A pickle module for one file, which knows how much data there is.

    torch would make room for what the pickle says, and read on in the next tensor.

    Arguments
    ---------
    sizes : dict or None
        Members of the archive to their bytes; None: the file is no archive.
    most : int
        Bytes of the file.

    Returns
    -------
    object
        With an ``Unpickler`` and a ``load``, as torch.load takes it.
    """
    kind = type("Unpickler", (Unpickler,), {"sizes": sizes, "most": most})

    def load(file, **kwargs):
        return kind(file, **kwargs).load()

    return types.SimpleNamespace(__name__=__name__, Unpickler=kind, load=load)


def load(file, **kwargs):
    """What torch.load expects of a pickle module, beside the class.

    Arguments
    ---------
    file : file object
    **kwargs
        As for ``pickle.load``.

    Returns
    -------
    object
    """
    return Unpickler(file, **kwargs).load()
