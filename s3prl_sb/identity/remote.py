"""Bytes behind URLs, which fsspec reads: s3://, gs://, https://, hf://, memory://, …

A file is read by ranges
of bytes, so that the header of an archive's member, or a crop, does not cost the whole
file. ``simplecache::https://…`` keeps a copy of each file on this machine.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import posixpath
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from s3prl_sb.errors import MissingExtra, UserError, without_secrets
from s3prl_sb.identity.locations import check_protocol, is_url
from s3prl_sb.identity.requests import code, in_threads, retried

TIMEOUT = 60  # seconds without a byte, of HTTP
HEADERS = {"Accept-Encoding": "identity"}  # ranges are of the file itself
WORTH_LISTING = 64  # files in one folder that are looked up by listing it
NO_PARTS = (
    "the server does not serve parts of files. simplecache::{} keeps a copy of the "
    "whole file here."
)
#: Extras with the library of a protocol.
EXTRAS = {"http": "http", "https": "http", "s3": "s3", "s3a": "s3"}
EXTRAS.update(gs="gcs", gcs="gcs")
#: Keys of a file's information that change with its content, in listings too.
VERSIONS = "ETag etag generation md5Hash Content-MD5 Digest".split()
TIMES = (
    "LastModified Last-Modified last_modified updated mtime modified created".split()
)


class RemoteError(UserError, OSError):
    """A URL that cannot be read; the message names it."""


class MissingRemote(RemoteError, FileNotFoundError):
    """A URL behind which there is no file that may be read."""


class Status(NamedTuple):
    """Information about a file behind a URL."""

    size: int | None  #: bytes
    version: str | None  #: changes with the content
    modified: float | None = None  #: seconds since the epoch


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
    # The libraries' own errors may show the secrets of a URL: they are not chained.
    shown = without_secrets(url)
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        protocol = url.rpartition("::")[2].partition("://")[0].lower()
        extra = EXTRAS.get(protocol)
        fix = f'pip install "s3prl_sb[{extra}]"' if extra else "Install it."
        raise MissingExtra(
            f"{shown}: {error}. fsspec reads a protocol with a library of its own, "
            f"such as s3fs, gcsfs or aiohttp: {fix}"
        ) from None
    except FileNotFoundError:
        raise MissingRemote(f"{shown}: no such file or folder.") from None
    except Exception as error:  # each file system has its own kinds
        reason = without_secrets(str(error)) or type(error).__name__
        if "range requests" in reason:
            raise RemoteError(f"{shown}: {NO_PARTS.format(shown)}") from None
        if code(error) == 412:
            reason = "it has changed since it was looked up. Start again"
        refused = isinstance(error, PermissionError) or code(error) in (401, 403)
        kind = MissingRemote if refused else RemoteError
        raise kind(f"{shown} cannot be read: {reason}.") from None


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
    UserError
        If the protocol is not one that transfers bytes.
    """
    check_protocol(url)
    try:
        import fsspec.core
    except ImportError as error:
        raise MissingExtra(
            f'{url}: URLs are read by fsspec: pip install "s3prl_sb[remote]"'
        ) from error
    with naming(url):
        options: dict[str, Any] = {}
        if "::" not in url:
            options["use_listings_cache"] = False  # a changed file is noticed
            if url.lower().startswith("http"):
                options.update(_http_options())
        return fsspec.core.url_to_fs(url, **options)


def _http_options():
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT)
    return {
        "headers": HEADERS,
        "client_kwargs": {
            "timeout": timeout,
            "trust_env": True,  # proxies, netrc
            "raise_for_status": _check_range,
        },
    }


async def _check_range(response):
    """Refuses another part of a file than was asked for, of the same size."""
    asked = response.request_info.headers.get("Range", "").partition("=")[2]
    came = response.headers.get("Content-Range", "").partition(" ")[2]
    if response.status == 206 and came.partition("-")[0] != asked.partition("-")[0]:
        raise ConnectionError(f"the server sent bytes {came} instead of {asked}")


# -------------------------------------------------------------------------- versions
_statuses: dict[str, Status] = {}  # of this process, from the last look


