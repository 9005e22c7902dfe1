"""Files below a folder, in an order that does not depend on the file system.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging
import os
import stat
from array import array
from collections import Counter

import numpy

from s3prl_sb.audio.audio_names import UNREADABLE, ending, is_audio
from s3prl_sb.errors import UserError
from s3prl_sb.unlabelled import remote
from s3prl_sb.unlabelled.shards import is_shard
from s3prl_sb.unlabelled.texts import Texts

logger = logging.getLogger(__name__)


class FolderError(UserError, OSError):
    """A folder that cannot be listed; the message names it."""


class Listing:
    """Paths with the size and the time of the last change of each file.

    Example
    -------
    >>> listing = Listing()
    >>> listing.add("a.wav", 32044, 1)
    >>> len(listing), listing.texts()[0], listing.sizes.tolist()
    (1, 'a.wav', [32044])
    """

    def __init__(self):
        self._blob, self._ends = bytearray(), array("q", [0])
        self._sizes, self._stamps = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, path: str, size: int, stamp: int) -> None:
        """Adds a file.

        Arguments
        ---------
        path : str
            Path relative to a folder, or an absolute one.
        size : int
            Bytes; -1 for a file that does not exist.
        stamp : int
            Time of the last change in nanoseconds, or another number of the version.
        """
        self._blob += os.fsencode(path)
        self._ends.append(len(self._blob))
        self._sizes.append(size)
        self._stamps.append(stamp)

    def texts(self) -> Texts:
        """Returns the paths."""
        blob = numpy.frombuffer(bytes(self._blob), numpy.uint8)
        return Texts(blob, numpy.array(self._ends, numpy.int64))

    @property
    def sizes(self) -> numpy.ndarray:
        """[files], int64: bytes."""
        return numpy.array(self._sizes, numpy.int64)

    @property
    def stamps(self) -> numpy.ndarray:
        """[files], int64: versions."""
        return numpy.array(self._stamps, numpy.int64)


def state(path: str) -> tuple[int, int]:
    """Returns the size of a file and the time of its last change in nanoseconds.

    Arguments
    ---------
    path : str
        Path or URL.

    Returns
    -------
    tuple of int
        (-1, 0) for a local file that does not exist, or is no regular one.
    """
    if remote.is_url(path):
        return remote.state(path)
    try:
        status = os.stat(path)
    except OSError:
        return -1, 0
    if not stat.S_ISREG(status.st_mode):
        return -1, 0
    return status.st_size, status.st_mtime_ns


def identity(path: str) -> str:
    """Returns a text that identifies a path, which may hold bytes that are not UTF-8.

    Arguments
    ---------
    path : str
        Path or URL.

    Returns
    -------
    str
    """
    real = path if remote.is_url(path) else os.path.realpath(path)
    return os.fsencode(real).hex()


def walk(folder: str) -> tuple[Listing, list[str], list[tuple[str, str]]]:
    """Finds the audio files and the shards below a folder.

    Symbolic links are followed, but no folder is visited twice. Names that begin with
    a dot are left out. A broken link, a pipe and a device have size -1.

    Arguments
    ---------
    folder : str
        Path or URL.

    Returns
    -------
    files : Listing
        Audio files, relative to the folder, sorted by the names at each level.
    shards : list of str
        Tars, relative to the folder, in the same order.
    unlisted : list of tuple
        Folders below that cannot be listed, relative and with a slash at the end, and
        why: those without permission, and those that vanish in the meantime.

    Raises
    ------
    FolderError
        If the folder itself cannot be listed.

    Example
    -------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.flac", "a.tar", "notes.txt"):
    ...         Path(folder, name).touch()
    ...     files, shards, _ = walk(folder)
    ...     list(files.texts()), shards
    (['b.flac'], ['a.tar'])
    """
    files, shards, skipped = Listing(), [], Counter()
    unlisted: list[tuple[str, str]] = []
    is_url = remote.is_url(folder)
    entries = remote.below(folder) if is_url else _below(folder, unlisted)
    for path, size, stamp in entries:
        if is_audio(path):
            files.add(path, size, stamp)
        elif is_shard(path):
            shards.append(path)
        elif ending(path) in UNREADABLE:
            skipped[ending(path)] += 1
    if skipped:
        kind = skipped.most_common(1)[0][0]
        logger.warning(
            "%s: %d files of sound cannot be read here and are left out (%s). Convert "
            "them: ffmpeg -i in%s out.wav",
            folder,
            skipped.total(),
            ", ".join(f"{count} {kind}" for kind, count in skipped.most_common()),
            kind,
        )
    return files, shards, unlisted


def _below(root, unlisted):
    """Yields (relative path, size, time) of the files below a folder, sorted, and adds
    the folders that cannot be listed to a list, with the reason."""
    try:
        visited, stack = _Visited(root), [_sorted(root, "")]
    except OSError as error:
        raise FolderError(
            f"{root} cannot be listed: {error.strerror}. Correct its permissions, or "
            "leave it out."
        ) from error
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        item, path = entry
        is_folder = False
        try:
            is_folder = item.is_dir()
            status = item.stat()
            if is_folder and visited.is_new(item, status):
                stack.append(_sorted(item.path, path + "/"))
        except OSError as error:
            if is_folder:
                unlisted.append((path + "/", f"cannot be listed: {error.strerror}"))
            else:  # a broken link
                yield path, -1, 0
            continue
        if is_folder:
            continue
        if stat.S_ISREG(status.st_mode):
            yield path, status.st_size, status.st_mtime_ns
        else:  # a pipe or a device, which may never end
            yield path, -1, 0


class _Visited:
    """Tells which folders a walk has not come to, and will not come to, otherwise.

    Only links lead to a folder twice. Their targets are remembered, and not the
    folders, of which there may be millions.
    """

    def __init__(self, root):
        self.roots = [os.path.realpath(root)]  # of the walk, and targets of links
        status = os.stat(root)
        self.identities = {(status.st_dev, status.st_ino)}

    def is_new(self, item, status):
        """Returns whether to visit a folder."""
        identity = status.st_dev, status.st_ino
        if identity in self.identities:
            return False
        if item.is_symlink():
            real = os.path.realpath(item.path)
            if any(map(functools.partial(_is_on_the_way, real), self.roots)):
                return False
            self.roots.append(real)
            self.identities.add(identity)
        return True


def _is_on_the_way(path, root):
    """Returns whether a walk of a folder comes to a path; hidden ones are left out."""
    inside = path.removeprefix(root.rstrip("/") + "/")
    return inside != path and "/." not in "/" + inside


def _sorted(folder, prefix):
    """Returns an iterator of (entry, relative path) of a folder, by their names."""
    with os.scandir(folder) as entries:
        items = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    shown = (item for item in items if not item.name.startswith("."))
    return ((item, prefix + item.name) for item in shown)
