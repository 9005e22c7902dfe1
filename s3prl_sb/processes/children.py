"""Child processes that end with their parent, however it ends.

A parent holds a :class:`Leash`: the writing end of a pipe. When it lets go, on purpose,
after an error or because it was killed with -9, the reading end is at its end, and who
waits there ends. On Linux the kernel besides kills a child together with its parent.
Nothing but the standard library is imported.

Authors
 * The s3prl_sb developers, 2026
"""

import ctypes
import os
import signal
import sys
import threading
import time

PAUSE = 0.5  # seconds between two looks for the parent
_PR_SET_PDEATHSIG = 1  # of prctl(2)
_WATCHER = "looks after the parent"


class Leash:
    """What the children of a block of code hang on.

    Arguments
    ---------
    context : multiprocessing.context.BaseContext
        That starts them by "spawn": a fork would hold the wrong end too.

    Example
    -------
    >>> import multiprocessing
    >>> with Leash(multiprocessing.get_context("spawn")) as leash:
    ...     leash.end.poll()
    False
    """

    def __init__(self, context):
        #: Given to each child, which calls :func:`follow` with it.
        self.end, self._held = context.Pipe(duplex=False)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._held.close()
        self.end.close()


def follow(end):
    """Ends this process when the parent lets go of its leash.

    Ctrl-C is the parent's business: it goes to all processes of a terminal.

    Arguments
    ---------
    end : multiprocessing.connection.Connection
        The end of a :class:`Leash`.
    """
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait, args=(end,), daemon=True).start()
    die_with(multiprocessing.parent_process().pid)


def _wait(end):
    try:
        end.recv_bytes()  # nothing is ever sent
    except (EOFError, OSError):
        pass
    os._exit(1)


def die_with(parent):
    """Has Linux kill this process when its parent ends.

    More exactly: when the thread ends that has started it.

    Arguments
    ---------
    parent : int
        The parent's number: it may have ended before.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent and sys.platform != "win32":
        os._exit(1)


def look_after_parent():
    """Ends this process within a second after its parent, whoever that is.

    For children that others start, by a thread that need not live as long as they.
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
    """Begins a worker of a DataLoader, which ends with its parent.

    Arguments
    ---------
    then : callable or None
        The ``worker_init_fn`` that it would have had.
    number : int
        The worker's.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's business
    look_after_parent()
    if then is not None:
        then(number)
