"""Engine of a Ray cluster: each job is a task of Ray, with its resources.

A task starts its command under a guard, so a worker or a node that is lost takes its
commands with it, and so does the master. Lost jobs run again, a few times. All nodes
see the same files under the same paths, and the same environment of Python.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
import sys
from pathlib import Path

from s3prl_sb.engines import guard
from s3prl_sb.engines.engine import Engine, Lost
from s3prl_sb.engines.jobs import LOG
from s3prl_sb.errors import MissingExtra, UserError


class Ray(Engine):
    """Runs jobs on a Ray cluster.

    Arguments
    ---------
    options : dict
        Options of a task, such as ``num_gpus``, ``num_cpus`` and ``memory``. Default:
        one CPU, and one GPU if the cluster has any.
    address : str, optional
        Address of the cluster, or "auto". Default: $RAY_ADDRESS, or a new one on this
        machine.
    parallel : int, optional
        Number of jobs at a time. Default: as many as the resources allow.
    progress : bool
        Whether to show a bar besides the lines.
    """

    PAUSE = 0.5
    GRACE = 15

    def __init__(self, options=(), address=None, parallel=None, progress=True):
        super().__init__(parallel, progress)
        self.options, self.address = dict(options), address
        self.sizes = {}  # job -> size of its log when it was queued

    def run(self, jobs, ended=lambda: None):
        """Runs the jobs, see :meth:`Engine.run`."""
        with Connection(self.address) as ray:
            self.ray = ray
            # The engine itself counts how often a job is lost.
            self.task = prepared(ray.remote(_work), self.options, max_retries=0)
            super().run(jobs, ended)

    def launch(self, jobs):
        """Starts jobs, see :meth:`Engine.launch`."""
        for job in jobs:
            job.folder.mkdir(parents=True, exist_ok=True)
            command = [str(part) for part in job.command()]
            self.sizes[job] = _size(job)
            self.say(f"queued   {job.name}")
            yield self.task.remote(command, str(job.folder), *surroundings())

    def poll(self):
        """Finds the jobs that have ended, see :meth:`Engine.poll`."""
        for job in [j for j in self.sizes if _size(j) > self.sizes[j]]:
            del self.sizes[job]
            self.say(f"started  {job.name}")
        if not self.running:
            return []
        handles = list(self.running)
        ended, _ = self.ray.wait(handles, num_returns=len(handles), timeout=0)
        return [(handle, self._outcome(handle)) for handle in ended]

    def _outcome(self, handle):
        self.sizes.pop(self.running[handle], None)
        try:
            return self.ray.get(handle)
        except self.ray.exceptions.RayTaskError as error:
            return f"{type(error.cause).__name__}: {error.cause}"
        except self.ray.exceptions.RayError as error:
            return Lost(str(error).partition("\n")[0])

    def close(self):
        """Ends running jobs."""
        for handle, job in self.running.items():
            self.ray.cancel(handle, force=True)
            job.state = "waiting"
        self.running.clear()


class Connection:
    """Connection to a Ray cluster, which ends with a block of code.

    Arguments
    ---------
    address : str, optional
        See :class:`Ray`. A connection that the process has already is used, and kept.
    """

    def __init__(self, address=None):
        self.address = address

    def __enter__(self):
        try:
            import ray
        except ImportError as error:
            raise MissingExtra(
                "--engine ray needs Ray: pip install 's3prl_sb[ray]'"
            ) from error
        self.ray, self.is_new = ray, not ray.is_initialized()
        if self.is_new:
            # Nothing about a benchmark is reported to others.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            options = {"logging_level": logging.ERROR, "log_to_driver": False}
            try:
                ray.init(self.address, **options)
            except (ConnectionError, ValueError, RuntimeError) as error:
                reason = str(error).partition("\n")[0]
                raise UserError(
                    f"--engine ray --address {self.address}: {reason} `ray status` "
                    "shows whether a cluster runs; `ray start --head` starts one."
                ) from error
        return ray

    def __exit__(self, *error):
        if self.is_new:
            self.ray.shutdown()


def prepared(remote, options, **more):
    """Returns a task or an actor with its resources and its environment.

    Workers do not see an editable installation or a checkout on the ``PYTHONPATH`` of
    the master, so its place is handed over, and so is a number of threads that the
    user has chosen.

    Arguments
    ---------
    remote : ray.remote_function.RemoteFunction or ray.actor.ActorClass
        The task or the actor.
    options : dict
        Resources. Default: one CPU, and one GPU if the cluster has any.
    **more
        Other options of Ray.

    Returns
    -------
    object
        Its ``remote`` starts it.

    Raises
    ------
    UserError
        If Ray does not know an option.
    """
    import ray

    variables = {"PYTHONPATH": guard.python_path()}
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        if name in os.environ:
            variables[name] = os.environ[name]
    has_gpus = ray.cluster_resources().get("GPU", 0) >= 1
    resources = {"num_cpus": 1, "num_gpus": 1 if has_gpus else 0, **options}
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for key, name in (("num_cpus", "CPU"), ("num_gpus", "GPU")):
        most = max((each.get(name, 0) for each in alive), default=0)
        if resources[key] > most:
            print(
                f"No node has {key}={resources[key]}, at most {most:g}: jobs wait "
                "until one joins the cluster.",
                file=sys.stderr,
            )
    try:
        return remote.options(
            **resources,
            **more,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": variables},
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"--ray: {error}") from error


def surroundings():
    """Returns the working directory and the environment variables of the master.

    Returns
    -------
    folder : str
    variables : dict
        Without the GPUs, which Ray assigns.
    """
    variables = dict(os.environ)
    variables.pop("CUDA_VISIBLE_DEVICES", None)
    return os.getcwd(), variables


def _work(command, folder, current, variables):
    """Runs a command on a worker; returns its exit status."""
    environment = {**variables, **os.environ}
    current = current if os.path.isdir(current) else None
    process = guard.start(command, Path(folder), environment, cwd=current)
    try:
        return process.wait()
    finally:
        process.stdin.close()


def _size(job):
    try:
        return (job.folder / LOG).stat().st_size
    except OSError:
        return 0
