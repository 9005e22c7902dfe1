"""Intervals of the cells of a table: of one run, or of the mean over its seeds.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.runs.results import RESULTS
from s3prl_sb.runs.suite_tasks import task_of


def of_cell(task, runs):
    """Returns the intervals of the metrics of a cell.

    Arguments
    ---------
    task : str
        Name such as "KS".
    runs : list of dict
        Finished runs of the cell, with ``folder`` and ``intervals``.

    Returns
    -------
    dict
        Key of each metric to [low, high] in the unit of the table; None where a run is
        of an older version, or the seeds have other test sets.
    """
    intervals = {}
    for metric in task_of(task).metrics:
        ends = _one(runs[0], metric.key) if len(runs) == 1 else _mean(runs, metric.key)
        scaled = None if ends is None else [metric.scale * end for end in ends]
        intervals[metric.key] = scaled
    return intervals


def _one(run, key):
    return ((run.get("intervals") or {}).get("metrics") or {}).get(key)


def _mean(runs, key):
    """Returns the interval of the mean over seeds, computed once while they stay."""
    if not runs or any(_one(run, key) is None for run in runs):
        return None
    folders = [Path(run["folder"]) for run in runs]
    try:
        ages = [(folder / RESULTS).stat().st_mtime_ns for folder in folders]
        return _combined(tuple(folders), tuple(ages), key)
    except (OSError, UserError):  # damaged or deleted since: the numbers stay
        return None


@functools.lru_cache(maxsize=4096)
def _combined(folders, ages, key):
    from s3prl_sb.metrics.measures import Measures, combined

    measures = [Measures.read(folder) for folder in folders]
    if any(each is None or key not in each.names for each in measures):
        return None
    _, low, high = combined(measures, key)
    return None if low != low else (low, high)
