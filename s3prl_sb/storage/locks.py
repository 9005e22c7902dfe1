"""Locks that are released when their process ends, also by ``kill -9``.

The kernel keeps them (``flock``). They do not depend on the existence of a file or on
process ids, and on network file systems they work across machines, unless the mount
says that they hold on one machine only.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import errno
import logging
import os
import re
import socket
import time
from pathlib import Path

from s3prl_sb.errors import UserError

try:
    import fcntl
except ImportError:  # Windows is treated as a file system without locks
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

QUIET = 1.0  # seconds of waiting before a warning
ATTEMPTS = 1000  # to make a folder that other processes delete
#: Errors for a file that another process, perhaps on another machine, has deleted.
GONE = (errno.ENOENT, errno.ESTALE)
MOUNTS = "/proc/self/mountinfo"
#: Options of NFS and Lustre: locks hold on this machine only.
LOCAL = re.compile(r"(^|,)(nolock|local_lock=(all|flock)|localflock)(,|$)")
RUN = "run.lock"  # lock file of a folder in use
_held: set["Lock"] = set()  # locks of this process
_occupied: dict[Path, "Lock"] = {}  # folder -> its lock, until this process ends
_hooks: list = []  # fork hooks, registered with the first lock


class OccupiedError(UserError, RuntimeError):
    """A folder that another process uses."""


class Lock:
    """A lock on a file, held until it is released or the process ends.

    Forked children do not hold it: they close their copy.

    Arguments
    ---------
    path : str
        The file; it and its folder are created if they do not exist.

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
        #: Whether the file system has locks, across machines if it is of a network.
        self.works = True
        self._file = None

    def acquire(self, wait=True):
        """Acquires the lock.

        Arguments
        ---------
        wait : bool
            Whether to wait for the holder.

        Returns
        -------
        bool
            True if this process now holds it. Always true on a file system without
            locks, where :attr:`works` is False.
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
            os.close(file)  # the previous holder has deleted the file
        self._file = file
        _held.add(self)
        if not _hooks and hasattr(os, "register_at_fork"):
            _hooks.append(_close_in_child)
            os.register_at_fork(after_in_child=_close_in_child)
        with contextlib.suppress(OSError):  # a full disk: the holder is not recorded
            os.truncate(file, 0)
            os.write(file, _holder_line().encode())
        return True

    def release(self, delete=False):
        """Releases the lock.

        Arguments
        ---------
        delete : bool
            Whether to delete its file.
        """
        if not self.is_held():
            return
        if delete:
            with contextlib.suppress(OSError):
                self.path.unlink()
        if fcntl is not None:  # children only close their copy
            with contextlib.suppress(OSError):
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
        """Returns whether this process holds the lock.

        Returns
        -------
        bool
        """
        return self._file is not None

    def fileno(self):
        """Returns the file descriptor, for a child that shares the lock.

        Returns
        -------
        int
        """
        return self._file

    def holder(self):
        """Returns a description of the current or last holder.

        Returns
        -------
        str
            For example "process 12 on host, since 2026-11-28 09:30:00".
        """
        try:
            return self.path.read_text("utf-8", "replace").strip() or "a process"
        except OSError:
            return "a process"

    def _open(self):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                passing = error.errno in (*GONE, errno.EEXIST)
                if not passing or self.path.parent.is_file() or attempt == ATTEMPTS:
                    raise
                # The folder was deleted meanwhile.

    def _lock(self, file, wait):
        end = time.monotonic() + QUIET
        while fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.works = not _are_local(file)
                return None
            except BlockingIOError:
                if not wait:
                    raise
            except OSError:
                break
            if time.monotonic() > end:
                logger.warning("Waits for %s: it has %s", self.holder(), self.path)
                fcntl.flock(file, fcntl.LOCK_EX)
                self.works = not _are_local(file)
                return None
            time.sleep(QUIET / 50)
        self.works = False

    def _is_still(self, file):
        """Returns whether the path still leads to the locked file."""
        try:
            return os.path.samestat(os.fstat(file), os.stat(self.path))
        except OSError as error:
            if error.errno not in GONE:
                raise
            return False


def occupy(folder):
    """Keeps other processes out of a folder until this one ends.

    Arguments
    ---------
    folder : str
        The folder; it is created if it does not exist. A repeated call of the same
        process has no effect.

    Raises
    ------
    OccupiedError
        If another process uses it; the message names the process.

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


def _are_local(file):
    """Returns whether locks on an open file do not reach other machines that see it."""
    device = os.fstat(file).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open(MOUNTS, encoding="utf-8", errors="replace") as mounts:
            lines = [line.split() for line in mounts]
    except OSError:  # no Linux
        return False
    options = [words[-1] for words in lines if len(words) > 5 and words[2] == number]
    return any(map(LOCAL.search, options))


def _holder_line():
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()}, since {since}\n"


def _close_in_child():
    """Closes the copies of the parent's locks in a forked child."""
    for lock in _held:
        os.close(lock._file)
        lock._file = None
    _held.clear()
    _occupied.clear()
