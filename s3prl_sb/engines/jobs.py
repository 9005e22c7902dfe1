"""Jobs: commands with an order, a log and a state.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
from pathlib import Path
from typing import Callable

LOG = "job.log"
LOCK = "job.lock"
SHOWN = 12  # lines of the log of a failed job


@dataclasses.dataclass(eq=False)
class Job:
    """A process to run.

    Arguments
    ---------
    name : str
        Name for messages.
    folder : pathlib.Path
        Folder of ``job.log``.
    command : callable
        Returns the command and its arguments; called when ``after`` are done.
    is_done : callable, optional
        Returns whether the job is done. Default: it always runs, and is done when its
        exit status is 0.
    after : list of Job
        Jobs to finish before.
    group : str, optional
        Jobs of a group share results of their first part, which only one of them
        runs at a time.
    has_shared : callable
        Returns whether the job has finished its first part.
    """

    name: str
    folder: Path
    command: Callable[[], list]
    is_done: Callable[[], bool] | None = None
    after: list = dataclasses.field(default_factory=list)
    group: str | None = None
    has_shared: Callable[[], bool] = lambda: True
    state: str = "waiting"  # running, done, failed, skipped
    seconds: float = 0.0
    error: str = ""  # last lines of the log
    tries: int = 0  # times that it has started


def reason(status):
    """Describes why a job has ended.

    Arguments
    ---------
    status : int
        Exit status; for signals in the convention of Python or of shells.

    Returns
    -------
    str

    Example
    -------
    >>> reason(1), reason(137)
    ('exit status 1', 'killed by signal 9, perhaps out of memory')
    """
    number = -status if status < 0 else status - 128
    if number <= 0:
        return f"exit status {status}"
    perhaps = ", perhaps out of memory" if number == 9 else ""
    return f"killed by signal {number}{perhaps}"


def last_lines(path, count=SHOWN):
    """Returns the end of a log, without progress bars and empty lines.

    Arguments
    ---------
    path : pathlib.Path
        The log.
    count : int
        Maximum number of lines.

    Returns
    -------
    str
        Indented lines; an empty string if there is no log.
    """
    if not Path(path).is_file():
        return ""
    text = Path(path).read_bytes()[-20000:].decode("utf-8", "replace")
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
    lines = [line for line in lines if line and not line.startswith("---")]
    return "\n".join(f"         | {line}" for line in lines[-count:])
