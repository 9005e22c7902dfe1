"""Runs a command that must not outlive who has asked for it.

> python guard.py LOCK command …

Standard input is a pipe whose other end the asker holds. When that closes, for
whatever reason (Ctrl-C, kill -9), this process and all that it has started are
killed: checkpoints and features are written whole or not at all, so a kill
costs nothing but the last minutes. Where this process itself is killed, Linux kills
the command; elsewhere the next one waits, as all that works in a folder holds its
lock. Nothing but the standard library is imported.

Authors
 * The s3prl_sb developers, 2026
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PR_SET_PDEATHSIG = 1  # of prctl(2)


def main(lock, command):
    """Becomes the leader of a process group, and runs a command in it.

    Arguments
    ---------
    lock : str
        A file: commands that are given the same one run one after another.
    command : list of str
        With its arguments.

    Returns
    -------
    int
        Its exit status.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    threading.Thread(target=_watch, daemon=True).start()
    with open(lock, "a") as held:
        _lock(held)
        # The lock is the children's too: it is free when the last of them has ended.
        child = subprocess.Popen(
            [sys.executable, __file__, "--child", str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            pass_fds=[held.fileno()],
        )
        status = child.wait()
    return status if status >= 0 else 128 - status


def become(parent, command):
    """Becomes a command that ends with its parent.

    Arguments
    ---------
    parent : int
        The parent's number.
    command : list of str
        With its arguments.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended before
        sys.exit(1)
    os.execvp(command[0], command)


def _lock(file):
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waits for a process that still works in this folder.", flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        pass


def _watch():
    while os.read(0, 1):  # nothing is ever written: this waits for the end
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        become(int(sys.argv[2]), sys.argv[3:])
    sys.exit(main(sys.argv[1], sys.argv[2:]))
