"""Files and folders that appear whole or not at all, whoever else writes them.

What is being made is a :class:`Part`: a hidden folder beside the destination, locked by
who makes it. A second process that makes the same thing waits, or does something else
meanwhile. What a kill leaves has no lock, and the next one takes it over.

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
OLD = "replaced"  # where a folder goes that is being replaced
FILLING = "filling"  # what is whole, and moves into a folder that cannot be replaced
ABANDONED = 24 * 3600  # seconds after which a part without a lock is nobody's
_CWD, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)


class Part:
    """A file or folder in the making.

    Used as a context it waits for others that make the same; what was not published is
    deleted at its end.

    Arguments
    ---------
    destination : str
        The name that it gets when it is whole. Its folder is made if need be.

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
        #: Where to make it: a file, or a folder, which is not there yet.
        self.path = self.folder / NEW

    def claim(self, wait=True):
        """Begins, unless another process makes the same.

        Arguments
        ---------
        wait : bool
            Whether to wait until that has ended.

        Returns
        -------
        bool
            Whether it is ours to make.
        """
        if self.folder.is_file():  # of an older version
            self.folder.unlink(missing_ok=True)
        lock = Lock(self.folder / LOCK)
        try:
            if not lock.acquire(wait):
                return False
        except PermissionError:  # of another user, perhaps long dead
            lock.works = False
        if lock.works:
            self._lock = lock
            self._recover()
            self._clear()
        else:
            # Nothing tells the living from the dead but their age, and two may make
            # the same: each in a place of its own, the last one stays.
            lock.release(delete=True)
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            self._delete_abandoned()
            self._call(f".{self.destination.name}.{uuid.uuid4().hex[:12]}.part")
            self._lock = Lock(self.folder / LOCK)  # where it works, clear() sees it
            self._lock.acquire()
        return True

    def holder(self):
        """Who makes it, if another process does.

        Returns
        -------
        str
        """
        return Lock(self.folder / LOCK).holder()

    def publish(self, keep=None, sync=True):
        """Gives what was made its name.

        Arguments
        ---------
        keep : callable, optional
            Where a folder replaces another one: takes the name of what only the old
            one has, and says whether it comes along. Default: all does.
        sync : bool
            Whether to wait until the disk has it, in case the power fails.
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
                os.replace(self.path, self.destination)
        except OSError as error:
            # Something is mounted there: it can be filled, and not replaced.
            if error.errno not in (errno.EXDEV, errno.EBUSY):
                raise
            if is_folder:
                os.rename(self.path, self.folder / FILLING)
                self._fill()
            else:
                shutil.copyfile(self.path, self.destination)

    def close(self):
        """Ends: what was not published is deleted."""
        if self._lock is None or not self._lock.is_held():  # or a fork of who has begun
            return
        self._clear()
        self._lock.release(delete=True)
        with contextlib.suppress(OSError):  # another process has begun
            self.folder.rmdir()

    def _clear(self):
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name != LOCK:
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
        """Two folders at once; else there is none of that name for a moment."""
        if not _exchanged(self.path, self.destination):
            os.rename(self.destination, self.folder / OLD)
            os.rename(self.path, self.destination)

    def _fill(self):
        """Moves all into a folder; killed, another time from the start."""
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
        """After a kill in the moment of publishing: ends it, or undoes it."""
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
    """Ends or undoes a publishing that was killed: only then is there half a folder.

    Arguments
    ---------
    destination : str
        As of a :class:`Part`; who looks into it before making one calls this first.
    """
    part = Part(destination)
    if part.folder.is_dir() and part.claim(wait=False):
        part.close()


def clear(folder):
    """Deletes what killed processes have left of their parts in a folder.

    Arguments
    ---------
    folder : str
        Looked through at any depth; parts that somebody is at stay.
    """
    for place, folders, _ in os.walk(os.path.realpath(folder)):
        for name in folders:
            part = Part(Path(place, name.removeprefix(".").removesuffix(".part")))
            if part.folder.name == name and part.claim(wait=False):
                part.close()


def _is_current(folder):
    try:
        return os.path.samefile(folder, os.curdir)
    except OSError:  # one of them is not there
        return False


def _exchanged(one, other):
    """Whether two paths were exchanged, which Linux does at once."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return renameat2(_CWD, paths[0], _CWD, paths[1], _EXCHANGE) == 0


def _link(path, target):
    """The same file under a second name; a copy where there is no such thing."""
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
