"""Log messages: their level, destination and format."""

import logging
import os
import signal
import subprocess
import sys
import sysconfig
import warnings

import pytest

from s3prl_sb.processes import interruption
from s3prl_sb.terminal import logs


@pytest.fixture
def said(tmp_path, capsys):
    """Sets up a run's logs; gives the console and the file."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    logs.to_console("stdout")
    logs.to_file(tmp_path / "log.txt")

    def get():
        captured = capsys.readouterr()
        text = (tmp_path / "log.txt").read_text().splitlines()
        # 2026-11-29 01:02:03 and what follows
        return captured.out, captured.err, [line[20:] for line in text]

    yield get
    logging.captureWarnings(False)
    for handler in list(root.handlers):
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)


def library(level, text, name="transformers.modeling_utils"):
    """A message from a module among the installed ones."""
    path = os.path.join(sysconfig.get_path("purelib"), "somewhere/module.py")
    record = logging.LogRecord(name, level, path, 1, text, (), None)
    logging.getLogger().handle(record)


def test_what_is_ours_is_said_as_it_is(said):
    logging.getLogger("s3prl_sb.brains.base").info("Step %d: 32.90 %%", 3)
    logging.getLogger("my_head").info("a module of my own")
    logging.getLogger("s3prl_sb.x").debug("details")
    out, err, file = said()
    assert out == "Step 3: 32.90 %\na module of my own\n" and not err
    assert file == out.splitlines()


def test_warnings_say_so_and_errors_go_apart(said):
    logging.getLogger("s3prl_sb.x").warning("odd")
    library(logging.WARNING, "your token expires", "huggingface_hub.login")
    logging.getLogger("s3prl_sb.x").error("no such file")
    out, err, file = said()
    assert out == (
        "Warning: odd\nWarning (huggingface_hub.login): your token expires\n"
    )
    assert err == "no such file\n" and file == (out + err).splitlines()


@pytest.mark.parametrize(
    "level, text, name",
    [
        (logging.WARNING, "torchvision is not available - cannot", "speechbrain.x"),
        (logging.INFO, "Gradscaler enabled: `False`", "speechbrain.core"),
        (logging.INFO, "Would load a checkpoint here, but none", "speechbrain.utils"),
        (logging.INFO, "Applied quirks (see `…`)", "speechbrain.utils.quirks"),
        (logging.DEBUG, "findfont: score(…) = 10.05", "matplotlib.font_manager"),
        (logging.WARNING, "findfont: Font family 'x' not found.", "matplotlib.font"),
        (logging.INFO, "generated new fontManager", "matplotlib.font_manager"),
        (logging.INFO, "anything at all", "httpx"),
    ],
)
def test_chatter_is_not_said(level, text, name, said):
    library(level, text, name)
    assert said() == ("", "", [])


def test_warnings_of_libraries_are_logged(said):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("the disk is slow", RuntimeWarning, stacklevel=1)
        warnings.warn("x is renamed", DeprecationWarning, stacklevel=1)
        warnings.warn("Glyph 27 (x) missing from font(s) DejaVu.", stacklevel=1)
    out, _, file = said()
    (line,) = file
    assert line.startswith("Warning: the disk is slow (RuntimeWarning, ")
    assert out == f"{line}\n"


def test_other_processes_leave_the_talking_to_the_first(said, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    logging.getLogger("s3prl_sb.x").info("progress")
    logging.getLogger("s3prl_sb.x").warning("a file is odd")
    assert said()[2] == ["Warning: a file is odd"]


def test_begun_twice_it_says_things_once(said, tmp_path):
    logs.to_console("stdout")
    logs.to_file(tmp_path / "log.txt")
    logging.getLogger("s3prl_sb.x").info("once")
    assert said()[0] == "once\n" and said()[2] == ["once"]


ENDS = """
import sys, time
from s3prl_sb.startup import excepthook
excepthook.install()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "number, status, word",
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
)
def test_a_signal_ends_in_one_line(number, status, word, tmp_path):
    script = tmp_path / "train.py"
    script.write_text(ENDS)
    process = subprocess.Popen(
        [sys.executable, script.name, "a b.yaml", "--lr=0.1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status and not out
    command = "python train.py 'a b.yaml' --lr=0.1"
    assert err == f"{word}. To go on from where it was: {command}\n"


@pytest.mark.parametrize("verb", ["superb", "download", "convert", "predict"])
def test_verbs_end_so_too(verb, monkeypatch, capsys):
    from s3prl_sb import cli

    class Parsed:
        trust = False

        @staticmethod
        def verb(arguments):
            assert arguments.rest == []
            raise interruption.Terminated

    class Parser:
        parse_known_args = staticmethod(lambda argv: (Parsed(), []))

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "parser", lambda: Parser)
    try:
        assert cli.main([verb, "a"]) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("Terminated.")
    assert (f"s3prl-sb {verb} a" in line) == (verb != "predict")
    assert ("go on" in line) == (verb in interruption.RESUMES)


def test_the_command_as_it_was_typed():
    from s3prl_sb import resources

    folder = resources.recipes()["SUPERB/KS"]
    script, default = str(folder / "train.py"), str(folder / "hparams/train.yaml")
    found = interruption.command([script, default, "--lr", "0.1"])
    assert found == ["s3prl-sb", "run", "SUPERB/KS", "--lr", "0.1"]
    found = interruption.command([script, "mine.yaml"])
    assert found == ["s3prl-sb", "run", "SUPERB/KS", "mine.yaml"]
    assert interruption.command(["train.py", "x"]) == ["python", "train.py", "x"]
