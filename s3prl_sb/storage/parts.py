"""Atomic creation of files and folders, safe with several processes.

Unfinished work is a :class:`Part`: a hidden folder next to the destination, locked by
the process that makes it. Where locks do not reach all machines, each process has a
part of its own. A second process that makes the same thing waits, or does
something else meanwhile. The remains of a killed process have no lock, and the next
process takes them over.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import ctypes
import errno
import os
import shutil
import time
import uuid
from pathlib import Path

from s3prl_sb.storage.locks import Lock

LOCK, NEW = "lock", "new"
OLD = "replaced"  # the folder that is being replaced
FILLING = "filling"  # finished files that move into a folder that cannot be replaced
ABANDONED = 24 * 3600  # seconds after which a part without a lock is deleted
_CWD, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)


class Part:
    """An unfinished file or folder.

    As a context manager it waits for other processes that make the same thing; at the
    end it deletes what was not published.

    Arguments
    ---------
    destination : str
        Final path. Its folder is created if it does not exist.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Part(folder + "/a.txt") as part:
    ...         _ = part.path.write_text("hello")
    ...         part.publish()
    ...     os.listdir(folder)
    ['a.txt']
    """

    def __init__(self, destination):
        self.destination = Path(os.path.realpath(destination))
        self._call(f".{self.destination.name}.part")
        self._lock = None

    def __enter__(self):
        self.claim()
        return self

    def __exit__(self, *error):
        self.close()

    def _call(self, name):
        self.folder = self.destination.with_name(name)
        #: Path at which to create the file or folder.
        self.path = self.folder / NEW

    def claim(self, wait=True):
        """Acquires the part, unless another process is making the same thing.

        Arguments
        ---------
        wait : bool
            Whether to wait for that process.

        Returns
        -------
        bool
            True if this process holds the part.
        """
        if self.folder.is_file():  # left by an older version
            self.folder.unlink(missing_ok=True)
        lock = Lock(self.folder / LOCK)
        try:
            if not lock.acquire(wait):
                return False
        except PermissionError:  # belongs to another user, and may be abandoned
            lock.works = False
        if lock.works:
            self._lock = lock
            self._recover()
            self._clear()
        else:
            # Without locks only the age shows that a part is abandoned, and two
            # processes may make the same thing: each uses its own folder, and the
            # last one wins.
            lock.release(delete=True)
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            self._delete_abandoned()
            self._call(f".{self.destination.name}.{uuid.uuid4().hex[:12]}.part")
            self._lock = Lock(self.folder / LOCK)  # for clear(), if locks work here
            self._lock.acquire()
        return True

    def holder(self):
        """Returns a description of the process that makes it.

        Returns
        -------
        str
        """
        return Lock(self.folder / LOCK).holder()

    def publish(self, keep=None, sync=True):
        """Moves the finished file or folder to its destination.

        Arguments
        ---------
        keep : callable, optional
            For a folder that replaces another: maps a name that only the old folder
            has to whether it is kept. Default: everything is kept.
        sync : bool
            Whether to flush the files to the disk first.
        """
        is_folder = self.path.is_dir()
        paths = list(self.path.rglob("*")) if is_folder else [self.path]
        for path in paths if sync else ():
            if path.is_file():
                _sync(path)
        is_there = self.destination.is_dir() and any(self.destination.iterdir())
        try:
            if is_folder and _is_current(self.destination):  # a shell may be in it
                raise OSError(errno.EBUSY, "the current folder")
            if is_folder and is_there:
                self._take_along(keep)
                self._exchange()
            else:
                _replace(self.path, self.destination)
        except OSError as error:
            # The destination is a mount point or in use: it can be filled, but not
            # replaced.
            if error.errno not in (errno.EXDEV, errno.EBUSY):
                raise
            if is_folder:
                os.rename(self.path, self.folder / FILLING)
                self._fill()
            else:
                shutil.copyfile(self.path, self.destination)
                _sync(self.destination)

    def close(self):
        """Releases the part, and deletes what was not published."""
        if self._lock is None or not self._lock.is_held():  # a fork does not hold it
            return
        self._clear()
        self._lock.release(delete=True)
        with contextlib.suppress(OSError):  # another process has claimed it
            self.folder.rmdir()

    def _clear(self):
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            # NFS keeps files that are open elsewhere under such names.
            if path.name != LOCK and not path.name.startswith(".nfs"):
                _delete(path)

    def _take_along(self, keep):
        for path in sorted(self.destination.iterdir()):
            target = self.path / path.name
            if target.exists() or not (keep is None or keep(path.name)):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.copytree(path, target, symlinks=True, copy_function=_link)
            else:
                _link(path, target)

    def _exchange(self):
        """Replaces the destination, atomically where the system can exchange paths."""
        if not _exchanged(self.path, self.destination):
            os.rename(self.destination, self.folder / OLD)
            os.rename(self.path, self.destination)

    def _fill(self):
        """Moves the finished files into the destination; can be repeated."""
        for path in sorted((self.folder / FILLING).iterdir()):
            target = self.destination / path.name
            try:
                os.replace(path, target)
            except OSError:  # another disk, or a folder with something in it
                if path.is_dir():
                    shutil.copytree(path, target, dirs_exist_ok=True)
                else:
                    shutil.copy2(path, target)

    def _recover(self):
        """Completes or reverts a publication that was killed."""
        old = self.folder / OLD
        if old.exists() and not self.destination.exists():
            os.rename(old, self.destination)
        if (self.folder / FILLING).is_dir():
            self._fill()

    def _delete_abandoned(self):
        name, now = self.destination.name, time.time()
        for folder in self.destination.parent.glob(".*.part"):
            mine = folder.name.startswith(f".{name}.")
            with contextlib.suppress(OSError):
                if mine and now - folder.stat().st_mtime > ABANDONED:
                    _delete(folder)


def recover(destination):
    """Completes or reverts a publication that was killed.

    Arguments
    ---------
    destination : str
        See :class:`Part`. Call this before reading a destination without a part.
    """
    part = Part(destination)
    if part.folder.is_dir() and part.claim(wait=False):
        part.close()


def clear(folder):
    """Deletes parts of killed processes in a folder.

    Arguments
    ---------
    folder : str
        Folder to search at any depth; parts in use stay.
    """
    for place, folders, _ in os.walk(os.path.realpath(folder)):
        for name in folders:
            part = Part(Path(place, name.removeprefix(".").removesuffix(".part")))
            if part.folder.name == name and part.claim(wait=False):
                part.close()


def _is_current(folder):
    try:
        return os.path.samefile(folder, os.curdir)
    except OSError:  # one of them does not exist
        return False


def _exchanged(one, other):
    """Exchanges two paths atomically, on Linux; returns whether that worked."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return renameat2(_CWD, paths[0], _CWD, paths[1], _EXCHANGE) == 0


def _replace(path, destination):
    """Renames a file; a server whose first answer got lost says of the second try that
    there is no such file."""
    number = os.stat(path).st_ino
    try:
        os.replace(path, destination)
    except FileNotFoundError:
        if not destination.exists() or os.stat(destination).st_ino != number:
            raise


def _link(path, target):
    """Makes a hard link, or a copy where the file system has none."""
    try:
        os.link(path, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(path, target, follow_symlinks=False)


def _delete(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path):
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
