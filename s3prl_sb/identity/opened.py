"""The door through which an upstream opens files.

Whatever reads a file for an upstream says so here; while an upstream is built, the
base class listens. So it is observed what an upstream is made of, and no list of
arguments that may be files has to be kept. :func:`~s3prl_sb.lobes.cards.check.
check_upstream` finds an upstream that goes past the door.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import contextvars
import json
import os

_listening = contextvars.ContextVar("opened", default=None)


class Opened:
    """What was opened while something was built.

    ``files`` are the paths of files to what the system said of them; ``names`` are
    values, as they were given, to the path of the file or folder they stand for.
    """

    def __init__(self):
        self.files, self.names = {}, {}

    def real_paths(self):
        """Returns the files without symbolic links.

        Returns
        -------
        set of str
        """
        return {os.path.realpath(path) for path in self.files}


@contextlib.contextmanager
def listening():
    """Records what is opened inside.

    Yields
    ------
    Opened
        Which fills up.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file, listening() as found:
    ...     _ = opened(file.name)
    ...     list(found.files) == [os.path.abspath(file.name)]
    True
    """
    found, outside = Opened(), _listening.get()
    token = _listening.set(found)
    try:
        yield found
    finally:
        _listening.reset(token)
        if outside is not None:  # one upstream may be made of another
            outside.files.update(found.files)
            outside.names.update(found.names)


def opened(path):
    """Says that a file is read, and gives its path back.

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
        place = os.path.abspath(path)
        listener.files.setdefault(place, state(place))
        listener.names.setdefault(key(path), place)
    return path


def named(value, path):
    """Says that a value, such as a list of addresses, stands for a file or folder.

    Arguments
    ---------
    value : str or list of str
        As it was given.
    path : str
        What was found.
    """
    listener = _listening.get()
    if listener is not None:
        listener.names[key(value)] = os.path.abspath(path)
        opened(path)


def key(value):
    """The text under which ``names`` keeps a value, None for what is no path.

    Arguments
    ---------
    value : object
        A path, or a list of them.

    Returns
    -------
    str
    """
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(v, (str, os.PathLike)) for v in value):
            return json.dumps([os.fspath(v) for v in value])
    return None


def state(path):
    """What tells that a file is still the one that was opened.

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
