"""Identity of pipes, heads, featurizers and other objects.

The identity of an object is its class, its attributes and, for a module, its weights.
A text that is the path of a file counts as the content of the file, so that recordings
of noise count, and their paths do not.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import hashlib
import os
import types
from typing import TYPE_CHECKING, Any

from s3prl_sb.identity import digest
from s3prl_sb.identity.code import code_of
from s3prl_sb.identity.content import hash_file, hash_files, hash_folder

if TYPE_CHECKING:
    import torch

#: Attributes of torch's modules that are not part of an identity.
_BOOKKEEPING = ("training", "_is_full_backward_hook")


def identity_of(value: Any, weights: bool = True) -> dict[str, Any]:
    """Returns the identity of an object.

    Arguments
    ---------
    value : object
        Any object: a pipe, a head that is not built yet (``functools.partial``), a
        module, a list of them.
    weights : bool
        Whether the weights of a module count; False for one to be trained.

    Returns
    -------
    dict
        JSON values: ``is``, the description of the object, and ``code``, see
        :func:`~s3prl_sb.identity.code.code_of`.

    Example
    -------
    >>> from s3prl_sb.dataio.pipes import RandomCrop
    >>> one, two = (identity_of(RandomCrop(seconds=n, crops=2)) for n in (1, 2))
    >>> one["is"] == two["is"], one["code"] == two["code"]
    (False, True)
    """
    description = Description(weights=weights)
    described = description.of(value)
    return {"is": described, "code": code_of(description.classes)}


def hash_weights(module: "torch.nn.Module") -> str:
    """Returns the hash of a module's parameters and buffers.

    Arguments
    ---------
    module : torch.nn.Module
        A module on any device.

    Returns
    -------
    str
        64 hexadecimal digits.

    Example
    -------
    >>> import torch
    >>> linear = torch.nn.Linear(2, 2)
    >>> before = hash_weights(linear)
    >>> linear.weight.data += 1
    >>> hash_weights(linear) == before
    False
    """
    sha256 = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        _add(sha256, name, tensor)
    return sha256.hexdigest()


def _add(sha256, name, tensor):
    import torch

    if not isinstance(tensor, torch.Tensor):  # extra state of a module
        sha256.update(f"{name} {tensor!r}".encode())
        return
    sha256.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
    raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    sha256.update(raw.numpy())


class Description:
    """Describes objects as JSON values, and collects their classes.

    Arguments
    ---------
    stands_for : callable, optional
        Maps a value to its replacement, or None; called first for each value.
    weights : bool
        Whether the weights of a module count.
    """

    def __init__(self, stands_for=None, weights=True):
        self.stands_for, self.weights = stands_for or self._file, weights
        self.classes, self._inside = set(), []

    def of(self, value):
        """Returns JSON values that differ for different objects.

        Arguments
        ---------
        value : object
            Any object.

        Returns
        -------
        object
        """
        stand_in = self.stands_for(value)
        if stand_in is not None:
            return stand_in
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if any(value is outer for outer in self._inside):
            return "itself"
        self._inside.append(value)
        try:
            return self._composed(value)
        finally:
            self._inside.pop()

    def _composed(self, value):
        if isinstance(value, dict):
            pairs = [[self.of(key), self.of(inner)] for key, inner in value.items()]
            return {"dict": sorted(pairs, key=digest)}
        if isinstance(value, (list, tuple)):
            return self._files(value) or [self.of(inner) for inner in value]
        if isinstance(value, (set, frozenset)):
            return {"set": sorted((self.of(inner) for inner in value), key=digest)}
        if isinstance(value, bytes):
            return {"bytes": hashlib.sha256(value).hexdigest()}
        if isinstance(value, functools.partial):
            parts = [value.func, value.args, value.keywords]
            return {"partial": [self.of(part) for part in parts]}
        if hasattr(value, "__self__") and hasattr(value, "__func__"):  # a method
            return {"method": [self.of(value.__self__), value.__func__.__qualname__]}
        if hasattr(value, "__qualname__"):  # a class, a function
            self.classes.add(value)
            described, kept = {"name": _qualified(value)}, _kept(value)
            return {**described, "keeps": self.of(kept)} if kept else described
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            return {"array": _hash_array(value)}
        return self._object(value)

    def _object(self, value):
        self.classes |= set(type(value).__mro__) - {object}
        described = {"class": _qualified(type(value))}
        if hasattr(value, "state_dict") and hasattr(value, "named_modules"):
            described["weights"] = hash_weights(value) if self.weights else None
            described["modules"] = {}
            for name, module in value.named_modules():
                self.classes |= set(type(module).__mro__) - {object}
                described["modules"][name] = [
                    _qualified(type(module)),
                    self.of(_attributes(module)),
                ]
        elif hasattr(value, "__dict__") or _slots(value):
            described["attributes"] = self.of(_attributes(value))
        elif " at 0x" not in repr(value):  # a dtype, a pattern
            described["text"] = repr(value)
        return described

    def _file(self, value):
        """Returns the content of the file or folder of a path; a name without a
        separator is not a path."""
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str) or os.sep not in value:
            return None
        if os.path.isfile(value):
            return {"content": hash_file(value)}
        return {"content": hash_folder(value)} if os.path.isdir(value) else None

    def _files(self, values):
        """Returns the contents of a list of files, which are hashed together."""
        if self.stands_for != self._file or not values:
            return None
        if not all(isinstance(v, str) and os.sep in v for v in values):
            return None
        if not all(map(os.path.isfile, values)):
            return None
        hashes = hash_files(values)
        return [{"content": hashes[value]} for value in values]


def _attributes(value):
    """Returns the attributes of an object, for a module without those of torch."""
    attributes = {**_slots(value), **getattr(value, "__dict__", {})}
    if hasattr(value, "named_modules"):
        for name in _BOOKKEEPING:
            attributes.pop(name, None)
        attributes = {
            name: inner
            for name, inner in attributes.items()
            if not (name.startswith("_") and isinstance(inner, (dict, set)))
        }
    return attributes


def _slots(value):
    """Returns the attributes in ``__slots__``."""
    names = {}
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        names.update(dict.fromkeys([slots] if isinstance(slots, str) else slots))
    return {
        name: getattr(value, name)
        for name in names
        if not name.startswith("__") and hasattr(value, name)
    }


def _kept(value):
    """Returns the defaults and the closure of a function, and the object of a method
    written in C."""
    cells = getattr(value, "__closure__", None) or ()
    kept = [cell.cell_contents for cell in cells if _is_filled(cell)]
    kept += getattr(value, "__defaults__", None) or ()
    kept += sorted((getattr(value, "__kwdefaults__", None) or {}).items())
    owner = getattr(value, "__self__", None)
    is_bound = owner is not None and not isinstance(owner, (type, types.ModuleType))
    return kept + [owner] * is_bound


def _is_filled(cell):
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _qualified(value):
    """Returns the name of a class or function, without the label of user-defined
    modules."""
    module = (getattr(value, "__module__", None) or "").split(".")
    if module[:2] == ["s3prl_sb", "own"]:
        module = module[3:]
    return ".".join([*module, value.__qualname__])


def _hash_array(value):
    import torch

    sha256 = hashlib.sha256()
    if isinstance(value, torch.Tensor):
        _add(sha256, "", value)
    else:
        sha256.update(f"{value.dtype} {list(value.shape)}".encode())
        sha256.update(bytes(value.tobytes()))
    return sha256.hexdigest()
