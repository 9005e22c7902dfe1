"""Pipes, heads, featurizers and other objects, known by what they are made of.

An object is its class, its attributes and, of a module, its weights. Text that is the
path of a file stands for what the file holds, so that recordings of noise count and
where they lie does not.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import hashlib
import os
import types

from s3prl_sb.identity import digest
from s3prl_sb.identity.code import code_of
from s3prl_sb.identity.content import hash_file, hash_files, hash_folder

#: What torch keeps in modules beside what they are.
_BOOKKEEPING = ("training", "_is_full_backward_hook")


def identity_of(value, weights=True):
    """Returns what an object is known by.

    Arguments
    ---------
    value : object
        Any: a pipe, a head that is not built yet (``functools.partial``), a module,
        a list of them.
    weights : bool
        Whether a module's weights count; not of one that is to be trained.

    Returns
    -------
    dict
        JSON values: ``is``, what it is made of, and ``code``, see
        :func:`~s3prl_sb.identity.code.code_of`.

    Example
    -------
    >>> from s3prl_sb.dataio.pipes import RandomCrop
    >>> one, two = (identity_of(RandomCrop(seconds=n, crops=2)) for n in (1, 2))
    >>> one["is"] == two["is"], one["code"] == two["code"]
    (False, True)
    """
    described = Description(weights=weights)
    found = described.of(value)
    return {"is": found, "code": code_of(described.classes)}


def hash_weights(module):
    """Returns the hash of a module's parameters and buffers.

    Arguments
    ---------
    module : torch.nn.Module
        On any device.

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
    found = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        _add(found, name, tensor)
    return found.hexdigest()


def _add(found, name, tensor):
    import torch

    if not isinstance(tensor, torch.Tensor):  # what a module keeps beside
        found.update(f"{name} {tensor!r}".encode())
        return
    found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
    raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
    found.update(raw.numpy())


class Description:
    """Makes JSON values of objects, and collects their classes.

    Arguments
    ---------
    stands_for : callable, optional
        A value to what stands for it, None for itself; asked first of each value.
    weights : bool
        Whether a module's weights count.
    """

    def __init__(self, stands_for=None, weights=True):
        self.stands_for, self.weights = stands_for or self._file, weights
        self.classes, self._inside = set(), []

    def of(self, value):
        """Returns JSON values that tell an object from others.

        Arguments
        ---------
        value : object
            Any.

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
            found, kept = {"name": _qualified(value)}, _kept(value)
            return {**found, "keeps": self.of(kept)} if kept else found
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            return {"array": _hash_array(value)}
        return self._object(value)

    def _object(self, value):
        self.classes |= set(type(value).__mro__) - {object}
        found = {"class": _qualified(type(value))}
        if hasattr(value, "state_dict") and hasattr(value, "named_modules"):
            found["weights"] = hash_weights(value) if self.weights else None
            found["modules"] = {}
            for name, module in value.named_modules():
                self.classes |= set(type(module).__mro__) - {object}
                found["modules"][name] = [
                    _qualified(type(module)),
                    self.of(_attributes(module)),
                ]
        elif hasattr(value, "__dict__") or _slots(value):
            found["attributes"] = self.of(_attributes(value))
        elif " at 0x" not in repr(value):  # a dtype, a pattern
            found["text"] = repr(value)
        return found

    def _file(self, value):
        """Of a path of a file or folder its content; a bare name is none."""
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if not isinstance(value, str) or os.sep not in value:
            return None
        if os.path.isfile(value):
            return {"content": hash_file(value)}
        return {"content": hash_folder(value)} if os.path.isdir(value) else None

    def _files(self, values):
        """Of a list of files their contents, asked for at once."""
        if self.stands_for != self._file or not values:
            return None
        if not all(isinstance(v, str) and os.sep in v for v in values):
            return None
        if not all(map(os.path.isfile, values)):
            return None
        hashes = hash_files(values)
        return [{"content": hashes[value]} for value in values]


def _attributes(value):
    """What an object's ``__dict__`` says; of a module what torch does not."""
    found = {**_slots(value), **getattr(value, "__dict__", {})}
    if hasattr(value, "named_modules"):
        for name in _BOOKKEEPING:
            found.pop(name, None)
        found = {
            name: inner
            for name, inner in found.items()
            if not (name.startswith("_") and isinstance(inner, (dict, set)))
        }
    return found


def _slots(value):
    """Attributes for which a class has reserved a place."""
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
    """What a function was made with: its defaults, and variables around it; the
    object that a method written in C is of."""
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
    """The name of a class or function, without where one's own file lies."""
    module = (getattr(value, "__module__", None) or "").split(".")
    if module[:2] == ["s3prl_sb", "own"]:
        module = module[3:]
    return ".".join([*module, value.__qualname__])


def _hash_array(value):
    import torch

    found = hashlib.sha256()
    if isinstance(value, torch.Tensor):
        _add(found, "", value)
    else:
        found.update(f"{value.dtype} {list(value.shape)}".encode())
        found.update(bytes(value.tobytes()))
    return found.hexdigest()
