"""The tutorials of docs/tutorials run as they stand, offline, each in an empty folder.

Blocks are executed in their order: Python blocks share their names, as in one session;
bash blocks are commands of ``s3prl-sb`` and ``cat``; a block of another language whose
first line is a comment with the name of a file is written to it. A block of ``text``
is what the block before it prints: an ellipsis stands for any text, on a line of its
own for any lines.
"""

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest
from shell import environment, kill

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# (\S+\.\w+)\n")


def blocks(text):
    """The code blocks of a tutorial: (language, code, line)."""
    for match in BLOCK.finditer(text):
        yield match[1], match[2], text.count("\n", 0, match.start()) + 1


def matches(expected, printed):
    """Compares a text with what a tutorial shows, but for its ellipses and spaces."""
    words = [re.escape(part) for part in " ".join(expected.split()).split("…")]
    return bool(re.fullmatch(".*?".join(words), " ".join(printed.split())))


class Tutorial:
    """A tutorial, and the folder in which it is followed."""

    def __init__(self, folder, launcher):
        self.folder, self.launcher = folder / "place", launcher
        self.folder.mkdir()
        self.environment = environment(folder, ROOT)
        self.names, self.printed = {"__name__": "__main__"}, None

    def follow(self, language, code):
        """Does what a block says."""
        file = FILE.match(code)
        if language == "text":
            assert self.printed is not None, "nothing was printed before"
            assert matches(code, self.printed), f"printed:\n{self.printed}"
        elif language == "bash":
            commands = code.replace("\\\n", " ").splitlines()
            self.printed = "".join(map(self.command, commands))
        elif language == "python" and not file:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(code, self.names)
            self.printed = printed.getvalue()
        else:
            assert file, f"a block of {language} that names no file"
            (self.folder / file[1]).write_text(code)

    def command(self, line):
        """Runs a command; gives what it prints."""
        program, *words = shlex.split(line, comments=True)
        if program == "cat":
            return "".join((self.folder / word).read_text() for word in words)
        assert program == "s3prl-sb", f"{line}: only s3prl-sb and cat are known"
        script = shutil.which(program, path=self.environment["PATH"])
        process = self.launcher.program([script, *words], self.folder, self.environment)
        try:
            output = process.communicate(timeout=120)[0]
        finally:
            kill(process)
        assert process.returncode == 0, f"{line}\n{output[-4000:]}"
        return output


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_runs_as_it_stands(path, tmp_path, launcher, monkeypatch):
    tutorial = Tutorial(tmp_path, launcher)
    monkeypatch.chdir(tutorial.folder)
    for language, code, line in blocks(path.read_text("utf-8")):
        try:
            tutorial.follow(language, code)
        except Exception as error:
            raise AssertionError(f"{path.name}, line {line}: {error}") from error


def test_there_are_tutorials():
    assert len(TUTORIALS) >= 5
    for path in TUTORIALS:
        languages = [language for language, _, _ in blocks(path.read_text("utf-8"))]
        assert "text" in languages, f"{path.name} shows nothing that is printed"


@pytest.mark.parametrize(
    "expected, printed, same",
    [
        ("a b\n", "a  b", True),
        ("a\n…\nc\n", "a\nb\nb\nc\n", True),
        ("wer … %\n", "wer 4.2 %", True),
        ("a\n", "a\nb\n", False),
        ("a.c\n", "abc", False),
    ],
)
def test_what_is_printed_is_compared(expected, printed, same):
    assert matches(expected, printed) is same
