"""Small jobs for the tests of engines."""

import sys
import time

from s3prl_sb.engines.jobs import Job

CODE = """
import os, sys, time
folder, name = sys.argv[1:3]
log = open(os.path.join(folder, "log"), "a")
log.write(f"+{name} "); log.flush()
exec(sys.argv[3])
log.write(f"-{name} ")
open(os.path.join(folder, name + ".done"), "w")
"""


def job(folder, name, code="", **options):
    """A job that notes its start and its end around some code."""
    words = [sys.executable, "-S", "-c", CODE, str(folder), name, code]
    return Job(
        name=name,
        folder=folder / name,
        command=lambda: words,
        is_done=(folder / f"{name}.done").is_file,
        **options,
    )


def order(folder):
    """The starts (+) and ends (-) of the jobs of a folder."""
    return (folder / "log").read_text().split()


def until(condition, seconds=60):
    """Waits for a condition."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()
