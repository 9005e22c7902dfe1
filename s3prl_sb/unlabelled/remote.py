"""Files and folders behind URLs, for lists of unlabelled audio.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
from typing import BinaryIO

from s3prl_sb.identity.locations import is_url
from s3prl_sb.identity.remote import NO_PARTS, RemoteError, file_system, naming

__all__ = ["RemoteError", "below", "file_system", "is_url", "matching", "naming"]
__all__ += ["opened", "state"]


def opened(url: str, block: int | None = None) -> BinaryIO:
    """Opens a file behind a URL for reading by ranges.

    Arguments
    ---------
    url : str
        URL of the file.
    block : int, optional
        Bytes that are read ahead. Default: that of the protocol, megabytes.

    Returns
    -------
    file object
        Seekable.

    Raises
    ------
    RemoteError
        If it does not exist, or cannot be read.
    """
    system, path = file_system(url)
    with naming(url):
        file = system.open(path, "rb", block_size=block)
    if not file.seekable():
        file.close()
        raise RemoteError(f"{url}: {NO_PARTS.format(url)}")
    return file


def state(url: str) -> tuple[int, int]:
    """Returns the size of a file behind a URL, and a number of its version.

    Arguments
    ---------
    url : str
        URL of the file.

    Returns
    -------
    tuple of int
        Bytes, and a hash of the entity tag or the time of the last change.
    """
    system, path = file_system(url)
    with naming(url):
        return _state(system.info(path))


def _state(info):
    known = ("ETag", "etag", "mtime", "LastModified", "last_modified", "created")
    versions = [str(info[key]) for key in known if info.get(key) is not None]
    stamp = hashlib.blake2b("|".join(versions).encode(), digest_size=7).digest()
    return int(info.get("size") or 0), int.from_bytes(stamp, "big")


def below(url: str) -> list[tuple[str, int, int]]:
    """Lists the files below a folder behind a URL.

    Arguments
    ---------
    url : str
        URL of the folder.

    Returns
    -------
    list of tuple
        Relative path, and the two numbers of :func:`state`, in the order of the paths.
    """
    system, root = file_system(url)
    with naming(url):
        infos = system.find(root, detail=True)
    root = root.rstrip("/") + "/"
    return [
        (path[len(root) :], *_state(info))
        for path, info in sorted(infos.items())
        if path.startswith(root)
    ]


def matching(pattern: str) -> list[str]:
    """Returns the URLs that match a pattern with ``*``, sorted.

    Arguments
    ---------
    pattern : str
        URL with the wildcards of ``glob``.

    Returns
    -------
    list of str
    """
    system, path = file_system(pattern)
    with naming(pattern):
        paths = sorted(system.glob(path))
    prefix = pattern[: len(pattern) - len(path)] if pattern.endswith(path) else None
    if prefix is None:
        return [system.unstrip_protocol(found) for found in paths]
    return [prefix + found for found in paths]
