"""Which files are opened, whoever opens them.

Python tells of every file that it opens; readers written in C++ and Rust do not, so
those that torch and safetensors have are watched as well. Modules, libraries and what
belongs to the system do not count, as they are known by their versions; nor do
published cards, which are known by what they make.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import contextvars
import os
import sys
import sysconfig

from s3prl_sb import resources
from s3prl_sb.identity.content import MEMORY

_watching = contextvars.ContextVar("watching", default=None)
_hooked = []
#: What Python itself and the libraries consist of.
_LIBRARIES = {
    os.path.realpath(path)
    for path in (sys.prefix, sys.base_prefix, *sysconfig.get_paths().values())
}
_SYSTEM = ("/proc", "/dev", "/sys", "/etc", "/usr", "/lib", "/var/lib")
_MODULES = (".py", ".pyc", ".so", ".pyd")


class Seen:
    """The files that were opened for reading; ``files``, a set of real paths."""

    def __init__(self):
        self.files = set()

    def add(self, path):
        """Takes a file in, unless it is a library's or the system's.

        Arguments
        ---------
        path : object
            As it was given to whatever opens it.
        """
        try:
            real = os.path.realpath(os.fsdecode(path))
        except (TypeError, ValueError):  # a descriptor
            return
        below = real.startswith
        if real.endswith(_MODULES) or any(below(p + os.sep) for p in _SYSTEM):
            return
        # A virtual environment may lie in the temporary folder, not the reverse.
        if any(below(p + os.sep) for p in _LIBRARIES) or real == os.devnull:
            return
        # What a published card says stands in the arguments of what it makes.
        own = [resources.cache_folder() / MEMORY, resources.folder("hparams")]
        if any(below(os.path.realpath(path)) for path in own):
            return
        if os.path.isfile(real):
            self.files.add(real)


@contextlib.contextmanager
def watching():
    """Sees which files are opened for reading inside, in this thread.

    Yields
    ------
    Seen
        Which fills up.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, watching() as seen:
    ...     open(file.name).close()
    ...     os.path.realpath(file.name) in seen.files
    True
    """
    if not _hooked:
        sys.addaudithook(_hook)  # for good: a hook cannot be taken away
        _hooked.append(True)
    seen = Seen()
    token = _watching.set(seen)
    try:
        with contextlib.ExitStack() as stack:
            for owner, name in _silent_readers():
                stack.enter_context(_told(owner, name, seen))
            yield seen
    finally:
        _watching.reset(token)


def _hook(event, arguments):
    if event != "open":
        return
    seen = _watching.get()
    if seen is None:
        return
    path, mode, flags = arguments
    writes = mode is not None and set(mode) & set("wax+")
    if not writes and not (flags or 0) & (os.O_WRONLY | os.O_RDWR):
        seen.add(path)


def _silent_readers():
    """Functions that open files without Python's knowledge: (owner, name)."""
    import safetensors
    import safetensors.torch
    import torch

    yield safetensors, "safe_open"
    yield safetensors.torch, "safe_open"
    yield torch._C, "PyTorchFileReader"
    yield torch.UntypedStorage, "from_file"
    yield torch, "from_file"


@contextlib.contextmanager
def _told(owner, name, seen):
    """A function that, inside, tells which file it opens."""
    original = getattr(owner, name, None)
    if original is None:
        yield
        return
    inherited = isinstance(owner, type) and name not in vars(owner)

    def telling(path, *args, **kwargs):
        seen.add(path)
        return original(path, *args, **kwargs)

    setattr(owner, name, staticmethod(telling) if inherited else telling)
    try:
        yield
    finally:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)
