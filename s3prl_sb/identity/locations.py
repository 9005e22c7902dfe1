"""Names of audio: local files, URLs, and members of tars by their bytes.

=========================  =======================================================
``/data/a.wav``            local file
``https://host/a.wav``     URL of one of :data:`PROTOCOLS`, read by fsspec
``…/a.tar:1536:32044``     member of an uncompressed tar, local or behind a URL: its
                           first byte in the tar, and its size
=========================  =======================================================

Entries of arks, ``feats.ark:1234``, are in :mod:`s3prl_sb.identity.ark_names`.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from s3prl_sb.errors import SECRET, UserError
from s3prl_sb.identity import ark_names

#: Protocols of fsspec that only transfer bytes. Others interpret what they read.
PROTOCOLS = (
    "http https s3 s3a gs gcs az abfs abfss hf ftp sftp ssh webhdfs hdfs memory file "
    "simplecache filecache blockcache tar zip"
).split()
#: The ending tells a member from a file whose name has colons; signed URLs have a
#: query after it.
MEMBER = re.compile(r"(?a:(.+\.tar(?:\?\S*)?):(\d{1,18}):(\d{1,18}))", re.DOTALL)
#: Further parameters of signed URLs, which differ from one signature to the next.
SIGNED = re.compile(r"(X-Amz-|X-Goog-|Expires$|GoogleAccessId$|s[etvrp]$)", re.I)


class Location(NamedTuple):
    """Place of the bytes of an audio file."""

    path: str  #: local path or URL, of the tar for a member
    offset: int | None = None  #: first byte of a member in its tar
    size: int | None = None  #: bytes of a member


def locate(name: str) -> Location:
    """Splits the name of audio into a path and the bytes of a member.

    Arguments
    ---------
    name : str
        Name of audio, see this module.

    Returns
    -------
    Location

    Example
    -------
    >>> locate("s3://bucket/a.tar:1536:32044")
    Location(path='s3://bucket/a.tar', offset=1536, size=32044)
    >>> locate("a:1:2.wav").path, locate("a.wav").offset
    ('a:1:2.wav', None)
    """
    match = MEMBER.fullmatch(name) if name[-1:].isdigit() else None
    return Location(match[1], int(match[2]), int(match[3])) if match else Location(name)


def is_url(path: str) -> bool:
    """Returns whether a path is a URL.

    Example
    -------
    >>> is_url("s3://bucket/audio"), is_url("/data/audio")
    (True, False)
    """
    return "://" in path


def no_file(path: str) -> str:
    """Returns the error of a table or list that is not there; it may be a URL.

    Example
    -------
    >>> no_file("https://host/a.csv")
    'https://host/a.csv: tables and manifests are read from local files. Copy it here.'
    """
    if is_url(path):
        return f"{path}: tables and manifests are read from local files. Copy it here."
    return f"{path}: no such file"


def is_file(name: str) -> bool:
    """Returns whether a name is that of a whole local file, which may not exist."""
    return not is_url(name) and locate(name).offset is None


def check_protocol(url: str) -> None:
    """Refuses URLs of protocols that do more than transfer bytes.

    Arguments
    ---------
    url : str
        URL, also with several protocols as in ``simplecache::s3://…``.

    Raises
    ------
    UserError
        For a protocol that is not in :data:`PROTOCOLS`.

    Example
    -------
    >>> check_protocol("reference://a.json")
    Traceback (most recent call last):
    ...
    s3prl_sb.errors.UserError: reference://a.json: audio is not read by the …
    """
    for part in url.split("::"):
        protocol = part.partition("://")[0]
        if protocol.lower() not in PROTOCOLS:
            raise UserError(
                f"{url}: audio is not read by the protocol '{protocol}'. Use one of "
                f"{', '.join(PROTOCOLS)}."
            )


def in_folder(name: str, folder: str) -> str:
    """Returns an absolute name of audio.

    Arguments
    ---------
    name : str
        Name of audio; a relative path starts at the folder.
    folder : str
        Absolute path.

    Returns
    -------
    str

    Example
    -------
    >>> in_folder("b/../a.tar:0:9", "/data"), in_folder("s3://b//a.wav", "/data")
    ('/data/a.tar:0:9', 's3://b//a.wav')
    """
    return name if is_url(name) else os.path.normpath(os.path.join(folder, name))


def stable(url: str) -> str:
    """Returns a URL without log-in, signature and expiry, for identities.

    Example
    -------
    >>> stable("https://me:secret@host/a.wav?id=3&X-Amz-Signature=12&Expires=9")
    'https://host/a.wav?id=3'
    """
    parts = urlsplit(url)
    query = "&".join(
        item
        for item in parts.query.split("&")
        if not (SECRET.search(f"?{item}") or SIGNED.match(item.partition("=")[0]))
    )
    host = parts.netloc.rpartition("@")[2]
    # Of HTTP a fragment is not sent; elsewhere it is part of the name.
    fragment = "" if parts.scheme in ("http", "https") else parts.fragment
    return urlunsplit((parts.scheme, host, parts.path, query, fragment))


def default_id(name: str) -> str:
    """Returns the name of audio without its extension, protocol and query.

    Example
    -------
    >>> default_id("a/b.wav"), default_id("https://u:p@host/a.wav?sig=1")
    ('a/b', 'host/a')
    >>> default_id("a.tar:1:2")
    'a.tar:1:2'
    """
    path, offset, size = locate(name)
    if is_url(path):
        path = stable(path).partition("?")[0].rpartition("://")[2]
    if offset is not None:
        return f"{path}:{offset}:{size}"
    return os.path.splitext(path)[0]


def container(name: str) -> str:
    """Returns the file or URL that has the bytes of audio or of an ark's entry."""
    return locate(ark_names.split(name)[0]).path
