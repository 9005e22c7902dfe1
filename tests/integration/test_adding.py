"""The pull requests that CONTRIBUTING.md describes, and `s3prl-sb new` elsewhere."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launching import Launcher, Server
from shell import environment, kill

from s3prl_sb.cli import main
from s3prl_sb.commands.new import KINDS

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
GUIDE = GUIDE.partition("\n## Adding things\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```bash\n(.*?)^```", GUIDE, re.M | re.S)


def run(commands, folder, variables, launcher):
    """Runs lines of a shell, all of which must succeed; gives their output."""
    said = []
    for line in commands.replace("\\\n", " ").splitlines():
        program, *words = shlex.split(line)
        if program != "python":
            words.insert(0, shutil.which(program, path=variables["PATH"]))
        process = launcher.program(words, folder, variables)
        try:
            said.append(process.communicate()[0])
        finally:
            kill(process)
        assert process.returncode == 0, f"{line}\n{said[-1][-6000:]}"
    return "".join(said)


def git(*arguments, folder=ROOT):
    command = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org"]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the tree, under version control."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("no checkout under git")
    copy = tmp_path_factory.mktemp("copied") / "checkout"
    for name in git("ls-files", "--cached", "--others", "--exclude-standard"):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for path in (ROOT / "s3prl_sb").rglob("__pycache__"):  # by the time of the source
        compiled = copy / path.relative_to(ROOT)
        if compiled.parent.is_dir():
            shutil.copytree(path, compiled)
    git("init", "-q", folder=copy)
    git("add", "--all", folder=copy)
    git("commit", "-q", "--message", "before", folder=copy)
    return copy


@pytest.fixture(scope="module")
def server(copied):
    """Runs programs of the copy without waiting for imports."""
    server = Server(copied)
    yield server
    server.close()


@pytest.fixture
def checkout(copied):
    """The copy as it was committed; what Python has compiled is ignored and stays."""
    yield copied
    git("reset", "-q", "--hard", folder=copied)
    git("clean", "-q", "-fd", folder=copied)


def promised(kind):
    """The files that the table of CONTRIBUTING.md names for a kind."""
    [row] = [line for line in GUIDE.splitlines() if line.startswith(f"| {kind} |")]
    return {name for name in re.findall(r"`([\w./]+)`", row) if f"my_{kind}" in name}


@pytest.mark.parametrize("kind", KINDS)
def test_pull_request(kind, checkout, server, tmp_path):
    """Its commands pass, and change no file beyond the promised ones."""
    [commands] = [b for b in BLOCKS if b.startswith(f"s3prl-sb new {kind} my_{kind}\n")]
    launcher = Launcher(tmp_path / "log.txt", server)
    variables = {**environment(tmp_path, checkout), **launcher.variables}
    output = run(commands, checkout, variables, launcher)
    launcher.close()
    assert "skipped" not in output or kind == "corpus"  # its toy needs an extra
    changes = git("status", "--porcelain", "--untracked-files=all", folder=checkout)
    assert set(changes) == {f"?? {name}" for name in promised(kind)}
    if importlib.util.find_spec("ruff"):
        paths = sorted(name for name in promised(kind) if name.endswith(".py"))
        check = [sys.executable, "-m", "ruff", "check", "--no-cache", *paths]
        done = subprocess.run(check, cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_outside_a_checkout(kind, launcher, tmp_path, monkeypatch, capsys):
    """The commands that `new` prints pass; test_templates runs those in the READMEs."""
    name = f"tiny_{kind}"
    monkeypatch.chdir(tmp_path)
    assert main(["new", kind, name]) == 0
    output = capsys.readouterr().out
    made = set(re.findall(r"^made  (\S+)$", output, re.M))
    assert {
        str(path.relative_to(tmp_path))
        for path in (tmp_path / name).rglob("*")
        if path.is_file()
    } == made
    text = "".join((tmp_path / path).read_text() for path in made)
    assert not re.search(rf"(?i)my_?{kind}\b", text)
    steps = re.findall(r"^next  (.*)$", output, re.M)
    steps = [step.removeprefix(f"cd {name} && ") for step in steps]
    assert any("pytest" in step for step in steps)
    readme = (tmp_path / name / "README.md").read_text().splitlines()
    left = [step for step in steps if step not in readme and "DIR" not in step]
    place = tmp_path if kind == "task" else tmp_path / name
    variables = {**environment(tmp_path, ROOT), **launcher.variables}
    output = run("\n".join(left), place, variables, launcher)
    assert "pytest" not in "".join(left) or re.search(r"\b[1-9]\d* passed", output)
