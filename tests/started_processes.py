"""Processes that tests start: default signals, and none is left behind.

Linux only; elsewhere every function here does nothing, or finds nothing.
"""

import ctypes
import os
import signal
import sys
import time
import traceback
from pathlib import Path

LINUX = sys.platform == "linux"
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
#: Helpers of the standard library that serve all tests of a process.
SHARED = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")


def restore_default_signals():
    """Makes signals that this process was told to ignore reach its children.

    A shell starts background jobs with SIGINT ignored, nohup with SIGHUP ignored, and
    children inherit that. A handler is not inherited: the children have the default.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: lambda *_: None,  # the tests themselves outlive a terminal
    }
    for number, handler in handlers.items():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


def adopt_orphans():
    """Makes this process the parent of descendants whose own parent has ended."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def children(pid="self"):
    """Returns the process ids of the children of a process."""
    pids = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children") if LINUX else ():
        try:
            pids.update(map(int, path.read_text().split()))
        except OSError:  # the process or the thread has ended
            pass
    return pids


def end_children(except_for=()):
    """Kills all children of this process, and their descendants.

    Arguments
    ---------
    except_for : collection of int
        Process ids of the children to keep.
    """
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        # Killing a child turns its children into ours: the next round ends those.
        pids = [pid for pid in children() - set(except_for) if not _is_shared(pid)]
        if not pids:
            return
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:  # another thread has waited for it
                pass


class Fork:
    """Process that runs code with all that this one has imported, within milliseconds.

    Arguments
    ---------
    code : str
        Python code.
    *arguments : str
        Items of its ``sys.argv``, without the first.
    """

    def __init__(self, code, *arguments):
        reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            self._run(code, arguments, writing)
        os.close(writing)
        self.stdout = open(reading)

    def _run(self, code, arguments, writing):
        status = 1
        signal.alarm(120)  # ends one that hangs
        try:
            sys.stdout = open(writing, "w")
            sys.argv = ["-c", *arguments]
            exec(code, {"__name__": "__main__"})
            sys.stdout.flush()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:  # never back into the tests
            sys.stderr.flush()
            os._exit(status)

    def read(self):
        """Waits for its end; returns what it has printed, and the exit code."""
        with self.stdout:
            printed = self.stdout.read()
        return printed, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def kill(self):
        """Sends SIGKILL; returns the exit code."""
        os.kill(self.pid, signal.SIGKILL)
        self.stdout.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _is_shared(pid):
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return any(name in line for name in SHARED)
