"""How far the jobs in folders are: what has changed, what runs, what waits.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from s3prl_sb.benchmark.table import TABLE
from s3prl_sb.identity import digest
from s3prl_sb.runs.results import RESULTS
from s3prl_sb.storage.files import decoded, read_json
from s3prl_sb.terminal import quantities

LOGS = ("log.txt", "job.log")  # of a run; of the job of a benchmark, with its folds
QUIET = 180.0  # seconds without a line in the log after which a run may have ended
TAIL = 4096  # bytes of a log that are read
SHARE = re.compile(r"\((\d{1,3}) %\)")
TIME = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
LEFT_OUT = ("debug", "save", "tensorboard")  # folders of a run without runs
STATES = ("running", "quiet", "failed", "waiting", "done")


class Job(NamedTuple):
    """A run, finished or not.

    Arguments
    ---------
    name : str
        Task, upstream and seed, or a folder.
    state : str
        One of :data:`STATES`. "quiet": it has begun, and has written nothing for a
        while.
    share : int or None
        Percent of its present stage.
    line : str
        Last line of its log.
    """

    name: str
    state: str
    share: int | None = None
    line: str = ""


class Scan(NamedTuple):
    """Contents of folders at one time.

    Arguments
    ---------
    version : str
        Changes with every finished run, and with every table.
    jobs : list of Job
        Jobs, unfinished ones first.
    """

    version: str
    jobs: Sequence[Job]

    def text(self) -> str:
        """Returns the jobs in a few words.

        Example
        -------
        >>> Scan("", [Job("a", "done"), Job("b", "running", 38)]).text()
        '1 of 2 runs done, 1 running'
        """
        count = {s: sum(job.state == s for job in self.jobs) for s in STATES}
        words = [f"{count['done']} of {len(self.jobs)} runs done"]
        names = ("running", "quiet", "failed", "waiting")
        words += [f"{count[name]} {name}" for name in names if count[name]]
        return ", ".join(words)


def scan(folders: Iterable[str], now: float | None = None) -> Scan:
    """Looks at the runs and the tables in folders.

    Arguments
    ---------
    folders : list of str
        Folders of runs or benchmarks.
    now : float, optional
        Present time, in seconds since 1970.

    Returns
    -------
    Scan
    """
    now = time.time() if now is None else now
    stamps, places, tables = [], {}, []
    for folder in folders:
        for place, inner, files in os.walk(folder):
            inner[:] = [n for n in inner if n[0] != "." and n not in LEFT_OUT]
            names = {RESULTS, TABLE, LOGS[0]} & set(files)
            files = {name for name in names if Path(place, name).is_file()}  # no pipe
            for name in {RESULTS, TABLE} & files:
                stamps.append(_stamp(Path(place, name)))
            if TABLE in files:
                tables.append(Path(place))
            if RESULTS in files or LOGS[0] in files:
                path = Path(place)
                title = str(path.relative_to(folder)) if path != Path(folder) else place
                places[path.resolve()] = (title, RESULTS in files)
    jobs = {}
    for output in tables:
        for name, run, state in _planned(output):
            places.pop(run, None)
            jobs[run] = _job(name, run, state, now)
    for run, (name, is_done) in places.items():
        if any(parent in jobs or parent in places for parent in run.parents):
            continue  # a fold, or a test on other data
        jobs[run] = _job(name, run, "done" if is_done else "missing", now)
    order = sorted(jobs.values(), key=lambda job: STATES.index(job.state))
    return Scan(digest(sorted(map(str, stamps)))[:16], order)


def _stamp(path):
    try:
        found = path.stat()
    except OSError:  # deleted meanwhile
        return path, 0, 0
    return path, found.st_mtime_ns, found.st_size


def _planned(output):
    """Yields the name, the folder and the state of each run of a benchmark."""
    try:
        for row in read_json(output / TABLE, kind=dict)["rows"]:
            for task, cell in row["cells"].items():
                for run in cell["runs"]:
                    name = f"{task} · {row['upstream']} · seed {run['seed']}"
                    yield name, _moved(Path(run["folder"]), output), run["state"]
    except Exception:  # of any kind, as what the file may hold
        return  # it is not of a benchmark, or is damaged: the page says so


def _moved(folder, output):
    """Returns the folder of a run, also where the benchmark has been moved."""
    below = (output.joinpath(*folder.parts[-n:]) for n in (3, 4))
    return next((p for p in (folder, *below) if p.is_dir()), folder).resolve()


def _job(name, place, state, now):
    if state == "done" or (place / RESULTS).is_file():
        return Job(name, "done")
    try:
        logs = [log for name in LOGS if (log := place / name).is_file()]
        written, log = max((log.stat().st_mtime, log) for log in logs)
        quiet, line = now - written, _last_line(log)
    except (OSError, ValueError):  # there is none yet
        return Job(name, "failed" if state in ("failed", "skipped") else "waiting")
    if state in ("failed", "skipped"):
        return Job(name, "failed", None, line)
    found = SHARE.search(line)
    share = min(int(found[1]), 100) if found else None
    if quiet > QUIET:
        line = f"nothing for {quantities.duration(quiet)}; the last: {line}"
    return Job(name, "quiet" if quiet > QUIET else "running", share, line)


def _last_line(path):
    """Returns the last line of a log, without its time."""
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - TAIL))
        content = file.read()
    try:
        text = decoded(content)
    except ValueError:  # it begins inside a character
        text = content.decode("utf-8", "replace")
    lines = text.strip().splitlines()
    return TIME.sub("", lines[-1])[:300] if lines else ""
