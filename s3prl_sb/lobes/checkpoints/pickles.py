"""Unpickling without executing anything.

A pickle is a program that can call everything it can name. Here it can name plain
containers and tensors (:data:`ALLOWED`), and the classes that checkpoints of speech
models contain: ``argparse.Namespace``, optimizers, nodes of OmegaConf, arrays of numpy
(:data:`STUBBED`). The latter are not imported but replaced by inert :class:`Stub`
objects. Any other name is refused.

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
#: Names that become stubs in modules with other content, as patterns.
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
#: Largest number of elements of a tensor that repeats its storage: a small file must
#: not become gigabytes.
MOST_REPEATED = 1 << 24


class Refused(ValueError):
    """Error of a file that would run or build something forbidden."""

    def __init__(self, name):
        super().__init__(
            f"refused: it would run {printable(name)[:100]}, which no checkpoint "
            "needs. Do not trust this file"
        )


class Stub:
    """Placeholder of an object whose class must not run.

    It accepts and remembers any arguments and state.
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
        """Adds an item to a stubbed list."""
        self.extend([value])

    def extend(self, values):
        """Adds items to a stubbed list."""
        self.__dict__.setdefault("listed", []).extend(values)

    add = append  # method of a stubbed set

    def __hash__(self):
        return id(self)


def _tensor(storage, offset, size, stride, grad=False, hooks=(), flags=None):
    """Builds a tensor, without the hooks in the file."""
    if flags:  # lazily conjugated complex numbers
        raise ValueError("a tensor with flags")
    if math.prod(size) > max(storage._size(), MOST_REPEATED):
        raise ValueError(f"a tensor of {list(size)} from too little data")
    return torch._utils._rebuild_tensor(storage, offset, size, stride)


def _bytes(text="", encoding="latin1"):
    """Decodes bytes of the older protocols."""
    if encoding not in ("latin1", "latin-1"):
        raise Refused(f"_codecs.encode to {encoding}")
    return text.encode("latin1")


def _bytearray(data=b"", *encoding):
    return bytearray(data if isinstance(data, bytes) else _bytes(data, *encoding))


def _object(kind, *_):
    """Builds an object of the oldest protocols."""
    if not (isinstance(kind, type) and issubclass(kind, Stub)):
        raise Refused("copyreg._reconstructor")
    return kind()


#: Names with an implementation. No other function or class can be called.
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


# The Python class, as the one in C lets a file set attributes of all it can name.
class Unpickler(pickle._Unpickler):
    """Unpickler that raises :class:`Refused` for unknown names.

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
    sizes, most = None, math.inf  #: see :func:`pickle_module`

    def find_class(self, module, name):
        """Returns the implementation or the stub of a name in the file."""
        # The older protocols use the names of Python 2.
        module, name = NAME_MAPPING.get((module, name), (module, name))
        module = IMPORT_MAPPING.get(module, module)
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        stubbed = any(module == m or module.startswith(m + ".") for m in STUBBED)
        stubbed = stubbed or re.fullmatch(STUBBED_NAMES.get(module, "(?!)"), name)
        if not stubbed or "." in name:  # "argparse", "_os.system"
            raise Refused(f"{module}.{name}")
        return type(name, (Stub,), {"__module__": module})

    def load_build(self):
        """Sets the state of an object."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Stub):
            target.__setstate__(state)
        elif not isinstance(target, collections.OrderedDict):  # its _metadata
            name = getattr(target, "__name__", type(target).__name__)
            raise Refused(f"{name}.__setstate__")

    def load_binpersid(self):
        """Loads a tensor's data, which torch stores outside of the pickle."""
        persistent = self.stack[-1]
        is_tuple = isinstance(persistent, tuple) and persistent
        if not is_tuple or persistent[0] not in ("storage", b"storage"):
            raise Refused("a pickled module")
        _check_storage(persistent, self.sizes, self.most)
        super().load_binpersid()

    def load_persid(self):
        """Refuses the textual form, which torch never writes."""
        raise Refused("a persistent id")

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BINPERSID[0]] = load_binpersid
    dispatch[pickle.PERSID[0]] = load_persid


def _check_storage(persistent, sizes, most):
    """Checks that the file has all data of a tensor."""
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


def pickle_module(sizes, most):
    """Returns a pickle module for one file that checks the sizes of its tensors.

    torch alone would trust the pickle, and read on in the next tensor.

    Arguments
    ---------
    sizes : dict or None
        Members of the archive to their sizes in bytes. None: not an archive.
    most : int
        Size of the file in bytes.

    Returns
    -------
    object
        Module with ``Unpickler`` and ``load``, for torch.load.
    """
    kind = type("Unpickler", (Unpickler,), {"sizes": sizes, "most": most})

    def load(file, **kwargs):
        return kind(file, **kwargs).load()

    return types.SimpleNamespace(__name__=__name__, Unpickler=kind, load=load)
