"""Engine of a Slurm cluster, by submitit: one job array for the jobs that are ready.

The master only submits and waits. It may end or be killed at any time: jobs stay in the
queue, each folder keeps the id of its job, and the next master with the same output
finds them. States come from the files of submitit and from ``squeue``; ``sacct``, where
it works, says why a job has failed.

Authors
 * The s3prl_sb developers, 2026
"""

import getpass
import os
import shlex
import stat
import subprocess
import sys
import time
import uuid

from s3prl_sb.engines import guard
from s3prl_sb.engines.engine import Engine, Lost
from s3prl_sb.engines.jobs import last_lines
from s3prl_sb.engines.submitted import RECORD, Submitted, read_record
from s3prl_sb.errors import MissingExtra, UserError
from s3prl_sb.storage.files import write_json

MINUTES = 240  # default time limit: short ones start sooner, and jobs continue
TIMEOUTS = 100  # requeues after the time limit
#: submitit's names of options of sbatch.
NAMES = {"timeout_min": "time", "name": "job_name", "tasks_per_node": "ntasks_per_node"}
#: Options that are submitit's own, not sbatch's.
OWN = {"array_parallelism", "signal_delay_s", "use_srun"}
#: Options that the engine sets itself.
REFUSED = {"array", "output", "error", "signal", "wrap", "chdir"}
#: sbatch starts a program once for each of these.
SINGLE = {"nodes", "ntasks", "ntasks_per_node"}
#: States of jobs that the cluster has ended for its own reasons.
LOST = {"BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "REVOKED", "TIMEOUT"}


class Slurm(Engine):
    """Runs jobs on a Slurm cluster.

    Arguments
    ---------
    folder : pathlib.Path
        Folder for the scripts, pickles and logs of submitit, on a file system that
        all nodes share. Nobody else may write in it: nodes load pickles from it.
    options : dict
        Options of sbatch by their long names, such as ``partition``, ``time`` and
        ``gpus_per_node``; or submitit's names.
    parallel : int, optional
        Number of jobs in the queue at a time. Default: no limit.
    dry_run : bool
        Whether to print the scripts of the first jobs instead of submitting them.
    progress : bool
        Whether to show a bar besides the lines.
    """

    PAUSE = 1.0
    ASKS = (2, 30)  # seconds between two calls of squeue, at first and later
    GRACE = 15

    def __init__(self, folder, options=(), parallel=None, dry_run=False, progress=True):
        super().__init__(parallel, progress)
        self.folder, self.dry_run = folder, dry_run
        self.options = _options(dict(options))
        self.cluster = self.options.pop("cluster", "slurm")
        self.states = {}  # job id -> its state in the queue
        self.gone = {}  # job -> when it was first missing in the queue
        self.asked = self.changed = time.monotonic()

    def run(self, jobs, ended=lambda: None):
        """Runs the jobs, see :meth:`Engine.run`, or prints the scripts of the first."""
        if self.dry_run:
            self._print(jobs)
        else:
            self.executor = self._executor()
            super().run(jobs, ended)

    def adopt(self, waiting):
        """Finds the jobs that are in the queue already, see :meth:`Engine.adopt`."""
        records = {job: read_record(job.folder) for job in waiting}
        if self.cluster != "slurm" or not any(records.values()):
            return {}
        if not self._ask():
            raise UserError(
                "squeue does not answer, and jobs of an earlier command may still run "
                "here. Try again when it does."
            )
        from submitit import SlurmJob

        handles = {
            SlurmJob(record["folder"], record["id"]): job
            for job, record in records.items()
            if record.get("id") in self.states
            and record.get("folder") == str(self.folder)  # it is no copy
        }
        # Slurm still lists a job that has just ended: it is not done, so it runs again.
        return {h: job for h, job in handles.items() if not self._has_ended(h)}

    def _has_ended(self, handle):
        return handle.paths.result_pickle.exists()

    def take(self, job):
        """Leaves the record, which :meth:`launch` replaces."""

    def launch(self, jobs):
        """Submits jobs, see :meth:`Engine.launch`; several are an array."""
        import submitit

        token, calls = uuid.uuid4().hex, []
        for job in jobs:
            job.folder.mkdir(parents=True, exist_ok=True)
            command = [str(part) for part in job.command()]
            # Before it is submitted: what a killed master has submitted without
            # noting the id is known by its token, and replaced.
            self._note(job, token)
            calls.append(Submitted(command, str(job.folder), token))
        try:
            handles = self.executor.submit_array(calls)
        except submitit.core.utils.FailedJobError as error:
            raise UserError(f"--engine slurm: sbatch has failed. {error}") from error
        for job, handle in zip(jobs, handles):
            self._note(job, token, handle.job_id)
            self.changed = time.monotonic()
            self.states[handle.job_id] = "PENDING"
            self.say(f"queued   {job.name}, job {handle.job_id}")
            yield handle

    def _note(self, job, token, number=None):
        values = {"token": token, "id": number, "folder": str(self.folder)}
        write_json(job.folder / RECORD, values)

    def poll(self):
        """Finds the jobs that have ended, see :meth:`Engine.poll`."""
        if self.cluster != "slurm":
            return [(h, self._result(h)) for h in list(self.running) if h.done()]
        os.listdir(self.folder)  # NFS then looks for new files
        ended = list(filter(self._has_ended, self.running))
        outcomes = [(handle, self._result(handle)) for handle in ended]
        now = time.monotonic()
        if now - self.asked < self._patience(now):
            return outcomes
        if not self._ask():
            return outcomes
        for handle in set(self.running) - set(ended):
            if handle.job_id in self.states:
                self.gone.pop(handle, None)
            elif now - self.gone.setdefault(handle, now) >= self.GRACE:
                outcomes.append((handle, self._why(handle.job_id)))
        return outcomes

    def close(self):
        """Leaves the jobs in the queue, and says how to cancel them."""
        if not self.running:
            return
        numbers = sorted({str(h.job_id).split("_")[0] for h in self.running})
        for job in self.running.values():
            job.state = "waiting"
        self.say(
            f"{len(self.running)} jobs stay in the queue, and the same command finds "
            f"them again. To cancel them: scancel {' '.join(numbers)}"
        )
        self.running.clear()

    def log_of(self, handle):
        """Returns the last lines of submitit's log, see :meth:`Engine.log_of`."""
        paths = handle.paths
        return last_lines(paths.stderr) or last_lines(paths.stdout)

    # ------------------------------------------------------------------- submitit
    def _executor(self):
        try:
            import submitit
        except ImportError as error:
            raise MissingExtra(
                "--engine slurm needs submitit: pip install 's3prl_sb[slurm]'"
            ) from error
        _own(self.folder)
        try:
            executor = submitit.AutoExecutor(
                self.folder, self.cluster, slurm_max_num_timeout=TIMEOUTS
            )
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"--engine slurm: {error} Start it where sbatch and srun work."
            ) from error
        executor.update_parameters(**self._parameters())
        return executor

    def _parameters(self):
        """Returns the options as submitit's parameters."""
        given = dict(self.options)
        setup = [f"export PYTHONPATH={shlex.quote(guard.python_path())}"]
        # srun takes the number from here, no longer from sbatch's variable.
        cpus = "SLURM_CPUS_PER_TASK"
        setup.append(f'[ -z "${cpus}" ] || export SRUN_CPUS_PER_TASK="${cpus}"')
        setup += given.pop("setup", [])
        own = {f"slurm_{name}": given.pop(name) for name in OWN & set(given)}
        minutes = _minutes(given.pop("time", MINUTES))
        given = {"job_name": "s3prl-sb", "requeue": True, **given}
        return {
            "timeout_min": minutes,
            "slurm_setup": setup,
            "slurm_additional_parameters": given,
            **own,
        }

    def _result(self, handle):
        """Returns the exit status of a job, or why there is none."""
        from submitit.core.utils import UncompletedJobError

        try:
            return handle.result()
        except UncompletedJobError as error:
            lines = [line for line in str(error).splitlines() if line.strip("- ")]
            told = [line for line in lines if not line.startswith("You can check")]
            return next((t for t in reversed(told) if "Error" in t), "no result")

    def _print(self, jobs):
        from submitit.slurm.slurm import _make_sbatch_string as script

        for job in jobs:
            job.state = "done" if job.is_done and job.is_done() else "waiting"
        todo = [job for job in jobs if job.state == "waiting"]
        first = self._ready(todo)
        values = {
            name.removeprefix("slurm_"): value
            for name, value in self._parameters().items()
        }
        values["time"] = values.pop("timeout_min")
        count = {"map_count": len(first)} if len(first) > 1 else {}
        program = [sys.executable, "-u", "-m", "submitit.core._submit", self.folder]
        print(script(shlex.join(map(str, program)), self.folder, **values, **count))
        for number, job in enumerate(first):
            print(f"# {number}: {job.name}, in {job.folder}")
        print(f"# {len(todo) - len(first)} more jobs after these")

    # ------------------------------------------------------------------ the queue
    def _patience(self, now):
        least, most = self.ASKS
        return min(most, max(least, (now - self.changed) / 4))

    def _ask(self):
        """Asks for the states of this user's jobs; returns whether Slurm answers."""
        self.asked = time.monotonic()
        command = ["squeue", "--noheader", "--array", "--user", getpass.getuser()]
        try:
            answer = _output([*command, "--format", "%i|%T"])
        except (OSError, subprocess.SubprocessError) as error:
            self.say(f"         squeue does not answer, trying again: {error}")
            return False
        before, self.states = self.states, {}
        for line in answer.splitlines():
            number, _, state = line.strip().partition("|")
            self.states[number] = state
        for handle, job in self.running.items():
            self._tell(job, before.get(handle.job_id), self.states.get(handle.job_id))
        return True

    def _tell(self, job, before, state):
        if state == before or state is None:
            return
        self.changed = time.monotonic()
        if state == "RUNNING":
            self.say(f"started  {job.name}")
            job.started = time.monotonic()
        elif state in ("PENDING", "REQUEUED", "REQUEUE_HOLD") and before != "PENDING":
            self.say(f"requeued {job.name}")

    def _why(self, number):
        """Returns why a job has left the queue without a result."""
        command = ["sacct", "-X", "--noheader", "--parsable2", "--format", "State"]
        try:
            answer = _output([*command, "--jobs", number]).split()
        except (OSError, subprocess.SubprocessError):
            answer = []
        state = answer[0] if answer else "it has left the queue"
        return Lost(state) if state in LOST else f"Slurm: {state}"


