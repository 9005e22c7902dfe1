"""The templates do what their READMEs say: the commands are taken from there.

Each template is made by `s3prl-sb new`, or copied. Every command of its README is run,
in its order, with paths of tiny corpora of tones and a smaller budget. A command that
is added to a README and not to its test is a failure.
"""

import json
import re
import shlex
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from shell import environment, kill

from s3prl_sb.commands.new import KINDS, make

REPOSITORY = Path(__file__).resolve().parents[2]
PITCHES = {"low": 300, "mid": 900, "high": 2700}  # Hz
BUDGET = "--total_steps 60 --steps_per_epoch 20 --lr 0.003 --noprogressbar"
NO_WORKERS = " ".join(
    f"--{split}_dataloader_opts '{{num_workers: 0}}'"
    for split in ("train", "valid", "test")
)
KS = f"--labels folders --version v0.02 {BUDGET} {NO_WORKERS}"


# ------------------------------------------------------------------ the corpora
def tone(path, label, number, rate=16000):
    """A tone of the label's pitch, more or less, in some noise."""
    random = np.random.default_rng([PITCHES[label], number])
    seconds = np.arange(int(rate * (0.2 + 0.2 * random.random()))) / rate
    pitch = PITCHES[label] * (1 + 0.05 * random.normal())
    wav = 0.3 * np.sin(2 * np.pi * pitch * seconds)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wav + 0.01 * random.normal(size=len(wav)), rate)
    return path


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """``<label>/<number>.wav``, with the lists of Speech Commands."""
    folder = tmp_path_factory.mktemp("words")
    lists = {"validation": [], "testing": []}
    for label in PITCHES:
        for number in range(15):
            tone(folder / label / f"{number:02d}.wav", label, number)
            if number % 5 > 2:
                split = ("validation", "testing")[number % 5 - 3]
                lists[split].append(f"{label}/{number:02d}.wav")
    for split, names in lists.items():
        (folder / f"{split}_list.txt").write_text("\n".join(names))
    return folder


# ------------------------------------------------------------------ the READMEs
class Readme:
    """A copy of a template, and the commands of its README one after the other."""

    def __init__(self, template, folder, launcher):
        self.launcher = launcher
        self.folder = copy = folder / template
        kind = template.removeprefix("new_")
        if kind == "task":  # whose commands name its folder
            self.folder, copy = folder, folder / "my_task"
        if kind in KINDS:
            make(kind, f"my_{kind}", copy)
        else:
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / "templates" / template, copy, ignore=skipped)
        self.text = (copy / "README.md").read_text()
        lines = "".join(self.blocks("bash")).replace("\\\n", " ").splitlines()
        self.commands = [" ".join(line.split()) for line in lines]
        self.environment = environment(folder, REPOSITORY)

    def blocks(self, language):
        """The code blocks of a language."""
        return re.findall(rf"^```{language}\n(.*?)^```", self.text, re.M | re.S)

    def start(self, beginning, more="", **places):
        """Starts the next command, which must begin so.

        ``more`` is appended to it; ``places`` are corpora and files, by the last part
        of their path in the README (``a.wav`` is ``a``).
        """
        command = self.commands.pop(0)
        assert command.startswith(beginning), f"README: {command}"
        for name, place in places.items():
            command, found = re.subn(
                rf"/corpora/\S*\b{name}\b|\b{name}\.wav", str(place), command
            )
            assert found, f"no {name} in README: {command}"
        assert "/corpora" not in command, command
        return self.launcher.program(
            self.words(f"{command} {more}"), self.folder, self.environment
        )

    def words(self, command):
        """The arguments of the interpreter for a command, without a shell."""
        program, *words = shlex.split(command)
        files = {word: sorted(self.folder.glob(word)) for word in words if "*" in word}
        words = [str(name) for word in words for name in files.get(word, [word])]
        if program == "s3prl-sb":
            return [shutil.which(program, path=self.environment["PATH"]), *words]
        assert program == "python", command
        return words

    def finish(self, process):
        """The output of a command that was started; it must succeed."""
        try:
            output = process.communicate(timeout=100)[0]
        finally:
            kill(process)
        assert process.returncode == 0, output[-4000:]
        return output

    def run(self, beginning, more="", **places):
        """Runs the next command; gives its output."""
        return self.finish(self.start(beginning, more, **places))

    def results(self, run):
        """The results.json of a run."""
        return json.loads((self.folder / run / "results.json").read_text())

    def done(self):
        """There are no commands left."""
        assert not self.commands, f"not tested: {self.commands}"


