"""Identity of audio behind URLs, without reading it where the server knows a version.

A member of a pack counts by its content, which the index knows: it has the identity of
the file that was packed. Another file counts by its URL without log-in and signature,
its size, and its entity tag, or the time of its last change. The content of a file
counts where the server says neither.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
from collections.abc import Iterable

from s3prl_sb.identity import digest, packs, remote
from s3prl_sb.identity.locations import locate, stable
from s3prl_sb.identity.requests import in_threads


def hashes(urls: Iterable[str], skip: bool = False) -> dict[str, str]:
    """Returns the identities of audio behind URLs.

    Arguments
    ---------
    urls : iterable of str
        URLs, and members of tars behind URLs.
    skip : bool
        Whether to leave missing files out, instead of an error.

    Returns
    -------
    dict
        Each URL, unchanged, to 64 hexadecimal digits.

    Raises
    ------
    s3prl_sb.identity.remote.RemoteError
        If a file is missing, or a server cannot be reached.
    """
    urls = list(urls)
    known = {url: member.hash for url, member in packs.listed(urls)}
    unknown = [url for url in urls if url not in known]
    statuses = remote.statuses(locate(url).path for url in unknown)

    def identity(url):
        path, offset, size = locate(url)
        status = statuses[path]
        if not isinstance(status, remote.Status):
            if skip:
                return None
            raise status
        if status.version is None:
            return hashlib.sha256(_content(url)).hexdigest()
        return digest([stable(path), offset, size, status.size, status.version])

    known.update(zip(unknown, in_threads(identity, unknown)))
    return {url: known[url] for url in urls if known[url] is not None}


def _content(name):
    path, offset, size = locate(name)
    if offset is None:
        return remote.read(path)
    return remote.read(path, offset, offset + size)
