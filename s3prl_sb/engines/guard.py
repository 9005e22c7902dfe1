"""Process that runs a command, and kills it when the parent ends.

> python -m s3prl_sb.engines.guard LOCK command …

Standard input is a pipe whose other end the parent holds. When it closes (Ctrl-C,
kill -9), this process and all that it has started are killed. Checkpoints and features
are written atomically, so a kill only costs the last minutes. If this process itself is
killed, Linux kills the command; on other systems the next command waits for the lock of
the folder. Only the standard library is imported.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import s3prl_sb
from s3prl_sb.engines.jobs import LOCK, LOG
from s3prl_sb.processes import children
from s3prl_sb.storage.locks import Lock

COMMAND = (sys.executable, "-m", "s3prl_sb.engines.guard")


def start(command, folder, environment, **options):
    """Starts a command under a guard that ends with this process.

    Arguments
    ---------
    command : list
        The command and its arguments.
    folder : pathlib.Path
        Folder of the log and the lock.
    environment : dict
        Environment variables.
    **options
        Options of ``subprocess.Popen``.

    Returns
    -------
    subprocess.Popen
        The guard. Closing its ``stdin`` kills the command.
    """
    command = [str(part) for part in command]
    with open(folder / LOG, "ab") as log:
        log.write(f"--- {time.strftime('%F %T')} {' '.join(command)}\n".encode())
        log.flush()
        return subprocess.Popen(
            [*COMMAND, folder / LOCK, *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # only the master gets Ctrl-C
            **options,
        )


def python_path():
    """Returns a ``PYTHONPATH`` with this package first, wherever it is installed.

    Returns
    -------
    str

    Example
    -------
    >>> Path(python_path().split(os.pathsep)[0], "s3prl_sb").is_dir()
    True
    """
    root = str(Path(s3prl_sb.__file__).parents[1])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])


def main(lock, command):
    """Becomes the leader of a process group, and runs a command in it.

    Arguments
    ---------
    lock : str
        A file: commands with the same lock run one after another.
    command : list of str
        The command and its arguments.

    Returns
    -------
    int
        Exit status of the command.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    threading.Thread(target=_watch, daemon=True).start()
    held = Lock(lock)
    if not held.acquire(wait=False):
        print(f"Waits for {held.holder()}, which still works here.", flush=True)
        held.acquire()
    # The children inherit the lock: it is free when the last of them has ended.
    child = subprocess.Popen(
        [*COMMAND, "--child", str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        pass_fds=[held.fileno()],
    )
    status = child.wait()
    held.release()
    return status if status >= 0 else 128 - status


def become(parent, command):
    """Replaces this process by a command that ends with its parent.

    Arguments
    ---------
    parent : int
        Process id of the parent.
    command : list of str
        The command and its arguments.
    """
    children.die_with(parent)
    os.execvp(command[0], command)


def _watch():
    while os.read(0, 1):  # nothing is written: this waits for the end of the file
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        become(int(sys.argv[2]), sys.argv[3:])
    sys.exit(main(sys.argv[1], sys.argv[2:]))
