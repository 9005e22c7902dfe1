"""Base of all engines: the order of jobs, their states, the lines about them.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import os
import sys
import time

from tqdm import tqdm

from s3prl_sb.engines.jobs import LOG, last_lines, reason
from s3prl_sb.engines.submitted import RECORD, read_record


class Lost(str):
    """Reason why a job has ended through no fault of its own; it may run again."""


class Engine:
    """Base class of engines: runs jobs in the order of their dependencies.

    A subclass says how jobs are launched, polled and closed.

    Arguments
    ---------
    parallel : int, optional
        Number of jobs at a time. Default: no limit.
    progress : bool
        Whether to show a bar besides the lines.
    """

    PAUSE = 0.2  # seconds between two checks
    TRIES = 4  # of a job whose machine is lost
    GRACE = 0  # seconds until the files of another machine must be visible here

    def __init__(self, parallel=None, progress=True):
        if parallel is not None and parallel < 1:
            raise ValueError(f"{parallel} jobs at a time: give 1 or more")
        self.parallel = math.inf if parallel is None else parallel
        self.progress = progress and sys.stderr.isatty()
        self.running = {}  # handle of a job -> the job
        self.shared = set()  # jobs that have finished their first part

    # ------------------------------------------------------------ of each engine
    def adopt(self, waiting):
        """Finds jobs that an earlier master has started and that still run.

        Arguments
        ---------
        waiting : list of Job
            Jobs that are not done.

        Returns
        -------
        dict
            Handle of each job in the engine, to the job.
        """
        return {}

    def take(self, job):
        """Takes a job from the queue of Slurm, where an earlier command has left it.

        Arguments
        ---------
        job : Job
            Job that this engine starts.
        """
        number = read_record(job.folder).get("id")
        if number:
            self.say(
                f"taken    {job.name}: job {number} of Slurm does not begin any more; "
                f"if it runs, this one waits for it, or: scancel {number}"
            )
        (job.folder / RECORD).unlink(missing_ok=True)

    def launch(self, jobs):
        """Starts jobs that may start together.

        Arguments
        ---------
        jobs : list of Job
            Jobs whose dependencies are done.

        Yields
        ------
        object
            Handle of each job, in order.
        """
        raise NotImplementedError

    def poll(self):
        """Finds the jobs of ``running`` that have ended.

        Returns
        -------
        list of (object, int or str)
            Handle of a job, and its exit status, a reason why it has failed, or
            :class:`Lost`.
        """
        raise NotImplementedError

    def close(self):
        """Ends, or leaves alone, the jobs that run when this process ends."""

    # ------------------------------------------------------------------ the loop
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
            job.state = "done" if job.is_done and job.is_done() else "waiting"
            job.tries = 0
        waiting = [job for job in jobs if job.state == "waiting"]
        done = len(jobs) - len(waiting)
        limit = "" if self.parallel == math.inf else f", {self.parallel} at a time"
        self.say(f"{len(jobs)} jobs, {done} of them done{limit}")
        bar = tqdm(
            total=len(jobs),
            initial=done,
            unit="job",
            dynamic_ncols=True,
            disable=not self.progress,
        )
        with bar:
            try:
                self._adopt(waiting)
                while waiting or self.running:
                    self._start(waiting)
                    time.sleep(self.PAUSE)
                    count = self._collect(waiting) + self._drop(waiting)
                    bar.update(count)
                    if count:
                        ended()
                    names = sorted(job.name for job in self.running.values())
                    bar.set_postfix_str(", ".join(names), refresh=True)
            finally:
                self.close()

    def say(self, text):
        """Prints a line of progress."""
        tqdm.write(text, file=sys.stderr)

    def _adopt(self, waiting):
        for handle, job in self.adopt(waiting).items():
            waiting.remove(job)
            self._runs(job, handle)
            self.say(f"found    {job.name}: it was started before")

    def _runs(self, job, handle):
        job.state, job.started = "running", time.monotonic()
        job.tries += 1
        self.running[handle] = job

    def _start(self, waiting):
        ready = self._ready(waiting)
        for job in ready:
            waiting.remove(job)
            self.take(job)
        for job, handle in zip(ready, self.launch(ready) if ready else ()):
            self._runs(job, handle)

    def _ready(self, waiting):
        """Returns the jobs that may start now, together."""
        busy = {job.group for job in self.running.values() if not self._shared(job)}
        ready: list = []
        for job in waiting:
            if len(self.running) + len(ready) >= self.parallel:
                break
            may_start = job.group is None or job.group not in busy
            if may_start and all(other.state == "done" for other in job.after):
                ready.append(job)
                if not self._shared(job):
                    busy.add(job.group)
        return ready

    def _shared(self, job):
        """Returns whether a job has finished its first part; looks until it has."""
        if job not in self.shared and job.has_shared():
            self.shared.add(job)
        return job in self.shared

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

    def _collect(self, waiting):
        """Sets the state of jobs that have ended; returns their number."""
        count = 0
        for handle, outcome in self.poll():
            job = self.running.pop(handle)
            job.seconds = time.monotonic() - job.started
            if outcome == 0 and self._is_done(job):
                job.state = "done"
                self.say(f"done     {job.name} ({job.seconds:.0f} s)")
            elif isinstance(outcome, Lost) and job.tries < self.TRIES:
                job.state = "waiting"
                waiting.insert(0, job)
                self.say(f"again    {job.name} ({outcome})")
                continue
            else:
                self._failed(job, handle, outcome)
            count += 1
        return count

    def _is_done(self, job):
        end = time.monotonic() + self.GRACE
        while not (is_done := job.is_done is None or job.is_done()):
            if time.monotonic() >= end:
                break
            os.listdir(job.folder)  # NFS then looks for new files
            time.sleep(self.PAUSE)
        return is_done

    def _failed(self, job, handle, outcome):
        why = reason(outcome) if isinstance(outcome, int) else outcome
        log = job.folder / LOG
        job.state, job.error = "failed", last_lines(log) or self.log_of(handle)
        self.say(
            f"failed   {job.name} ({why}, {job.seconds:.0f} s); its last lines:\n"
            f"{job.error}\n         all of them: {log}"
        )

    def log_of(self, handle):
        """Returns the last lines of a job that has failed before its log began.

        Arguments
        ---------
        handle : object
            Handle of the job.

        Returns
        -------
        str
        """
        return ""