def prediction(output, wav):
    """The label and score that ``s3prl-sb predict`` has printed for a file."""
    (line,) = [line for line in output.splitlines() if line.startswith(f"{wav}\t")]
    _, label, score = line.split("\t")
    return label, float(score)


# -------------------------------------------------------------------- the tests
def test_new_upstream(tmp_path, words, launcher, monkeypatch):
    import torch

    readme = Readme("new_upstream", tmp_path, launcher)
    monkeypatch.syspath_prepend(readme.folder)
    from my_upstream import MyUpstream

    config = {"hidden_size": 48, "num_layers": 1}
    weights = MyUpstream(config=config, seed=1).network.state_dict()
    torch.save({"config": config, "model": weights}, readme.folder / "my.ckpt")

    trusted = readme.run("s3prl-sb trust").strip()
    assert trusted == f"trusted: {readme.folder.resolve()}"
    # Two at a time: most of each is waiting for imports.
    check, tests = (
        readme.start("s3prl-sb check"),
        readme.start("python -m pytest", "-q"),
    )
    assert "ok  same features in any company" in readme.finish(check)
    assert re.search(r"\b9 passed", readme.finish(tests))

    runs = [
        readme.start("s3prl-sb run SUPERB/KS", KS, speech_commands=words) for _ in "12"
    ]
    # The folder of a card.yaml; a folder that is named in the README.
    for process, run, layers in zip(
        runs, ("new_upstream/1986", "my_checkpoint"), (3, 2)
    ):
        readme.finish(process)
        found = readme.results(f"results/KS/{run}")
        assert found["task"] == "SUPERB/KS"
        assert len(found["layer_weights"]) == layers  # the checkpoint has its own
        assert found["metrics"]["accuracy"] > 0.6  # chance: 1/3
    table = readme.run("s3prl-sb results").splitlines()
    assert len(table) == 3 and all("SUPERB/KS" in line for line in table[1:])

    wav = words / "high/04.wav"  # of the test set
    label, _ = prediction(readme.run("s3prl-sb predict", a=wav), wav)
    assert label in PITCHES
    readme.done()


def test_new_task(tmp_path, launcher, monkeypatch):
    recordings = tmp_path / "recordings"
    for label in PITCHES:
        for speaker in ("ann", "bob"):
            for number in range(16):
                wav = recordings / f"{label}_{speaker}_{number}.wav"
                tone(wav, label, number + 100 * (speaker == "bob"), rate=8000)
    readme = Readme("new_task", tmp_path, launcher)
    output = "results/my_task/fbank_no_cmvn/1986"
    epochs = 10
    budget = f"--total_steps {20 * epochs} --steps_per_epoch 20 --noprogressbar"
    train = readme.commands[0]

    # Killed when its first epoch is in the log, and run again.
    process = readme.start("s3prl-sb run my_task", budget, recordings=recordings)
    deadline = time.monotonic() + 60
    try:
        while not (readme.folder / output / "train_log.txt").is_file():
            assert time.monotonic() < deadline, process.log.read_text()
            time.sleep(0.01)
    finally:
        kill(process)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (readme.folder / output / "results.json").exists()
    readme.commands.insert(0, train)
    log = readme.run("s3prl-sb run my_task", budget, recordings=recordings)
    assert re.search(r"^The run goes on: step \d+ of", log, re.M)
    lines = (readme.folder / output / "train_log.txt").read_text().splitlines()
    logged = [int(re.match(r"epoch: (\d+)", line)[1]) for line in lines[:-1]]
    assert logged == sorted(set(logged)) and logged[-1] == epochs
    assert len(logged) >= epochs - 1  # killed before an epoch's line was written

    found = readme.results(output)
    assert found["task"] == "my_task"
    assert found["utterances"] == {"train": 36, "valid": 30, "test": 30}
    assert found["metrics"]["accuracy"] > 0.9  # chance: 1/3
    # Smoothed labels: the loss of training cannot fall below their entropy.
    losses = [float(re.search(r"train loss: (\S+)", line)[1]) for line in lines[:-1]]
    floor = -((1 - 0.2 / 3) * np.log(1 - 0.2 / 3) + 2 * (0.1 / 3) * np.log(0.1 / 3))
    assert min(losses) > floor - 1e-3
    rows = (readme.folder / output / "predictions.csv").read_text().splitlines()
    assert len(rows) == 31 and rows[0] == "id,label,prediction,score"

    assert "my_task" in readme.run("s3prl-sb results")
    readme.run("s3prl-sb export")
    wavs = [recordings / f"{label}_bob_0.wav" for label in PITCHES]
    table = readme.run("s3prl-sb predict", a=" ".join(map(str, wavs)))
    for wav, label in zip(wavs, PITCHES):
        assert prediction(table, wav)[0] == label
    readme.done()

    (block,) = readme.blocks("python")
    monkeypatch.chdir(readme.folder)
    shutil.copy(wavs[0], "a.wav")
    namespace = {}
    exec(block, namespace)
    assert namespace["label"] == "low" and namespace["score"] > 0.4


