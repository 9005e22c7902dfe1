"""Child processes that end with their parent, also if it is killed.

A parent holds a :class:`Leash`: the writing end of a pipe. When it is closed, on
purpose, after an error or by ``kill -9``, the children that wait at the reading end
exit. On Linux the kernel also kills a child together with its parent. Only the standard
library is imported.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

PAUSE = 0.5  # seconds between two checks for the parent
_PR_SET_PDEATHSIG = 1  # see prctl(2)
_WATCHER = "looks after the parent"


class Leash:
    """Pipe that ends the children of a block of code.

    Arguments
    ---------
    context : multiprocessing.context.BaseContext
        Context with the start method "spawn": a fork would also hold the writing end.

    Example
    -------
    >>> import multiprocessing
    >>> with Leash(multiprocessing.get_context("spawn")) as leash:
    ...     leash.end.poll()
    False
    """

    def __init__(self, context):
        #: Reading end, with which each child calls :func:`follow`.
        self.end, self._held = context.Pipe(duplex=False)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._held.close()
        self.end.close()


def follow(end):
    """Ends this process when the parent closes its leash.

    Ignores Ctrl-C, which reaches all processes of a terminal: the parent handles it.

    Arguments
    ---------
    end : multiprocessing.connection.Connection
        Reading end of a :class:`Leash`.
    """
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait, args=(end,), daemon=True).start()
    die_with(multiprocessing.parent_process().pid)


@contextlib.contextmanager
def shielded():
    """Starts processes that Ctrl-C does not reach before they :func:`follow`.

    What they import takes seconds, and a Ctrl-C meanwhile would end them with their
    own tracebacks. In this process it waits until the block ends.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(end):
    try:
        end.recv_bytes()  # nothing is ever sent
    except (EOFError, OSError):
        pass
    os._exit(1)


def die_with(parent):
    """Makes Linux kill this process when its parent ends.

    More precisely, when the thread that started it ends.

    Arguments
    ---------
    parent : int
        Process id of the parent. This process exits if the parent has ended already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent and sys.platform != "win32":
        os._exit(1)


def look_after_parent():
    """Ends this process within a second after its parent.

    For children of other programs, whose starting thread may end before them.
    """
    if any(thread.name == _WATCHER for thread in threading.enumerate()):
        return
    parent = os.getppid()

    def look():
        while os.getppid() == parent:
            time.sleep(PAUSE)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=look, name=_WATCHER, daemon=True).start()


def start_worker(then, number):
    """Initializes a worker of a DataLoader, so that it ends with its parent.

    Arguments
    ---------
    then : callable or None
        The ``worker_init_fn`` to call afterwards.
    number : int
        Number of the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    look_after_parent()
    if then is not None:
        then(number)
