"""Programs that start within milliseconds, and can be killed at any point.

Those of ``fork_server.py``. One server is enough for all processes of tests:
``$S3PRL_SB_FORK_SERVER`` names it.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
#: The checkout and the address of a server that runs, with a colon between them.
VARIABLE = "S3PRL_SB_FORK_SERVER"


class Server:
    """A fork server; it imports nothing before the first :class:`Launcher`."""

    def __init__(self, root=REPOSITORY):
        self.folder = tempfile.mkdtemp(prefix="fork")  # short: addresses are
        self.address = f"{self.folder}/socket"
        self.process = subprocess.Popen(
            [sys.executable, f"{root}/tests/integration/fork_server.py", self.address],
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is not meant for it
        )
        self.variables = {VARIABLE: f"{root}:{self.address}"}

    def close(self):
        self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self.process.kill()  # if it hangs
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)  # where it was killed


class Launcher:
    """Starts recipes through the fork server of a checkout.

    ``server`` is used instead of one that the environment names for this checkout.
    """

    def __init__(self, log, server=None):
        log.touch()
        self.log, self.server = log, None
        self.variables = {VARIABLE: os.environ.get(VARIABLE, "")}
        if server is not None:
            self.variables = server.variables
        elif self.variables[VARIABLE].rpartition(":")[0] != str(REPOSITORY):
            self.server = Server()
            self.variables = self.server.variables
        address = self.variables[VARIABLE].rpartition(":")[2]
        self.connection = socket.socket(socket.AF_UNIX)
        for _ in range(600):  # until it listens
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                self.connection.connect(address)
                break
            time.sleep(0.05)
        else:
            raise ConnectionError(f"no fork server at {address}")
        self.lines = self.connection.makefile("rw")
        theirs = self._answer()
        ours = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self.environment = {k: v for k, v in ours.items() if theirs.get(k) != v}
        self.folder = os.getcwd()

    def _ask(self, **order):
        print(json.dumps(order), file=self.lines, flush=True)
        return self._answer()

    def _answer(self):
        line = self.lines.readline()
        assert line, self.log.read_text(errors="replace")[-4000:]
        return json.loads(line)

    def _start(
        self,
        argv,
        kill=None,
        prelude="",
        log=None,
        plots=False,
        hook=False,
        **environment,
    ):
        return self._ask(
            argv=argv,
            log=str(log or self.log),
            kill=kill,
            prelude=prelude,
            plots=plots,
            hook=hook,
            folder=self.folder,
            environment={**self.environment, **environment},
        )

    def run(self, argv, kill_after=None, **order):
        """The exit code of a recipe; -9 if it was killed.

        ``kill_after`` seconds; or ``kill``, at a point of the code: see ``_kill_at``.
        ``prelude`` is Python to be run before the recipe. ``plots``: whether it draws
        them, a third of the time of a short run.
        """
        pid = self._start(argv, **order)
        if kill_after is not None:
            time.sleep(kill_after)
            os.killpg(pid, signal.SIGKILL)
        code = self._ask(wait=pid)
        self._check(code)
        return code

    def _check(self, code):
        tail = self.log.read_text(errors="replace")[-4000:]
        assert code in (0, -9), f"exit code {code}\n{tail}"

    def failure(self, argv):
        """The last lines of a recipe that is to fail: its error message."""
        code, text = self.said(argv)
        assert code == 1, f"exit code {code}\n{text[-4000:]}"
        return text.rpartition("Traceback (most recent call last):")[2]

    def said(self, argv, hook=False):
        """The exit code of a recipe, and all that it has printed.

        ``hook``: an error as the interpreter would print it, by the recipe's own hook.
        """
        log = self.log.with_name("said.txt")
        log.write_text("")
        code = self._ask(wait=self._start(argv, log=log, hook=hook))
        return code, log.read_text(errors="replace")

    def program(self, argv, folder, variables):
        """Starts a program in a folder; gives the half of ``Popen`` that tests use.

        ``argv`` as of a recipe, or with ``-m`` or ``-c`` as of the interpreter.
        """
        log = self.log.with_name(f"program{time.monotonic_ns()}.txt")
        changed = {k: v for k, v in variables.items() if os.environ.get(k) != v}
        prelude = f"import os; os.chdir({str(folder)!r})"
        return Program(
            self, self._start(argv, prelude=prelude, log=log, **changed), log
        )

    def run_distributed(self, argv, processes=2, kill=None, prelude=""):
        """The same in several processes, as torchrun would start them.

        ``kill`` happens in the first process, and at once to the others.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        pids = []
        for rank in range(processes):
            environment = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(processes),
                "LOCAL_WORLD_SIZE": str(processes),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            }
            killed = kill if rank == 0 else None
            argv_ = [*argv, "--distributed_backend=gloo"]
            pids.append(self._start(argv_, killed, prelude, **environment))
        code = self._ask(wait=pids[0])
        for pid in pids[1:]:
            if code:
                os.killpg(pid, signal.SIGKILL)
            other = self._ask(wait=pid)
            code = code or other
        self._check(code)
        return code

    def close(self):
        self.lines.close()
        self.connection.close()
        if self.server:
            self.server.close()


class Program:
    """A program that the fork server has started; its output ends up in one file."""

    def __init__(self, launcher, pid, log):
        self.pid, self.returncode, self._launcher, self.log = pid, None, launcher, log

    def communicate(self, timeout=None):
        """Waits for its end; returns its output and no separate errors."""
        self.returncode = self._launcher._ask(wait=self.pid)
        return self.log.read_text(errors="replace"), None
