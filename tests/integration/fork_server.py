"""Programs that start within milliseconds, and can be killed at any point.

Executed as a script this file is a fork server: it imports the heavy packages
once, and then starts each recipe in a process (and process group) of its own.
One server is enough for all processes of tests: $S3PRL_SB_FORK_SERVER names it.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
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
#: Rooms of which a recipe may import any module.
ROOMS = ("brains", "corpora", "dataio", "lobes.heads", "objectives", "startup")
#: What they import only when they need it.
HEAVY = (
    "matplotlib.backends.backend_agg",
    "multiprocessing.synchronize",
    "s3prl_sb.lobes.causality",
    "s3prl_sb.lobes.margin_losses",
    "s3prl_sb.lobes.spec_augment",
    "s3prl_sb.lobes.upstreams.hubert",
    "s3prl_sb.lobes.upstreams.mos_prediction",
    "s3prl_sb.units.recipe",
    "safetensors.torch",
    "sklearn.cluster",
    "speechbrain.nnet.losses",
    "speechbrain.utils.train_logger",
    "tensorboard.plugins.hparams.metadata",
    "torch._dynamo",
    "torch.utils.serialization.config",
    "torch.utils.tensorboard",
    "torchaudio.functional",
)


def main(address):
    """Gives each process that connects a server of its own, until stdin is closed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    prepared = False
    while True:
        if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
            break
        if not prepared:  # as soon as there is somebody who needs it
            prepare()
            prepared = True
        connection, _ = listener.accept()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not os.fork():
            listener.close()
            serve(connection)
            os._exit(0)
        connection.close()


def prepare():
    """Imports what recipes import."""
    for module in (*HEAVY, *modules()):
        try:
            importlib.import_module(module)
        except ImportError:  # an extra
            pass
    warm_up()
    # No test cuts the power: a killed program's files are there without.
    os.fsync = lambda descriptor: None
    gc.collect()
    gc.freeze()  # a recipe does not go through what is imported here


def serve(connection):
    """Starts and awaits the recipes that lines of JSON ask for."""
    answers = connection.makefile("w")
    print(json.dumps(dict(os.environ)), file=answers, flush=True)
    running = set()
    for line in connection.makefile():
        order = json.loads(line)
        if "wait" in order:
            answer = _await(order["wait"])
            running.discard(order["wait"])
        else:
            answer = os.fork() or _become_recipe(order)
            running.add(answer)
        print(json.dumps(answer), file=answers, flush=True)
    for pid in running:  # of tests that failed before they awaited it
        os.killpg(pid, signal.SIGKILL)


def modules():
    """Yields the names of the modules of :data:`ROOMS`."""
    for room in ROOMS:
        package = importlib.import_module(f"s3prl_sb.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            yield module.name


def warm_up():
    """Fills the caches that every recipe would fill: files that no test changes."""
    from s3prl_sb import resources
    from s3prl_sb.brains import base, plots
    from s3prl_sb.identity.code import code_of
    from s3prl_sb.lobes.upstreams.hubert import Hubert
    from s3prl_sb.runs import suites
    from s3prl_sb.schema.keys import Schema
    from s3prl_sb.startup.snapshot import environment

    environment()
    code_of([base.SSLBrain, Hubert])
    for name in resources.recipe_files():
        Schema.of_recipe(name)
    for name in suites.names():
        suites.suite(name)
    with tempfile.TemporaryDirectory() as folder:
        plots.layer_weights(Path(folder, "fonts.png"), [0, 1], [0.5, 0.5])


def _await(pid, seconds=300):  # many times what one takes, on a busy machine too
    """The exit code of a recipe; one that hangs is killed, and named so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return f"hangs: killed after {seconds} s"


def _become_recipe(order):
    """In the forked child: the recipe, with its output in a file."""
    os.setsid()
    with open(order["log"], "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    code = 1
    try:
        os.chdir(order["folder"])
        os.environ.update(order["environment"])
        if not order["plots"]:  # as if matplotlib were not installed
            sys.modules["matplotlib.figure"] = None
        exec(order["prelude"], {})
        if order["kill"]:
            _kill_at(**order["kill"])
        _execute(order["argv"])
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except BaseException:
        import traceback

        if order["hook"]:
            sys.excepthook(*sys.exc_info())
        else:
            traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()  # as an interpreter does, and os._exit does not
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


class _Replaced(BaseException):
    """A process becomes another command of the same interpreter."""


def _execute(argv):
    """Does what ``python argv …`` would: a script, ``-m`` a module, ``-c`` a line."""
    import runpy

    def execv(program, words):
        raise _Replaced(words[1:]) if program == sys.executable else OSError(program)

    os.execv = execv
    while argv:
        first, *rest = argv
        is_file = first not in ("-m", "-c")
        sys.argv = list(argv) if is_file else rest
        sys.path[0] = str(Path(first).parent) if is_file else os.getcwd()
        argv = None
        try:
            if is_file:
                runpy.run_path(first, run_name="__main__")
            elif first == "-m":
                runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
            else:
                exec(rest[0], {"__name__": "__main__"})
        except _Replaced as replaced:
            argv = replaced.args[0]


def _kill_at(point, call, how):
    """Kills this process group at the ``call``-th call of a function.

    ``how``: "before" or "after" the call; "half": when half of the file that
    it writes is on the disk.
    """
    from pydoc import locate

    owner, _, name = point.rpartition(".")
    owner = locate(owner)
    original, count, parent = getattr(owner, name), [0], os.getpid()

    def counting(*args, **kwargs):
        count[0] += os.getpid() == parent
        due = count[0] == call and os.getpid() == parent
        if due and how == "before":
            os.killpg(0, signal.SIGKILL)
        try:
            return original(*args, **kwargs)
        finally:
            if due and how == "half":
                path = next(a for a in args if isinstance(a, (str, Path)))
                os.truncate(path, os.path.getsize(path) // 2)
            if due:
                os.killpg(0, signal.SIGKILL)

    setattr(owner, name, counting)


class Server:
    """A fork server; it imports nothing before the first :class:`Launcher`."""

    def __init__(self, root=REPOSITORY):
        self.folder = tempfile.mkdtemp(prefix="fork")  # short: addresses are
        self.address = f"{self.folder}/socket"
        self.process = subprocess.Popen(
            [sys.executable, f"{root}/tests/integration/fork_server.py", self.address],
            env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
        )
        self.variables = {VARIABLE: f"{root}:{self.address}"}

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        shutil.rmtree(self.folder)


class Launcher:
    """Starts recipes through the fork server of a checkout.

    ``server`` is used instead of one that the environment names for this checkout.
    """

    def __init__(self, log, server=None):
        self.log, self.server = log, None
        root, _, address = os.environ.get(VARIABLE, "").rpartition(":")
        if server is not None:
            address = server.address
        elif root != str(REPOSITORY):
            self.server = Server()
            address = self.server.address
        self.connection = socket.socket(socket.AF_UNIX)
        for _ in range(600):  # until it listens
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                self.connection.connect(address)
                break
            time.sleep(0.05)
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


if __name__ == "__main__":
    main(sys.argv[1])
