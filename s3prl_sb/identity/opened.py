"""Record of the files that an upstream opens.

Functions that read a file for an upstream report it here, and the base class listens
while an upstream is built. So the files of an upstream are observed, and no list of
arguments that may be files is needed.
:func:`~s3prl_sb.lobes.cards.check.check_upstream` finds upstreams that open files
without reporting them.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import contextvars
import json
import os
from collections.abc import Iterator
from typing import Any, TypeVar

AnyPath = TypeVar("AnyPath", bound=str | os.PathLike[str])

_listening: contextvars.ContextVar["Opened | None"] = contextvars.ContextVar(
    "opened", default=None
)


class Opened:
    """The files that were opened while an object was built.

    ``files`` maps paths to :func:`state`; ``names`` maps values, such as arguments, to
    the path of the file or folder that they name.
    """

    def __init__(self):
        self.files, self.names = {}, {}

    def real_paths(self) -> set[str]:
        """Returns the files without symbolic links.

        Returns
        -------
        set of str
        """
        return {os.path.realpath(path) for path in self.files}


@contextlib.contextmanager
def listening() -> Iterator[Opened]:
    """Records the files that are opened in a block.

    Yields
    ------
    Opened
        The files opened so far.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, listening() as record:
    ...     _ = opened(file.name)
    ...     list(record.files) == [os.path.abspath(file.name)]
    True
    """
    record, outside = Opened(), _listening.get()
    token = _listening.set(record)
    try:
        yield record
    finally:
        _listening.reset(token)
        if outside is not None:  # an upstream may contain another one
            outside.files.update(record.files)
            outside.names.update(record.names)


def opened(path: AnyPath) -> AnyPath:
    """Reports that a file is read, and returns its path.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    str
        The path, for ``open(opened(path))``.
    """
    listener = _listening.get()
    if listener is not None and os.path.isfile(path):
        place = os.path.abspath(str(path))
        listener.files.setdefault(place, state(place))
        listener.names.setdefault(key(path), place)
    return path


def named(value: Any, path: Any) -> None:
    """Reports that a value, such as a list of addresses, names a file or folder.

    Arguments
    ---------
    value : str or list of str
        The value, unchanged.
    path : str
        The file or folder.
    """
    listener = _listening.get()
    if listener is not None:
        listener.names[key(value)] = os.path.abspath(path)
        opened(path)


def key(value: Any) -> str | None:
    """Returns the key of a value in ``names``.

    Arguments
    ---------
    value : object
        A path, or a list of them.

    Returns
    -------
    str or None
        None if it is not a path.
    """
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(v, (str, os.PathLike)) for v in value):
            return json.dumps([os.fspath(v) for v in value])
    return None


def state(path: str) -> list[int]:
    """Returns properties that change whenever the content of a file changes.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    list of int
    """
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
