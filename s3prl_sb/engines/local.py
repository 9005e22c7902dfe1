"""Engine of this machine: processes that end with their parent.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import os

from s3prl_sb.engines import guard
from s3prl_sb.engines.engine import Engine


class Local(Engine):
    """Runs several jobs at a time on this machine.

    Arguments
    ---------
    parallel : int
        Number of jobs at a time.
    devices : list of str
        Numbers of GPUs, each job gets the least used one; empty: none is assigned.
    progress : bool
        Whether to show a bar besides the lines.
    """

    def __init__(self, parallel=1, devices=(), progress=True):
        super().__init__(parallel, progress)
        self.devices = list(devices)
        self.load = collections.Counter()  # device -> jobs
        self.placed = {}  # process -> device

    def launch(self, jobs):
        """Starts jobs, see :meth:`Engine.launch`."""
        for job in jobs:
            device = min(self.devices, key=self.load.__getitem__, default=None)
            job.folder.mkdir(parents=True, exist_ok=True)
            process = guard.start(job.command(), job.folder, self._environment(device))
            self.placed[process] = device
            self.load[device] += 1
            place = f" on GPU {device}" if device is not None else ""
            self.say(f"started  {job.name}{place}")
            yield process

    def _environment(self, device):
        threads = max(1, (os.cpu_count() or 1) // self.parallel)
        environment = {
            "OMP_NUM_THREADS": str(threads),  # jobs share the cores
            "OMP_WAIT_POLICY": "PASSIVE",
            **os.environ,
            "PYTHONPATH": guard.python_path(),
        }
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        return environment

    def poll(self):
        """Finds the jobs that have ended, see :meth:`Engine.poll`."""
        ended = [process for process in self.running if process.poll() is not None]
        for process in ended:
            self.load[self.placed.pop(process)] -= 1
            process.stdin.close()
        return [(process, process.returncode) for process in ended]

    def close(self):
        """Ends running jobs: closes the pipes of their guards."""
        for process in self.running:
            process.stdin.close()
        for process, job in self.running.items():
            process.wait()
            job.state = "waiting"
        self.running.clear()
