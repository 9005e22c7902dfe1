"""Opening audio by its name: local files, URLs and members of tars.

A whole file is read with one request. A segment of a long WAV or FLAC is read by
ranges of bytes; other formats are read whole, since their length is only known then.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import functools
import io
import os

from s3prl_sb.errors import UserError
from s3prl_sb.identity import remote
from s3prl_sb.identity.locations import is_file, is_url, locate

# Audio counts by its content.
COMPUTES = False

SMALL = 1 << 20  # bytes up to which a file is read whole
BLOCK = 1 << 18  # bytes of a range
BLOCKS = 64  # ranges that a process keeps: headers of recordings with many segments


@contextlib.contextmanager
def opened(name, whole=True):
    """Opens audio for reading.

    Arguments
    ---------
    name : str
        Name of audio, see :mod:`s3prl_sb.identity.locations`.
    whole : bool
        Whether all of it will be read.

    Yields
    ------
    str or binary file
        The name itself of a local file; otherwise an open and seekable file.

    Raises
    ------
    OSError
        If it does not exist, or cannot be read.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".tar") as tar:
    ...     _ = tar.write(b"0123456789")
    ...     tar.flush()
    ...     with opened(tar.name + ":2:5") as file:
    ...         file.read()
    b'23456'
    """
    if is_file(name):
        yield name
        return
    path, offset, size = locate(name)
    if not is_url(path):
        with open(os.fsencode(path), "rb") as tar:
            if os.fstat(tar.fileno()).st_size < offset + size:
                raise OSError(f"{path} ends before byte {offset + size}: it is cut off")
            tar.seek(offset)
            yield io.BytesIO(tar.read(size))
        return
    file = _remote(path, offset, size, whole)
    try:
        yield file
    finally:
        if isinstance(file, Ranges) and file.error is not None:
            raise file.error


def _remote(url, offset, size, whole):
    if size is None and not whole:
        size = remote.status(url).size
        whole = size is None
    offset = offset or 0
    if not (whole or size <= SMALL):
        file = Ranges(url, offset, size)
        head = file.read(4)
        # Ogg and MP3 are inspected from start to end.
        if not head.startswith((b"OggS", b"ID3", b"\xff")):
            file.seek(0)
            return file
    stop = None if size is None else offset + size
    return io.BytesIO(remote.read(url, offset, stop))


class Ranges(io.RawIOBase):
    """Part of a file behind a URL, read by ranges.

    Arguments
    ---------
    url : str
        The URL.
    offset, size : int
        First byte of the part, and its bytes.

    Attributes
    ----------
    error : UserError or None
        Failure of a request, which libsndfile takes for the end of the file.
    """

    def __init__(self, url, offset, size):
        self.url, self.offset, self.size = url, offset, size
        self.place, self.error = 0, None

    def readable(self):
        """Returns True."""
        return True

    def seekable(self):
        """Returns True."""
        return True

    def tell(self):
        """Returns the position in the part."""
        return self.place

    def seek(self, offset, whence=io.SEEK_SET):
        """Moves to a position in the part, and returns it."""
        self.place = max((0, self.place, self.size)[whence] + offset, 0)
        return self.place

    def readinto(self, buffer):
        """Reads bytes into a buffer, and returns their number."""
        view = memoryview(buffer).cast("B")
        wanted = max(min(len(view), self.size - self.place), 0)
        done = 0
        while done < wanted and self.error is None:
            first = self.place // BLOCK * BLOCK
            last = min(first + BLOCK, self.size)
            try:
                ends = self.offset + first, self.offset + last
                data = _block(self.url, *ends, remote.known(self.url))
            except UserError as error:
                self.error = error
                break
            part = data[self.place - first :][: wanted - done]
            view[done : done + len(part)] = part
            self.place, done = self.place + len(part), done + len(part)
        return done


@functools.lru_cache(BLOCKS)
def _block(url, start, stop, status):
    """Returns a part of a file, as long as the file is not known to have changed."""
    return remote.read(url, start, stop)
