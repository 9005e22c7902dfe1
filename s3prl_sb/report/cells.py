"""Runs of all seeds of a task and an upstream, for charts over all runs.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
from collections.abc import Sequence

from s3prl_sb.report.gathered import Run
from s3prl_sb.report.setups import Setup, of_runs
from s3prl_sb.runs.suite_tasks import labels
from s3prl_sb.runs.suites import names, suite


def cells(runs: Sequence[Run]) -> list[Setup]:
    """Groups runs by all that they differ in but their seed and a learning rate that
    was searched.

    Arguments
    ---------
    runs : list of Run
        All runs; those that only score another run are left out.

    Returns
    -------
    list of Setup
        In the order of the tables of suites.

    Example
    -------
    >>> cells([])
    []
    """
    trained = [run for run in runs if "scored" not in run.results]
    searched = {_pair(run) for run in trained if run.results.get("search")}
    order = _order()
    found = of_runs(trained, searched)
    return sorted(found, key=lambda setup: order.get(_base(setup.task), len(order)))


def _pair(run):
    return run.task, run.upstream


@functools.cache
def _order():
    """Returns the place of each recipe among all suites."""
    tasks = [task for name in names() for task in suite(name).tasks.values()]
    recipes = dict.fromkeys(_base(task.recipe) for task in tasks)
    return {recipe: place for place, recipe in enumerate(recipes)}


def _base(recipe):
    return "/".join(recipe.split("/")[:2])


def short_names(tasks: Sequence[str]) -> dict[str, str]:
    """Returns the names of tasks without their suite where that is clear.

    Arguments
    ---------
    tasks : iterable of str
        Names of tasks, as in results.json.

    Returns
    -------
    dict

    Example
    -------
    >>> short_names(["SUPERB/KS", "HEAR/scene"])
    {'SUPERB/KS': 'KS', 'HEAR/scene': 'scene'}
    """
    unique = list(dict.fromkeys(tasks))
    return dict(zip(unique, labels(unique)))
