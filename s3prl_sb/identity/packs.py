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
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from s3prl_sb.identity import digest, remote
from s3prl_sb.identity.locations import is_url, locate
from s3prl_sb.identity.requests import in_threads

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
    >>> member = Member("a.wav", 512, 46, "00" * 32, 16000, 1)
    >>> parsed(index_text([member], 10240)) == ([member], 10240)
    True
    """
    try:
        content: Any = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, not {FORMAT}")
        members, size = [Member(*row) for row in content["members"]], content["size"]
        for member in members:
            if not _is_sound(member, size):
                raise TypeError(f"{member.name!r} cannot be in a tar of {size!r} bytes")
        return members, size
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"no index of a pack: {error}") from error


def _is_sound(member, size):
    name, *numbers, hash_, rate, frames = member
    numbers = (*numbers, rate, frames, size)
    return (
        {type(name), type(hash_)} == {str}
        and all(type(number) is int and 0 <= number < 1 << 63 for number in numbers)
        and member.offset + member.size <= size
        and min(rate, frames) > 0
        and re.fullmatch("[0-9a-f]{64}", hash_) is not None
    )


# ------------------------------------------------------------------- behind URLs
def listed(names: Iterable[str]) -> Iterator[tuple[str, Member]]:
    """Yields what the indexes of remote packs say about audio.

    Arguments
    ---------
    names : iterable of str
        Names of audio; those that are in no remote pack, or whose index does not fit
        its tar, are left out.

    Yields
    ------
    tuple of (str, Member)
        A name and the member.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        path, offset, _ = locate(name)
        if offset is not None and is_url(path) and NAME.search(path):
            groups.setdefault(path, []).append(name)
    remote.statuses(groups)
    for group, members in zip(groups.values(), in_threads(_index, groups)):
        for name in group:
            _, offset, size = locate(name)
            member = members.get(offset)
            if member is not None and member.size == size:
                yield name, member


def _index(url):
    """Returns the members of a remote tar by offset; none if its index is of another
    tar or absent."""
    try:
        path, mark, query = url.partition("?")
        members, size = parsed(remote.read(path + ENDING + mark + query))
        fits = label(members) == NAME.search(url)[1] and size == remote.status(url).size
        if not (members and fits):
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
    return {member.offset: member for member in members}
