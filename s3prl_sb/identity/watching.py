"""Observation of all files that a block of code opens.

Python reports every file that it opens. Readers in C++ and Rust do not, so those of
torch and safetensors are wrapped. Modules, libraries and system files do not count,
since they count by version; nor do published cards, which count by the objects they
build.

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
_hooked: list[bool] = []
#: Folders of Python and of the libraries.
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
        """Adds a file, unless it belongs to a library or to the system.

        Arguments
        ---------
        path : object
            Argument of the function that opens it.
        """
        try:
            real = os.path.realpath(os.fsdecode(path))
        except (TypeError, ValueError):  # a descriptor
            return
        below = real.startswith
        if real.endswith(_MODULES) or any(below(p + os.sep) for p in _SYSTEM):
            return
        # A virtual environment may be in the temporary folder, not the reverse.
        if any(below(p + os.sep) for p in _LIBRARIES) or real == os.devnull:
            return
        if resources.is_installed(real):
            return
        # The arguments of an object hold the content of a published card.
        ignored = [resources.cache_folder() / MEMORY, resources.folder("hparams")]
        if any(below(os.path.realpath(path)) for path in ignored):
            return
        if os.path.isfile(real):
            self.files.add(real)


@contextlib.contextmanager
def watching():
    """Records the files that this thread opens for reading in a block.

    Yields
    ------
    Seen
        The files opened so far.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, watching() as seen:
    ...     open(file.name).close()
    ...     os.path.realpath(file.name) in seen.files
    True
    """
    if not _hooked:
        sys.addaudithook(_hook)  # a hook cannot be removed
        _hooked.append(True)
    seen = Seen()
    token = _watching.set(seen)
    try:
        with contextlib.ExitStack() as stack:
            for owner, name in _silent_readers():
                stack.enter_context(_reporting(owner, name, seen))
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
    """Yields (owner, name) of functions that open files without Python's hooks."""
    import safetensors
    import safetensors.torch
    import torch

    yield safetensors, "safe_open"
    yield safetensors.torch, "safe_open"
    yield torch._C, "PyTorchFileReader"
    yield torch.UntypedStorage, "from_file"
    yield torch, "from_file"


@contextlib.contextmanager
def _reporting(owner, name, seen):
    """Makes a function report the files that it opens, in a block."""
    original = getattr(owner, name, None)
    if original is None:
        yield
        return
    inherited = isinstance(owner, type) and name not in vars(owner)

    def reporting(path, *args, **kwargs):
        seen.add(path)
        return original(path, *args, **kwargs)

    setattr(owner, name, staticmethod(reporting) if inherited else reporting)
    try:
        yield
    finally:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)
