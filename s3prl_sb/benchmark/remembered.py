"""Configurations of earlier commands, in the folder of a benchmark.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
from pathlib import Path

from s3prl_sb.benchmark.configurations import RowConfiguration
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.runs.suite_tasks import is_known
from s3prl_sb.storage.files import FileError, read_json, write_json

RECORD = "configurations.json"
WHAT = "the configurations of a benchmark"


def remember(output, requested):
    """Stores configurations next to the runs, the last ones first.

    Arguments
    ---------
    output : pathlib.Path
        Folder of the benchmark.
    requested : list of RowConfiguration
        Configurations of the command.
    """
    others = [
        other
        for other in recall(output)
        if not any(other.equals(each) for each in requested)
    ]
    values = [
        {k: v for k, v in dataclasses.asdict(each).items() if k != "output"}
        for each in [*requested, *others]
    ]
    write_json(Path(output) / RECORD, plain(values))


def recall(output):
    """Returns the configurations of earlier commands.

    Arguments
    ---------
    output : pathlib.Path
        Folder of the benchmark.

    Returns
    -------
    list of RowConfiguration
        Empty if they are unknown: rows are then named by the keys of the runs.
    """
    path = Path(output) / RECORD
    if not path.is_file():
        return []
    try:
        entries = map(_of_known_tasks, read_json(path, WHAT, kind=list))
        return [RowConfiguration(**each, output=Path(output)) for each in entries]
    except (AttributeError, FileError, TypeError):  # only the names of rows are lost
        return []


def _of_known_tasks(entry):
    """Returns a stored configuration without the tasks of suites that are gone."""
    by_task = ("data", "budget", "changes", "refused")
    known = {
        name: {task: keys for task, keys in entry[name].items() if is_known(task)}
        for name in by_task
        if name in entry
    }
    return {**entry, **known}
