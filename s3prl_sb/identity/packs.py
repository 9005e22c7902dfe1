"""Indexes of packs: tars of audio, beside each of which a file lists the members.

The name of a tar, ``train-00000-0123456789abcdef.tar``, has the beginning of the hash
of its list, so another content has another name. The index, ``….tar.index``, is JSON:
the size of the tar and, of each member, its name, first byte, size, SHA-256, sample
rate and number of samples.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from s3prl_sb.identity import digest, remote
from s3prl_sb.identity.locations import is_url, locate

logger = logging.getLogger(__name__)

ENDING = ".index"
FORMAT = 1
DIGITS = 16  # of the hash in the name of a tar
NAME = re.compile(rf"-([0-9a-f]{{{DIGITS}}})\.tar")


class Member(NamedTuple):
    """A member of a tar, as its index lists it."""

    name: str
    offset: int  #: first byte of its content in the tar
    size: int  #: bytes
    hash: str  #: SHA-256 of its content, 64 hexadecimal digits
    rate: int  #: Hz
    frames: int  #: samples of a channel


def label(members: Iterable[Member]) -> str:
    """Returns the digits in the name of a tar with these members.

    Example
    -------
    >>> label([Member("a.wav", 512, 44, "00" * 32, 16000, 0)])
    '064a66252edcdd3a'
    """
    return digest([list(member) for member in members])[:DIGITS]


def index_text(members: Iterable[Member], size: int) -> str:
    """Returns the content of an index.

    Arguments
    ---------
    members : list of Member
        Members in the order of the tar.
    size : int
        Bytes of the tar.

    Returns
    -------
    str
    """
    rows = ",\n".join(json.dumps(member) for member in members)
    return f'{{"format": {FORMAT}, "size": {size}, "members": [\n{rows}\n]}}\n'


def parsed(text: bytes | str) -> tuple[list[Member], int]:
    """Returns the members in an index, and the size of the tar.

    Arguments
    ---------
    text : str
        Content of the index.

    Returns
    -------
    tuple of (list of Member, int)

    Raises
    ------
    ValueError
        If it is no index.

    Example
    -------
    >>> member = Member("a.wav", 512, 44, "00" * 32, 16000, 0)
    >>> parsed(index_text([member], 10240)) == ([member], 10240)
    True
    """
    try:
        content: Any = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, not {FORMAT}")
        members = [Member(*row) for row in content["members"]]
        kinds = (str, int, int, str, int, int)
        if not all(all(map(isinstance, m, kinds)) for m in members):
            raise TypeError("a value of another type")
        return members, int(content["size"])
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"no index of a pack: {error}") from error


# ------------------------------------------------------------------- behind URLs
_indexes: dict[str, dict[int, Member]] = {}  # of this process


def indexes(names: Iterable[str]) -> None:
    """Reads the indexes of all remote packs that names of audio are in.

    Arguments
    ---------
    names : iterable of str
        Names of audio; those that are in no remote pack are ignored.
    """
    tars = {path for path, offset, _ in map(locate, names) if offset is not None}
    urls = sorted(url for url in tars if is_url(url) and NAME.search(url))
    if not urls:
        return
    remote.statuses(urls)
    with ThreadPoolExecutor(remote.THREADS) as pool:
        _indexes.update(zip(urls, pool.map(_index, urls)))


def member(name: str) -> Member | None:
    """Returns what the index of a remote pack says about a member.

    Arguments
    ---------
    name : str
        Name of audio.

    Returns
    -------
    Member or None
        None if it is in no pack whose index :func:`indexes` has read.
    """
    path, offset, size = locate(name)
    found = _indexes.get(path, {}).get(offset) if offset is not None else None
    return found if found is not None and found.size == size else None


def _index(url):
    """Returns the members of a remote tar by offset; none if its index is of another
    tar or absent."""
    listed = NAME.search(url)[1]
    try:
        members, size = parsed(remote.read(url + ENDING))
        if label(members) != listed or size != remote.status(url).size:
            raise ValueError("it is of another tar")
        last = members[-1]
        data = remote.read(url, last.offset, last.offset + last.size)
        if hashlib.sha256(data).hexdigest() != last.hash:
            raise ValueError("the tar has another content")
    except remote.MissingRemote:
        return {}
    except ValueError as error:
        logger.warning("%s%s is not used: %s", url, ENDING, error)
        return {}
    return {each.offset: each for each in members}
