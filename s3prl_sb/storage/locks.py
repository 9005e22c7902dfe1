"""Locks that the end of their holder frees, whatever ends it.

The kernel keeps them (``flock``), not a file's being there: ``kill -9`` frees a lock at
once, numbers of processes that are used again do no harm, and on network file systems
machines see each other's.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import logging
import os
import socket
import time
from pathlib import Path

from s3prl_sb.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: as a file system without locks
    fcntl = None

logger = logging.getLogger(__name__)

QUIET = 1.0  # seconds after which somebody is told what is waited for
RUN = "run.lock"  # in a folder that a process works in
_held = set()  # locks of this process
_occupied = {}  # folder -> its lock, until this process ends
_hooks = []  # what a fork calls, once a lock was taken


class OccupiedError(UserError, RuntimeError):
    """A folder that another process works in."""


class Lock:
    """A lock on a file, held until it is released or the process ends.

    Children do not hold it: a fork lets go of its copy.

    Arguments
    ---------
    path : str
        The file; it and its folder are made if need be.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     one, other = (Lock(folder + "/lock") for _ in range(2))
    ...     print(one.acquire(), other.acquire(wait=False))
    ...     one.release()
    ...     print(other.acquire(wait=False))
    ...     other.release()
    True False
    True
    """

    def __init__(self, path):
        self.path = Path(path)
        self.works = True  #: whether the file system has locks
        self._file = None

    def acquire(self, wait=True):
        """Takes the lock.

        Arguments
        ---------
        wait : bool
            Whether to wait for who holds it.

        Returns
        -------
        bool
            Whether it is ours now. On a file system without locks it always is, and
            :attr:`works` is False.
        """
        while True:
            file = self._open()
            try:
                self._lock(file, wait)
                is_ours = self._is_still(file)
            except BlockingIOError:
                os.close(file)
                return False
            except BaseException:
                os.close(file)
                raise
            if is_ours:
                break
            os.close(file)  # who held it has deleted the file
        self._file = file
        _held.add(self)
        if not _hooks and hasattr(os, "register_at_fork"):
            _hooks.append(_let_go)
            os.register_at_fork(after_in_child=_let_go)
        with contextlib.suppress(OSError):  # the disk is full: nobody is told
            os.truncate(file, 0)
            os.write(file, _about().encode())
        return True

    def release(self, delete=False):
        """Gives the lock back.

        Arguments
        ---------
        delete : bool
            Whether its file goes too.
        """
        if not self.is_held():
            return
        if delete:
            with contextlib.suppress(OSError):
                self.path.unlink()
        if self.works and fcntl is not None:  # not when a child has let go of its copy
            fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)
        self._file = None
        _held.discard(self)

    def __enter__(self):
        self.acquire()
        if not self.works:
            logger.warning("No locks here: start no second process. %s", self.path)
        return self

    def __exit__(self, *error):
        self.release(delete=True)

    def is_held(self):
        """Whether this process has the lock.

        Returns
        -------
        bool
        """
        return self._file is not None

    def fileno(self):
        """The open file, for a child that is to hold the lock too.

        Returns
        -------
        int
        """
        return self._file

    def holder(self):
        """Who has the lock, or had it last.

        Returns
        -------
        str
            Such as "process 12 on host, since 2026-11-28 09:30:00".
        """
        try:
            return self.path.read_text("utf-8", "replace").strip() or "a process"
        except OSError:
            return "a process"

    def _open(self):
        while True:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except (FileNotFoundError, FileExistsError):
                if self.path.parent.is_file():
                    raise
                # The folder was deleted in between.

    def _lock(self, file, wait):
        end = time.monotonic() + QUIET
        while fcntl is not None:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
            except OSError:
                break
            if time.monotonic() > end:
                logger.warning("Waits for %s: it has %s", self.holder(), self.path)
                return fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(QUIET / 50)
        self.works = False

    def _is_still(self, file):
        """Whether the locked file is the one of that name."""
        try:
            return os.path.samestat(os.fstat(file), os.stat(self.path))
        except FileNotFoundError:
            return False


def occupy(folder):
    """Keeps other processes out of a folder until this one ends.

    Arguments
    ---------
    folder : str
        Made if need be. Again for one that this process has already is no error.

    Raises
    ------
    OccupiedError
        If another process works in it; says which.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     occupy(folder)
    ...     os.listdir(folder)
    ['run.lock']
    """
    folder = Path(os.path.realpath(folder))
    if folder in _occupied:
        return
    lock = Lock(folder / RUN)
    if not lock.acquire(wait=False):
        raise OccupiedError(
            f"'{folder}' is in use by {lock.holder()}. Wait until that has ended, or "
            "end it; or give another output_folder."
        )
    if not lock.works:
        logger.warning(
            "The file system of '%s' has no locks: start no second run in it.", folder
        )
    _occupied[folder] = lock


def _about():
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()}, since {since}\n"


def _let_go():
    """In a fork: the locks are the parent's."""
    for lock in _held:
        os.close(lock._file)
        lock._file = None
    _held.clear()
    _occupied.clear()
