"""Runs a command that must not outlive who has asked for it.

> python -m s3prl_sb.superb.guard LOCK command …

Standard input is a pipe whose other end the asker holds. When that closes, for
whatever reason (Ctrl-C, kill -9), this process and all that it has started are
killed: checkpoints and features are written whole or not at all, so a kill
costs nothing but the last minutes. Where this process itself is killed, Linux kills
the command; elsewhere the next one waits, as all that works in a folder holds its
lock. Nothing but the standard library is imported.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import signal
import subprocess
import sys
import threading

from s3prl_sb.processes import children
from s3prl_sb.storage.locks import Lock

COMMAND = (sys.executable, "-m", "s3prl_sb.superb.guard")


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
    held = Lock(lock)
    if not held.acquire(wait=False):
        print(f"Waits for {held.holder()}, which still works here.", flush=True)
        held.acquire()
    # The lock is the children's too: it is free when the last of them has ended.
    child = subprocess.Popen(
        [*COMMAND, "--child", str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        pass_fds=[held.fileno()],
    )
    status = child.wait()
    held.release()
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
    children.die_with(parent)
    os.execvp(command[0], command)


def _watch():
    while os.read(0, 1):  # nothing is ever written: this waits for the end
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        become(int(sys.argv[2]), sys.argv[3:])
    sys.exit(main(sys.argv[1], sys.argv[2:]))
