"""Part of a job that runs on a node of the cluster: a guarded command.

submitit pickles an object of this module, and calls it on the node. When the time
limit is near or the node is taken away, submitit calls ``checkpoint`` and puts the job
back into the queue; the command then continues from its own checkpoints.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from s3prl_sb.engines import guard
from s3prl_sb.storage.files import FileError, read_json, write_json

RECORD = "slurm.json"  # which job of the cluster works in a folder
DYING = 5  # seconds from the kill of the command to that of its parent
STALE = 70  # seconds that a node may see an old record on a network file system


def read_record(folder):
    """Returns which job of the cluster works in a folder.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of a job.

    Returns
    -------
    dict
        ``token`` of the submission, ``id`` of the cluster's job, and ``folder``, that
        of submitit. An empty dictionary if there is none.
    """
    try:
        record = read_json(Path(folder) / RECORD, kind=dict)
    except FileError:
        return {}
    return {key: value for key, value in record.items() if isinstance(value, str)}


class Submitted:
    """Command that a node of the cluster runs.

    Arguments
    ---------
    command : list of str
        The command and its arguments.
    folder : str
        Folder of the job.
    token : str
        Name of this submission. It does not start when a later submission has
        replaced it in the record of the folder.
    """

    def __init__(self, command, folder, token):
        self.command, self.folder, self.token = command, folder, token
        self._process = None

    def __call__(self):
        """Runs the command.

        Returns
        -------
        int
            Its exit status.
        """
        end = time.monotonic() + STALE
        while (record := read_record(self.folder)).get("token") != self.token:
            if time.monotonic() > end:
                raise RuntimeError(f"another job was submitted for {self.folder}")
            time.sleep(1)
        # The master may have been killed before it could note the id.
        write_json(Path(self.folder) / RECORD, {**record, "id": _job_id()})
        environment = {**os.environ, "PYTHONPATH": guard.python_path()}
        self._process = guard.start(
            self.command, Path(self.folder), environment, preexec_fn=_ignore_signals
        )
        status = self._process.wait()
        if status < 0:  # Slurm may be about to kill this process too, and to requeue
            time.sleep(DYING)
        return status

    def checkpoint(self):
        """Ends the command, which can be killed at any time, and describes its restart.

        Returns
        -------
        submitit.helpers.DelayedSubmission
        """
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            self._process.stdin.close()
            # A signal handler calls this inside wait(), which has a lock.
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Submitted(self.command, self.folder, self.token))


def _job_id():
    from submitit import JobEnvironment

    return JobEnvironment().job_id


def _ignore_signals():
    """Lets the command work until it is killed.

    Slurm sends its warnings to all processes of a job; only submitit heeds them.
    """
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
