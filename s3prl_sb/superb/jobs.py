"""Parallel jobs on one machine, in order of dependencies, ended with their parent.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

from tqdm import tqdm

import s3prl_sb
from s3prl_sb.superb import guard

LOG = "job.log"
LOCK = "job.lock"
SHOWN = 12  # lines of the log of a failed job


@dataclasses.dataclass
class Job:
    """A process to run.

    Arguments
    ---------
    name : str
        Name for messages.
    folder : pathlib.Path
        Folder of ``job.log``.
    command : callable
        Returns the command and its arguments; called when ``after`` are done.
    is_done : callable
        Returns whether the job is done.
    after : list of Job
        Jobs to finish before.
    group : str, optional
        Jobs of a group share results of their first part, which only one of them
        runs at a time.
    has_shared : callable
        Returns whether the job has finished its first part.
    """

    name: str
    folder: Path
    command: Callable[[], list]
    is_done: Callable[[], bool]
    after: list = dataclasses.field(default_factory=list)
    group: str | None = None
    has_shared: Callable[[], bool] = lambda: True
    state: str = "waiting"  # running, done, failed, skipped
    seconds: float = 0.0
    error: str = ""  # last lines of the log


class Runner:
    """Runs several jobs at a time.

    Arguments
    ---------
    parallel : int
        Number of jobs at a time.
    devices : list of str
        Numbers of GPUs, each job gets the least used one; empty: none is assigned.
    progress : bool
        Whether to show a bar besides the lines.
    """

    PAUSE = 0.2  # seconds between two checks

    def __init__(self, parallel=1, devices=(), progress=True):
        if parallel < 1:
            raise ValueError(f"{parallel} jobs at a time: give 1 or more")
        self.parallel, self.devices = parallel, list(devices)
        self.progress = progress and sys.stderr.isatty()
        self.running = {}  # process -> job
        self.load = collections.Counter()  # device -> jobs
        self.placed = {}  # process -> device

    def run(self, jobs, ended=lambda: None):
        """Runs the jobs that are not done, and sets their state.

        Arguments
        ---------
        jobs : list of Job
            Jobs in the order of preference.
        ended : callable, optional
            Called when jobs have ended.
        """
        for job in jobs:
            job.state = "done" if job.is_done() else "waiting"
        waiting = [job for job in jobs if job.state == "waiting"]
        done = len(jobs) - len(waiting)
        self.say(f"{len(jobs)} jobs, {done} of them done, {self.parallel} at a time")
        bar = tqdm(
            total=len(jobs),
            initial=done,
            unit="job",
            dynamic_ncols=True,
            disable=not self.progress,
        )
        with bar:
            try:
                while waiting or self.running:
                    self._start(waiting)
                    time.sleep(self.PAUSE)
                    count = self._collect() + self._drop(waiting)
                    bar.update(count)
                    if count:
                        ended()
                    names = sorted(job.name for job in self.running.values())
                    bar.set_postfix_str(", ".join(names), refresh=True)
            finally:
                self._end()

    def say(self, text):
        """Prints a line of progress."""
        tqdm.write(text, file=sys.stderr)

    def _start(self, waiting):
        while len(self.running) < self.parallel:
            job = next(filter(self._may_start, waiting), None)
            if job is None:
                return
            waiting.remove(job)
            self._launch(job)

    def _may_start(self, job):
        if any(other.state != "done" for other in job.after):
            return False
        return job.group is None or not any(
            other.group == job.group and not other.has_shared()
            for other in self.running.values()
        )

    def _drop(self, waiting):
        """Skips jobs that wait for a failed one; returns their number."""
        lost = [
            job
            for job in waiting
            if any(other.state in ("failed", "skipped") for other in job.after)
        ]
        for job in lost:
            waiting.remove(job)
            job.state = "skipped"
            cause = next(o for o in job.after if o.state in ("failed", "skipped"))
            job.error = f"needs {cause.name}, which has failed"
            self.say(f"skipped  {job.name}: {job.error}")
        return len(lost)

    def _launch(self, job):
        job.folder.mkdir(parents=True, exist_ok=True)
        command = [str(part) for part in job.command()]
        device = min(self.devices, key=self.load.__getitem__, default=None)
        with open(job.folder / LOG, "ab") as log:
            log.write(f"--- {time.strftime('%F %T')} {' '.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [*guard.COMMAND, job.folder / LOCK, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(device),
                start_new_session=True,  # only this process gets Ctrl-C
            )
        job.state, job.started = "running", time.monotonic()
        self.running[process], self.placed[process] = job, device
        self.load[device] += 1
        place = f" on GPU {device}" if device is not None else ""
        self.say(f"started  {job.name}{place}")

    def _environment(self, device):
        root = str(Path(s3prl_sb.__file__).parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        threads = max(1, (os.cpu_count() or 1) // self.parallel)
        environment = {
            "OMP_NUM_THREADS": str(threads),  # jobs share the cores
            "OMP_WAIT_POLICY": "PASSIVE",
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
        }
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        return environment

    def _collect(self):
        """Sets the state of jobs that have ended; returns their number."""
        ended = [process for process in self.running if process.poll() is not None]
        for process in ended:
            job = self.running.pop(process)
            self.load[self.placed.pop(process)] -= 1
            process.stdin.close()
            job.seconds = time.monotonic() - job.started
            if process.returncode == 0 and job.is_done():
                job.state = "done"
                self.say(f"done     {job.name} ({job.seconds:.0f} s)")
                continue
            job.state, job.error = "failed", last_lines(job.folder / LOG)
            self.say(
                f"failed   {job.name} ({reason(process.returncode)}, "
                f"{job.seconds:.0f} s); its last lines:\n{job.error}\n"
                f"         all of them: {job.folder / LOG}"
            )
        return len(ended)

    def _end(self):
        """Ends running jobs: closes the pipes of their guards."""
        for process in self.running:
            process.stdin.close()
        for process, job in self.running.items():
            process.wait()
            job.state = "waiting"
        self.running.clear()


def reason(status):
    """Describes why a job has ended.

    Arguments
    ---------
    status : int
        Exit status; for signals in the convention of Python or of shells.

    Returns
    -------
    str

    Example
    -------
    >>> reason(1), reason(137)
    ('exit status 1', 'killed by signal 9, perhaps out of memory')
    """
    number = -status if status < 0 else status - 128
    if number <= 0:
        return f"exit status {status}"
    perhaps = ", perhaps out of memory" if number == 9 else ""
    return f"killed by signal {number}{perhaps}"


def last_lines(path, count=SHOWN):
    """Returns the end of a log, without progress bars and empty lines.

    Arguments
    ---------
    path : pathlib.Path
        The log.
    count : int
        Maximum number of lines.

    Returns
    -------
    str
        Indented lines.
    """
    text = Path(path).read_bytes()[-20000:].decode("utf-8", "replace")
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    lines = [line for line in lines if line and not line.startswith("---")]
    return "\n".join(f"         | {line}" for line in lines[-count:])
