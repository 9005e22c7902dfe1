"""Runs a command that must not outlive who has asked for it.

> python guard.py command …

Standard input is a pipe whose other end the asker holds. When that closes, for
whatever reason (Ctrl-C, kill -9), this process and all that it has started are
killed: checkpoints and features are written whole or not at all, so a kill
costs nothing but the last minutes. Nothing but the standard library is imported.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import signal
import subprocess
import sys
import threading


def main(command):
    """Becomes the leader of a process group, and runs a command in it.

    Arguments
    ---------
    command : list of str
        With its arguments.

    Returns
    -------
    int
        Its exit status.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_watch, daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


def _watch():
    while os.read(0, 1):  # nothing is ever written: this waits for the end
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
