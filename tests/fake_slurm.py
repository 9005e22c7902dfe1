"""The programs of Slurm, on this machine: submitted scripts really run.

``install(folder)`` returns the environment in which sbatch, srun, squeue, sacct,
scontrol and scancel are this file. ``preempt`` and ``fail`` do to a job what a cluster
does. While a file ``hold`` is in the folder, jobs are pending; with ``down``, squeue
fails.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = ("sbatch", "srun", "squeue", "sacct", "scontrol", "scancel")
FOLDER = "FAKE_SLURM"  # environment variable with the folder of the state
MARK = "FAKE_SLURM_JOB"  # FOLDER/NUMBER, in the environment of a job's processes
STEP = "FAKE_SLURM_STEP"  # and of those that srun has started


def install(folder):
    """Returns environment variables with the programs on the path."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name in PROGRAMS:
        line = f'exec {sys.executable} -S {__file__} {name} "$@"'
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return {"PATH": path, FOLDER: str(folder)}


class State:
    """State of the cluster: a file for each job."""

    def __init__(self, folder=None):
        self.folder = Path(folder or os.environ[FOLDER])

    def jobs(self):
        return {
            path.stem: json.loads(path.read_text())
            for path in sorted(self.folder.glob("*.job"))
        }

    def change(self, number, **values):
        path = self.folder / f"{number}.job"
        before = json.loads(path.read_text()) if path.exists() else {}
        new = path.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps({**before, **values}))
        new.rename(path)


def processes(state, number, name=MARK):
    """Returns the ids of the processes of a job, of this cluster alone."""
    mark, found = f"{name}={state.folder}/{number}\0".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes() + b"\0":
                found.append(int(path.parts[2]))
        except OSError:
            continue
    return found


def send(state, number, what, name=MARK):
    """Sends a signal to all processes of a job, to this one last if it is one.

    None of them sees another being killed: all are stopped first.
    """
    others = [pid for pid in processes(state, number, name) if pid != os.getpid()]
    own = [os.getpid()] if os.environ.get(name) == f"{state.folder}/{number}" else []
    stops = [(pid, signal.SIGSTOP) for pid in others if what == signal.SIGKILL]
    for pid, each in [*stops, *((pid, what) for pid in others + own)]:
        try:
            os.kill(pid, each)
        except ProcessLookupError:
            continue


def preempt(number, grace=0.5, folder=None):
    """Takes the node away: a warning, the end, and the job is pending again."""
    state = State(folder)
    state.change(number, requeue=True)
    send(state, number, signal.SIGTERM)
    time.sleep(grace)
    send(state, number, signal.SIGKILL)


def fail_me(state):
    """Called from inside a job."""
    fail(Path(os.environ[MARK]).name)


def fail(number, folder=None):
    """Lets the node of a job fail; the job is not put into the queue again."""
    state = State(folder)
    state.change(number, final="NODE_FAIL")
    send(state, number, signal.SIGKILL)


def sbatch(state, script):
    lines = Path(script).read_text().splitlines()
    options = dict(
        shlex.split(line)[1].removeprefix("--").partition("=")[::2]
        for line in lines
        if line.startswith("#SBATCH --")
    )
    if options.get("partition") == "wrong":
        sys.exit("sbatch: error: invalid partition specified: wrong")
    main = str(len(list(state.folder.glob("*.submission"))) + 100)
    (state.folder / f"{main}.submission").write_text("\n".join(lines))
    numbers = [main]
    if "array" in options:
        first, last = options["array"].partition("%")[0].split("-")
        numbers = [f"{main}_{n}" for n in range(int(first), int(last) + 1)]
    for number in numbers:
        files = {name: options[name] for name in ("output", "error")}
        state.change(number, state="PENDING", script=script, **files)
        subprocess.Popen(
            [sys.executable, "-S", __file__, "node", number],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    print(f"Submitted batch job {main}")


def node(state, number):
    """Runs a job, again if it is put into the queue again."""
    main, _, element = number.partition("_")
    variables = {"SLURM_JOB_ID": main}
    if element:
        variables["SLURM_JOB_ID"] = str(1000 + int(main) * 10 + int(element))
        variables |= {"SLURM_ARRAY_JOB_ID": main, "SLURM_ARRAY_TASK_ID": element}
    while True:
        while (state.folder / "hold").exists():
            time.sleep(0.05)
            if state.jobs()[number].get("final"):
                return state.change(number, state="CANCELLED")
        job = state.jobs()[number]
        state.change(number, state="RUNNING", runs=job.get("runs", 0) + 1)
        environment = {**os.environ, **variables, MARK: f"{state.folder}/{number}"}
        with open(named(job["output"], number), "ab") as output:
            with open(named(job["error"], number), "ab") as error:
                status = subprocess.call(
                    ["bash", job["script"]],
                    env=environment,
                    stdout=output,
                    stderr=error,
                )
        while processes(state, number):  # an epilog
            send(state, number, signal.SIGKILL)
            time.sleep(0.05)
        job = state.jobs()[number]
        if not job.get("requeue"):
            break
        state.change(number, state="PENDING", requeue=False)
        time.sleep(0.5)
    final = job.get("final") or ("FAILED" if status else "COMPLETED")
    state.change(number, state=final)


def named(pattern, number):
    main, _, element = number.partition("_")
    for sign, value in (("%A", main), ("%a", element), ("%j", number), ("%t", "0")):
        pattern = pattern.replace(sign, value)
    return pattern


def srun(state, *words):
    words, files = list(words), {}
    while words[0].startswith("--"):
        option = words.pop(0)
        if option in ("--output", "--error"):
            files[option] = words.pop(0)
    for option, number in (("--output", 1), ("--error", 2)):
        name = named(files[option], Path(os.environ[MARK]).name)
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
    os.execvpe(words[0], words, {**os.environ, STEP: os.environ[MARK]})


def squeue(state, *_):
    if (state.folder / "down").exists():
        sys.exit("slurm_load_jobs error: Unable to contact slurm controller")
    for number, job in state.jobs().items():
        if job["state"] in ("PENDING", "RUNNING"):
            print(f"{number}|{job['state']}")


def sacct(state, *words):
    print(state.jobs()[words[-1]]["state"])


def scontrol(state, verb, number):
    assert verb == "requeue"
    state.change(number, requeue=True)


def scancel(state, number, *options):
    if options:
        which = getattr(signal, f"SIG{options[1].removeprefix('SIG')}")
        return send(state, number, which, STEP)
    state.change(number, final="CANCELLED")
    send(state, number, signal.SIGKILL)


if __name__ == "__main__":
    program, *rest = sys.argv[1:]
    globals()[program](State(), *rest)
