"""A fork server: it imports the heavy packages once, and then starts each recipe in
a process (and process group) of its own. ``launching.py`` has its users.
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
import sys
import tempfile
import time
from pathlib import Path

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
    shutil.rmtree(Path(address).parent)


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
    try:
        for line in connection.makefile():
            order = json.loads(line)
            if "wait" in order:
                answer = _await(order["wait"], connection)
                running.discard(order["wait"])
            else:
                answer = os.fork() or _become_recipe(order)
                running.add(answer)
            print(json.dumps(answer), file=answers, flush=True)
    except OSError:  # who has asked was killed, and does not read the answer
        pass
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


def _await(pid, connection, seconds=300):  # many times what one takes, if busy, too
    """The exit code of a recipe; one that hangs is killed, and named so.

    It is also killed when nobody waits for it any more: the connection is closed.
    """
    end, is_closed = time.monotonic() + seconds, False
    while time.monotonic() < end and not is_closed:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        is_closed = bool(select.select([connection], [], [], 0.01)[0])
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


if __name__ == "__main__":
    main(sys.argv[1])