def test_use_in_speechbrain(tmp_path, words, launcher, monkeypatch):
    readme = Readme("use_in_speechbrain", tmp_path, launcher)
    assert "import s3prl_sb" not in (readme.folder / "train.py").read_text()
    assert "from s3prl_sb" not in (readme.folder / "train.py").read_text()
    options = "--noprogressbar", "--noprogressbar --number_of_epochs 2"
    for process in [
        readme.start("python train.py", more, words=words) for more in options
    ]:
        readme.finish(process)
    readme.done()
    held = {}
    for run in ("1986", "tuned"):
        folder = readme.folder / "results" / run
        last = (folder / "train_log.txt").read_text().splitlines()[-1]
        assert float(re.search(r"test error: (\S+)", last)[1]) < 0.4  # chance: 2/3
        checkpoint = sorted((folder / "save").glob("CKPT*"))[-1]
        held[run] = {path.name for path in checkpoint.iterdir()}
    # The model is in the checkpoints if it is trained, the weights of the sum always.
    assert "ssl.ckpt" not in held["1986"] and "ssl.ckpt" in held["tuned"]
    assert all("featurizer.ckpt" in names for names in held.values())

    # Returns the code blocks, with local files instead of downloads.
    from hyperpyyaml import load_hyperpyyaml

    pieces = [block.replace("hubert_base", "fbank") for block in readme.blocks("yaml")]
    modules = SimpleNamespace(
        **{
            name: module
            for piece in pieces
            for name, module in load_hyperpyyaml(piece).items()
        }
    )
    wavs, found = torch.randn(2, 8000), {}
    for piece in readme.blocks("python"):
        found = {"self": SimpleNamespace(modules=modules), "wavs": wavs}
        found["wav_lens"] = torch.tensor([1.0, 0.5])
        exec(piece, found)
        assert found["features"].shape == (2, 48, modules.ssl.output_size)


def test_new_corpus(tmp_path, launcher):
    corpus = tmp_path / "corpus"
    lines = []
    for label in PITCHES:
        for speaker in range(1, 7):
            for number in range(3):
                wav = f"audio/s0{speaker}/{label}{number}.wav"
                tone(corpus / wav, label, 10 * speaker + number)
                lines.append(f"{wav}\t{label}\n")
    (corpus / "labels.tsv").write_text("".join(lines))
    readme = Readme("new_corpus", tmp_path, launcher)
    assert re.search(r"\b6 passed", readme.run("python -m pytest", "-q"))
    readme.run("python -c", my_corpus=corpus)
    manifests = {
        split: json.loads((readme.folder / f"manifests/{split}.json").read_text())
        for split in ("train", "valid", "test")
    }
    assert {n: len(records) for n, records in manifests.items()} == {
        "train": 27,
        "valid": 9,
        "test": 18,
    }
    readme.run("s3prl-sb run SUPERB/KS", f"{BUDGET} {NO_WORKERS}")
    found = readme.results("results/my_corpus")
    assert found["utterances"]["test"] == 18
    assert found["metrics"]["accuracy"] > 0.9  # chance: 1/3
    readme.done()


def test_every_template_is_tested():
    texts = [path.read_text() for path in Path(__file__).parent.glob("test_*.py")]
    folders = {
        path.name for path in (REPOSITORY / "templates").iterdir() if path.is_dir()
    }
    tested = {
        name
        for name in folders
        if any(f"def test_{name}(" in t or f'"templates/{name}"' in t for t in texts)
    }
    assert folders <= tested
    for folder in sorted(REPOSITORY / "templates" / name for name in folders):
        text = (folder / "README.md").read_text()
        named = set(
            re.findall(r"`((?:hparams/)?\w+\.(?:py|yaml))`", text.split("##")[0])
        )
        for name in named:
            assert (folder / name).is_file(), f"{folder}: {name}"
