"""Checks that audio exists and is as it was: local files, tars, and URLs in bulk.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Iterable

from s3prl_sb.identity import remote
from s3prl_sb.identity.locations import container, is_url, locate


def faults(names: Iterable[str]) -> dict[str, str]:
    """Returns what is wrong with the audio that is not there.

    Arguments
    ---------
    names : iterable of str
        Names of audio, see :mod:`s3prl_sb.identity.locations`, or entries of arks.
        URLs that this process has looked up already are not looked up again.

    Returns
    -------
    dict
        Names to a reason, for an error; empty if all exist.

    Raises
    ------
    s3prl_sb.identity.remote.RemoteError
        If a server cannot be reached.

    Example
    -------
    >>> faults(["/nowhere/a.wav", "/nowhere/a.tar:512:44"])["/nowhere/a.tar:512:44"]
    'missing audio file /nowhere/a.tar:512:44'
    """
    names = list(names)
    urls = (container(name) for name in names if is_url(name))
    statuses = remote.statuses(urls, again=False)
    sizes = {
        path: status.size if isinstance(status, remote.Status) else -1
        for path, status in statuses.items()
    }  # -1: no such file; None: unknown
    result = {}
    for name in names:
        path = container(name)
        if path not in sizes:
            sizes[path] = os.path.getsize(path) if os.path.isfile(path) else -1
        size = sizes[path]
        if size == -1:
            error = str(statuses.get(path, ""))
            missing = f"missing audio file {name}"
            result[name] = error if "cannot be read" in error else missing
        elif size is not None and path != name:
            _, offset, length = locate(name)
            if offset is not None and size < offset + (length or 0):
                fault = f"{name} is beyond the end of the tar: it has {size} bytes"
                result[name] = fault
    return result


def changed(names: Iterable[str], moment: float) -> str | None:
    """Returns a file that may have changed since a moment.

    Arguments
    ---------
    names : iterable of str
        See :func:`faults`; URLs are looked up again.
    moment : float
        Seconds since the epoch.

    Returns
    -------
    str or None
        Path or URL of the file; None if all are unchanged. A missing file, and one
        behind a URL whose time is unknown, may have changed.
    """
    paths = list(dict.fromkeys(map(container, names)))
    statuses = remote.statuses(filter(is_url, paths))
    for path in paths:
        try:
            if path in statuses:
                status = statuses[path]
                time = status.modified if isinstance(status, remote.Status) else None
            else:
                time = os.stat(path).st_ctime
        except OSError:
            time = None
        if time is None or time > moment:
            return path
    return None
