"""Audio behind URLs, which fsspec reads: s3://, gs://, https://, hf://, memory://, …

A file is read by ranges, so that the header of an archive's member, or a crop, does not
cost the whole file. ``simplecache::https://…`` keeps a copy of each file on this
machine.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from s3prl_sb.errors import MissingExtra, UserError

NO_PARTS = (
    "the server does not serve parts of files. simplecache::{} keeps a copy of the "
    "whole file here."
)


class RemoteError(UserError, OSError):
    """A URL that cannot be read; the message names it."""


def is_url(path: str) -> bool:
    """Returns whether a path is a URL.

    Example
    -------
    >>> is_url("s3://bucket/audio"), is_url("/data/audio")
    (True, False)
    """
    return "://" in path


@contextlib.contextmanager
def naming(url: str) -> Iterator[None]:
    """Converts the errors of fsspec's file systems into errors that name the URL.

    Arguments
    ---------
    url : str
        The URL that is read. The errors of a local path are left as they are.

    Raises
    ------
    RemoteError
        For any other exception than a :class:`~s3prl_sb.errors.UserError`.
    """
    if not is_url(url):
        yield
        return
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise MissingExtra(
            f"{url}: {error}. fsspec reads a protocol with a library of its own, such "
            'as s3fs, gcsfs or aiohttp: pip install "s3prl_sb[remote]" and that one.'
        ) from error
    except FileNotFoundError as error:
        raise RemoteError(f"{url}: no such file or folder.") from error
    except Exception as error:  # each file system has its own kinds
        reason = str(error) or type(error).__name__
        if "range requests" in reason:
            raise RemoteError(f"{url}: {NO_PARTS.format(url)}") from error
        raise RemoteError(f"{url} cannot be read: {reason}.") from error


def file_system(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL, and the path in it.

    Arguments
    ---------
    url : str
        URL, also with several protocols as in ``simplecache::s3://…``.

    Returns
    -------
    tuple of (fsspec.AbstractFileSystem, str)

    Raises
    ------
    MissingExtra
        If fsspec or the library of the protocol is missing.
    """
    try:
        import fsspec.core
    except ImportError as error:
        raise MissingExtra(
            f'{url}: URLs are read by fsspec: pip install "s3prl_sb[remote]"'
        ) from error
    with naming(url):
        return fsspec.core.url_to_fs(url)


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