def statuses(urls: Iterable[str], again: bool = True) -> dict[str, Status | UserError]:
    """Looks files behind URLs up, many of a folder with one request where possible.

    Arguments
    ---------
    urls : iterable of str
        The URLs.
    again : bool
        Whether to look up again what this process has looked up.

    Returns
    -------
    dict
        Each URL to its :class:`Status`, or to an error if there is no such file or it
        may not be read.

    Raises
    ------
    RemoteError
        If a server cannot be reached.
    """
    folders: dict[str, list[str]] = {}
    results: dict[str, Status | UserError] = {}
    for url in dict.fromkeys(urls):
        if url in _statuses and not again:
            results[url] = _statuses[url]
        else:
            folders.setdefault(posixpath.dirname(url), []).append(url)
    single = []
    for folder, members in folders.items():
        listing = {}
        if len(members) >= WORTH_LISTING and not folder.lower().startswith("http"):
            listing = _listed(folder)
        for url in members:
            status = listing.get(posixpath.basename(url))
            if status is None:
                single.append(url)
            else:
                results[url] = status
    results.update(zip(single, in_threads(_look, single)))
    _statuses.update((u, s) for u, s in results.items() if isinstance(s, Status))
    return results


def status(url: str) -> Status:
    """Returns the status of a file, of the last :func:`statuses` if it was there.

    Arguments
    ---------
    url : str
        The URL.

    Returns
    -------
    Status

    Raises
    ------
    RemoteError
        If it cannot be read.
    """
    if url not in _statuses:
        result = statuses([url])[url]
        if isinstance(result, UserError):
            raise result
    return _statuses[url]


def known(url: str) -> Status | None:
    """Returns the status of a file when it was last looked up, None if it never was."""
    return _statuses.get(url)


def _listed(folder):
    """Returns the statuses of the files that a folder lists, by name."""
    try:
        system, path = file_system(folder)
        with naming(folder):
            infos = retried(lambda: system.ls(path, detail=True))
    except UserError:
        return {}
    return {
        posixpath.basename(info["name"]): _own_status(folder, info)
        for info in infos
        if info.get("type") == "file"
    }


def _look(url):
    try:
        system, path = file_system(url)
        with naming(url):
            info = retried(lambda: system.info(path))
            if info.get("type") == "directory":
                raise IsADirectoryError(f"{url} is a folder")
            return _own_status(url, info)
    except MissingRemote as error:
        return error


def _own_status(url, info):
    """Returns the status of what is read: a copy on this machine may be of an older
    version than the server tells."""
    status = as_status(info)
    return status._replace(version=None) if "::" in url else status


def as_status(info: dict[str, Any]) -> Status:
    """Returns the status in a file system's information about a file.

    Arguments
    ---------
    info : dict
        Element of a listing of fsspec.

    Returns
    -------
    Status

    Example
    -------
    >>> as_status({"size": 9, "ETag": '"12"', "Last-Modified": "x"}).version
    'ETag "12"'
    >>> as_status({"size": 9, "ETag": 'W/"12"'}).version is None
    True
    """
    versions = [
        f"{key} {info[key]}"
        for key in VERSIONS
        if info.get(key) and not str(info[key]).startswith("W/")  # a weak tag
    ]
    times = [f"{key} {info[key]}" for key in TIMES if info.get(key)]
    moments = [_seconds(info[key]) for key in TIMES if info.get(key)]
    return Status(info.get("size"), next(iter(versions + times), None), *moments[:1])


def _seconds(moment):
    """Returns a time of a listing as seconds since the epoch, None if it is unclear."""
    import email.utils  # slow, and local files need none of it

    with contextlib.suppress(ValueError, TypeError):
        if isinstance(moment, (int, float)):
            return float(moment)
        if isinstance(moment, datetime):
            return moment.timestamp()
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(moment).timestamp()
        return email.utils.parsedate_to_datetime(moment).timestamp()
    return None


# --------------------------------------------------------------------------- content
def read(url: str, start: int = 0, stop: int | None = None) -> bytes:
    """Reads a file behind a URL, or a range of its bytes.

    Arguments
    ---------
    url : str
        The URL.
    start, stop : int, optional
        Range of bytes. Default: the whole file.

    Returns
    -------
    bytes
        ``stop - start`` bytes exactly.

    Raises
    ------
    RemoteError
        If it cannot be read, or has not as many bytes.
    """
    if stop == start:
        return b""
    system, path = file_system(url)
    size, version, _ = known(url) or Status(None, None)
    options: dict[str, Any] = {}
    if url.lower().startswith("http") and version and version.startswith('ETag "'):
        options["headers"] = {**HEADERS, "If-Match": version.partition(" ")[2]}

    def request():
        if stop is None:
            data = system.cat_file(path, **options)
            wanted = len(data) if size is None else size
        else:
            data = system.cat_file(path, start=start, end=stop, **options)
            wanted = stop - start
            if len(data) > wanted:  # a server that ignores ranges
                data = data[start:stop]
        if len(data) != wanted:
            raise ConnectionError(
                f"{len(data)} bytes came instead of {wanted}: cut off, or changed"
            )
        return data

    with naming(url):
        return retried(request)
