"""A tiny corpus, and recipes run on it as their users run them.

Executed as a script this file is a fork server: it imports the heavy packages
once, and then starts each recipe within milliseconds, in a process (and
process group) of its own that can be killed at will.
"""

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LABELS = ("cat", "dog", "fox", "owl")
KS = REPOSITORY / "recipes/SUPERB/KS"
SID = REPOSITORY / "recipes/SUPERB/SID"
HEAVY = (
    "matplotlib.backends.backend_agg",
    "multiprocessing.synchronize",
    "s3prl_sb.brains.classification",
    "s3prl_sb.brains.ctc",
    "s3prl_sb.brains.diarization",
    "s3prl_sb.brains.pretraining_run",
    "s3prl_sb.brains.retrieval",
    "s3prl_sb.brains.running",
    "s3prl_sb.brains.tensorboard",
    "s3prl_sb.brains.train_log",
    "s3prl_sb.brains.verification",
    "s3prl_sb.corpora.ami",
    "s3prl_sb.corpora.librispeech",
    "s3prl_sb.corpora.speech_commands",
    "s3prl_sb.corpora.voxceleb1_asv",
    "s3prl_sb.lobes.causality",
    "s3prl_sb.lobes.heads.diarization",
    "s3prl_sb.lobes.heads.utterance",
    "s3prl_sb.lobes.margin_losses",
    "s3prl_sb.lobes.heads.blstm",
    "s3prl_sb.lobes.upstreams.hubert",
    "s3prl_sb.lobes.heads.xvector",
    "s3prl_sb.objectives.apc",
    "s3prl_sb.objectives.best_rq",
    "s3prl_sb.objectives.distillation",
    "s3prl_sb.objectives.masked_prediction",
    "s3prl_sb.objectives.masked_reconstruction",
    "s3prl_sb.objectives.npc",
    "s3prl_sb.objectives.wav2vec2",
    "s3prl_sb.startup.experiment",
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
TINY = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config:
        hidden_size: 32
        ffn_size: 64
        num_layers: 2
        num_heads: 4
        conv_layers: [[16, 10, 5], [16, 8, 4], [16, 4, 4], [16, 2, 2]]
"""


# ------------------------------------------------------------ the fork server
def serve():
    """Starts and awaits the recipes that lines of JSON on stdin ask for."""
    answers = os.fdopen(os.dup(1), "w")
    for module in HEAVY:
        try:
            importlib.import_module(module)
        except ImportError:  # an extra
            pass
    warm_up()
    gc.collect()
    gc.freeze()  # a recipe does not go through what is imported here
    print('"ready"', file=answers, flush=True)
    running = set()
    for line in sys.stdin:
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


def warm_up():
    """Fills the caches that every recipe would fill: files that no test changes."""
    from s3prl_sb import resources
    from s3prl_sb.brains import base, plots
    from s3prl_sb.identity.code import code_of
    from s3prl_sb.lobes.upstreams.hubert import Hubert
    from s3prl_sb.schema.keys import Schema
    from s3prl_sb.startup.snapshot import environment

    environment()
    code_of([base.SSLBrain, Hubert])
    for name in resources.recipe_files():
        Schema.of_recipe(name)
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
    import runpy

    os.setsid()
    with open(order["log"], "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    code = 1
    try:
        sys.argv = order["argv"]
        sys.path[0] = str(Path(sys.argv[0]).parent)
        os.environ.update(order["environment"])
        if not order["plots"]:  # as if matplotlib were not installed
            sys.modules["matplotlib.figure"] = None
        exec(order["prelude"], {})
        if order["kill"]:
            _kill_at(**order["kill"])
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


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
    serve()
    sys.exit()

# ----------------------------------------------------------------- the corpus
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import soundfile  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402

os.environ["OMP_NUM_THREADS"] = "1"  # of every process that is started here


def clip(label, number, seconds=None):
    """A tone in noise: the same samples for the same arguments."""
    rng = np.random.default_rng([LABELS.index(label), number])
    seconds = seconds or 0.3 + 0.7 * rng.random()
    time = np.arange(int(seconds * 16000)) / 16000
    pitch = 300 * 1.3 ** (LABELS.index(label) + rng.normal(0, 0.5))
    tone = 0.1 * np.sin(2 * np.pi * pitch * time)
    return (tone + rng.normal(0, 0.05, len(time))).astype("float32")


def make_corpus(folder, clips=12):
    """``clips`` recordings of each label, two each for validation and test."""
    lists = {"validation": [], "testing": []}
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for number in range(clips):
            name = f"{label}/{number:08x}_nohash_0.wav"
            soundfile.write(folder / name, clip(label, number), 16000)
            if number < 4:
                lists[("validation", "testing")[number % 2]].append(name)
    for split, names in lists.items():
        (folder / f"{split}_list.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """48 clips of four labels. Not to be changed; make your own for that."""
    return make_corpus(tmp_path_factory.mktemp("corpus") / "animals")


@pytest.fixture(scope="session")
def tiny_card(tmp_path_factory):
    """The card of a random HuBERT of two small layers."""
    path = tmp_path_factory.mktemp("card") / "tiny.yaml"
    path.write_text(TINY)
    return path


# ---------------------------------------------------------------- the recipes
def command(recipe, output, *options, hparams=None, **overrides):
    """The arguments of a recipe: ``train.py hparams/train.yaml --key value …``."""
    overrides = {
        "output_folder": output,
        "cache_folder": Path(output, "cache"),
        **overrides,
    }
    listed = [part for k, v in overrides.items() for part in (f"--{k}", str(v))]
    hparams = hparams or recipe / "hparams/train.yaml"
    return [
        str(recipe / "train.py"),
        str(hparams),
        "--noprogressbar",
        *options,
        *listed,
    ]


def run(argv, launcher=(), check=True, timeout=120):
    """Runs a recipe as a user would; gives its output. Leaves nothing running."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *launcher, *argv],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output = process.communicate(timeout=timeout)[0]
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert not check or process.returncode == 0, output[-4000:]
    return output


class Launcher:
    """Starts recipes through the fork server."""

    def __init__(self, log):
        self.log = log
        self.server = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(log, "ab"),
        )
        self._answer()

    def _ask(self, **order):
        print(json.dumps(order), file=self.server.stdin, flush=True)
        return self._answer()

    def _answer(self):
        line = self.server.stdout.readline()
        assert line, self.log.read_text(errors="replace")[-4000:]
        return json.loads(line)

    def _start(self, argv, kill=None, prelude="", log=None, plots=False, **environment):
        return self._ask(
            argv=argv,
            log=str(log or self.log),
            kill=kill,
            prelude=prelude,
            plots=plots,
            environment=environment,
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
        log = self.log.with_name("failure.txt")
        log.write_text("")
        code = self._ask(wait=self._start(argv, log=log))
        text = log.read_text(errors="replace")
        assert code == 1, f"exit code {code}\n{text[-4000:]}"
        return text.rpartition("Traceback (most recent call last):")[2]

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
        self.server.stdin.close()
        self.server.wait(60)


@pytest.fixture(scope="session")
def launcher(tmp_path_factory):
    """Runs recipes without waiting for imports."""
    launcher = Launcher(tmp_path_factory.mktemp("launcher") / "log.txt")
    yield launcher
    launcher.close()


# ----------------------------------------------------------------- the outcome
def best_checkpoint(output):
    """The folder of the checkpoint that was evaluated; None: nothing is trained."""
    found = results(output)
    if not found["total_steps"]:
        return None
    step = found["best_step"]
    for path in Path(output, "save").glob("CKPT*/brain.ckpt"):
        if yaml.safe_load(path.read_text())["optimizer_step"] == step:
            return path.parent
    raise AssertionError(f"no checkpoint of step {step} in {output}")


def trained(output):
    """{name: tensor or number} of all that the best checkpoint holds."""
    found = {}

    def collect(name, value):
        items = None
        if isinstance(value, dict):
            items = value.items()
        elif isinstance(value, (list, tuple)):
            items = enumerate(value)
        if items is None:
            found[name] = value
        for key, item in items or ():
            collect(f"{name}.{key}", item)

    checkpoint = best_checkpoint(output)
    for path in sorted(checkpoint.glob("*.ckpt")) if checkpoint else ():
        try:
            collect(path.stem, torch.load(path, weights_only=True))
        except Exception:  # a counter, the steps: plain text
            collect(path.stem, path.read_text())
    return found


def results(output):
    """``results.json``, less what tells one run of the same from another."""
    found = json.loads(Path(output, "results.json").read_text())
    for name in ("seconds", "peak_memory_gb"):
        del found[name]
    for name in ("settings", "defaults"):  # where its features lie, how lr was found
        for key in ("cache_folder", "lr_search"):
            (found.get(name) or {}).pop(key, None)
    return found


def assert_same_outcome(output, expected):
    """Every bit that was trained, each prediction and the results."""
    weights, others = trained(output), trained(expected)
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        same = (
            torch.equal(value, others[name])
            if torch.is_tensor(value)
            else (value == others[name])
        )
        assert same, f"{name} differs"
    files = [Path(folder, "predictions.csv") for folder in (output, expected)]
    ours, theirs = (path.read_text() if path.exists() else None for path in files)
    assert ours == theirs  # a pre-training has none
    assert results(output) == results(expected)
