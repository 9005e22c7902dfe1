"""Tar shards, as WebDataset writes them: audio files with random access.

A pass over the headers of an uncompressed tar gives the place of every member, which
is then read like a file of its own. Shards need no shuffle buffer and no division
among workers.

Authors
 * The s3prl_sb developers, 2026
"""

import io
import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.errors import UserError
from s3prl_sb.unlabelled import remote

#: First bytes of compressed files, the program that unpacks them, and their endings.
PACKED = (
    (b"\x1f\x8b", "gunzip -k", (".tar.gz", ".tgz")),
    (b"BZh", "bunzip2 -k", (".tar.bz2", ".tbz2", ".tbz")),
    (b"\xfd7zXZ", "unxz -k", (".tar.xz", ".txz")),
    (b"\x28\xb5\x2f\xfd", "unzstd", (".tar.zst", ".tzst")),
)
PACKED_ENDINGS = tuple(ending for _, _, few in PACKED for ending in few)


class ShardError(UserError, ValueError):
    """A tar that cannot be read; the message names it and the fix."""


class Member(NamedTuple):
    """A file in a tar."""

    name: str
    offset: int  #: first byte of its content in the tar
    size: int  #: bytes


def is_shard(path: str) -> bool:
    """Returns whether a name is that of a tar, compressed or not.

    Example
    -------
    >>> [is_shard(name) for name in ("a-000.tar", "a.tar.gz", "a.wav", "._a.tar")]
    [True, True, False, False]
    """
    name = path.rsplit("/", 1)[-1].lower()
    return name.endswith((".tar", *PACKED_ENDINGS)) and not name.startswith(".")


def opened(path: str, block: int | None = None) -> BinaryIO:
    """Opens a local file, or one behind a URL.

    Arguments
    ---------
    path : str
        Path or URL.
    block : int, optional
        See :func:`s3prl_sb.unlabelled.remote.opened`.

    Returns
    -------
    file object
        Seekable.

    Raises
    ------
    ShardError
        If it is no file, or its permissions forbid to read it.
    """
    if remote.is_url(path):
        return remote.opened(path, block)
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe never ends
        raise ShardError(f"{path} is not a file. Leave it out.")
    try:
        return open(os.fsencode(path), "rb")
    except OSError as error:
        raise ShardError(
            f"{path} cannot be opened: {error.strerror}. Correct the link or the "
            "permissions, or leave it out."
        ) from error


def members(path: str, file: BinaryIO) -> Iterator[Member]:
    """Yields the audio files in a tar.

    Arguments
    ---------
    path : str
        Path or URL of the tar, for errors.
    file : file object
        The tar, open and seekable.

    Yields
    ------
    Member
        In the order of the tar.

    Raises
    ------
    ShardError
        If it is compressed, cut off, damaged or not a tar.

    Example
    -------
    >>> file = io.BytesIO()
    >>> with tarfile.open(fileobj=file, mode="w") as tar:
    ...     member = tarfile.TarInfo("speaker/a.flac")
    ...     member.size = 5
    ...     tar.addfile(member, io.BytesIO(b"12345"))
    >>> list(members("shard.tar", file))
    [Member(name='speaker/a.flac', offset=512, size=5)]
    """
    total = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(6)
    for start, command, _ in PACKED:
        if head.startswith(start):
            name = path.rsplit("/", 1)[-1]
            raise ShardError(
                f"{path} is compressed, so that its members cannot be read one by one "
                f"(and audio hardly shrinks). Unpack it once: {command} '{name}'"
            )
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                if not info.isreg() or not is_audio(info.name):
                    continue
                if info.issparse():
                    raise ShardError(
                        f"{path}: {info.name} is stored with holes (tar --sparse), so "
                        "that it cannot be read in place. Pack it without --sparse."
                    )
                if info.offset_data + info.size > total:
                    raise ShardError(
                        f"{path} is cut off at byte {total}, within {info.name}. Get "
                        "a sound copy of it."
                    )
                yield Member(info.name, info.offset_data, info.size)
            file.seek(tar.offset)  # tarfile takes a damaged header for the end
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise ShardError(
                    f"{path} is damaged at byte {tar.offset}, where a member begins. "
                    "Get a sound copy of it."
                )
    except (tarfile.TarError, EOFError) as error:
        raise ShardError(
            f"{path} is not a tar, or damaged: {error}. Get a sound copy of it, or "
            "leave it out."
        ) from error


class Window(io.RawIOBase):
    """Part of a file, as a file.

    Arguments
    ---------
    file : file object
        The whole file, seekable. It stays open.
    offset, size : int
        First byte of the part, and its bytes.

    Example
    -------
    >>> window = Window(io.BytesIO(b"0123456789"), 2, 5)
    >>> window.seek(3), window.read(), window.seek(-4, os.SEEK_END), window.read(2)
    (3, b'56', 1, b'34')
    """

    def __init__(self, file: BinaryIO, offset: int, size: int):
        self.file, self.offset, self.size, self.place = file, offset, size, 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def tell(self) -> int:
        """Returns the position in the part."""
        return self.place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to a position in the part, and returns it."""
        base = (0, self.place, self.size)[whence]
        self.place = max(base + offset, 0)
        return self.place

    def readinto(self, buffer) -> int:
        """Reads bytes into a buffer, and returns their number."""
        view = memoryview(buffer).cast("B")
        count = max(min(len(view), self.size - self.place), 0)
        self.file.seek(self.offset + self.place)
        data = self.file.read(count)
        view[: len(data)] = data
        self.place += len(data)
        return len(data)