def _output(command):
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60
    ).stdout


def _options(given):
    """Returns options of sbatch by their names, with underscores."""
    options = {}
    for key, value in given.items():
        key = key.replace("-", "_").removeprefix("slurm_")
        if key == "mem_gb":
            key, value = "mem", f"{value:g}G"
        options[NAMES.get(key, key)] = value
    if isinstance(options.get("setup"), str):
        options["setup"] = [options["setup"]]
    refused = REFUSED & set(options)
    if refused:
        raise UserError(f"--slurm {refused.pop()}=…: this engine sets it itself.")
    for key in SINGLE & set(options):
        if options[key] != 1:
            raise UserError(
                f"--slurm {key}={options[key]}: a job here is one process. Give it "
                "several GPUs by gpus_per_node; of one run over several nodes, start "
                "torchrun in a script of your own."
            )
        del options[key]
    _minutes(options.get("time", MINUTES))
    return options


def _minutes(time):
    """Returns a time limit of Slurm in minutes.

    >>> [_minutes(text) for text in (30, "12:00:00", "1-00", "1-00:30", "90:00")]
    [30, 720, 1440, 1470, 90]
    """
    days, dash, rest = str(time).rpartition("-")
    try:
        parts = [int(part) for part in rest.split(":")]
        if dash:  # days-hours[:minutes[:seconds]]
            hours, minutes, seconds = (*parts, 0, 0)[:3]
        elif len(parts) == 3:
            hours, minutes, seconds = parts
        else:  # minutes[:seconds]
            hours, (minutes, seconds) = 0, (*parts, 0)[:2]
        total = int(days or 0) * 1440 + hours * 60 + minutes + bool(seconds)
    except ValueError:
        total = 0
    if total <= 0:
        raise UserError(
            f"--slurm time={time}: write minutes, HOURS:MINUTES:SECONDS or "
            "DAYS-HOURS:MINUTES:SECONDS."
        )
    return total


def _own(folder):
    """Makes a folder that nobody else can write in, nor everybody replace."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UserError(
            f"Others can write in {folder}, from which nodes load pickles: take that "
            f"right away, chmod go-w {folder}, or give another output."
        )
    for parent in folder.resolve().parents:
        if parent.stat().st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            raise UserError(
                f"Everybody can write in {parent}, and so replace {folder}, from which "
                f"nodes load pickles: chmod o-w {parent}, or give another output."
            )
