"""Tests do not depend on how they are started, and leave no process behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FAILING = """
import subprocess, sys

TREE = '''
import os, subprocess, sys
child = subprocess.Popen(["sleep", "100"], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
if sys.argv[1] == "stays":
    child.wait()
'''

def start(how):
    process = subprocess.Popen(
        [sys.executable, "-c", TREE, how], stdout=subprocess.PIPE, text=True
    )
    for pid in process.stdout.readline().split():
        with open(f"/proc/{pid}/status") as file:
            ignored = next(line for line in file if line.startswith("SigIgn"))
        print("started", pid, int(ignored.split()[1], 16), flush=True)

def test_of_a_tree():
    start("stays")
    raise ValueError

def test_of_an_orphan():
    start("ends")
    raise ValueError
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_a_failing_test_starts_ends_with_it(tmp_path):
    """Trees and orphans, in another session, where the shell ignores signals."""
    (tmp_path / "test_failing.py").write_text(FAILING)
    line = [sys.executable, "-m", "pytest", "-p", "conftest", "-c", os.devnull]
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT TERM HUP; exec "$@"', "sh", *line, "test_failing.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"},
        capture_output=True,
        text=True,
    )
    assert "2 failed" in done.stdout, done.stdout + done.stderr
    started = [line.split() for line in done.stdout.splitlines() if "started" in line]
    pids, masks = zip(*(words[1:] for words in started if len(words) == 3))
    assert len(pids) == 4
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        assert not [mask for mask in masks if int(mask) >> (number - 1) & 1], number
