"""Agreement of the rankings of upstreams between two settings of a benchmark.

Heads, conditions and amounts of data may change which upstream is better: Zaiem et al.,
"Speech Self-Supervised Representation Benchmarking: Are We Doing it Right?" (MP3S),
https://arxiv.org/abs/2306.00452. Spearman's rho of two rankings is 1 if they are equal,
and -1 if one is the reverse of the other.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import math
import statistics

from s3prl_sb.runs.suite_tasks import in_order, task_of

FEWEST = 3  # upstreams in a ranking


def compare(rows):
    """Compares the rankings of upstreams between all pairs of settings.

    Arguments
    ---------
    rows : list of dict
        Rows of :func:`s3prl_sb.benchmark.table.gather`.

    Returns
    -------
    list of dict
        For each pair of settings with at least three common upstreams in a task:
        ``settings``, two names; ``tasks``, each to ``rho`` and ``n``, the number of
        upstreams; ``overall`` the same of the mean ranks over the tasks that all
        these upstreams have, or None. A task whose runs are the same in both settings
        is left out. ``rho`` is None if all upstreams of a setting are equal.
    """
    settings = {}
    for row in rows:
        about = row["about"]
        cells = settings.setdefault(about["setting"], {})
        # Rows of several suites may have one name.
        cells.setdefault(about["upstream"], {}).update(row["cells"])
    tasks_of_all = in_order({task for row in rows for task in row["cells"]})
    compared = []
    for (one, cells), (two, others) in itertools.combinations(settings.items(), 2):
        pairs = {task: _pairs(task, cells, others) for task in tasks_of_all}
        pairs = {task: values for task, values in pairs.items() if values}
        tasks = {
            task: {"rho": spearman(*zip(*values.values())), "n": len(values)}
            for task, values in pairs.items()
            if len(values) >= FEWEST
        }
        if tasks:
            names = [one or "default", two or "default"]
            overall = _overall({task: pairs[task] for task in tasks})
            compared.append({"settings": names, "tasks": tasks, "overall": overall})
    return compared


def spearman(one, two):
    """Returns Spearman's rank correlation, with mean ranks for ties.

    Arguments
    ---------
    one, two : sequence of float
        Values of the same things.

    Returns
    -------
    float or None
        None if all values of a sequence are equal.

    Example
    -------
    >>> spearman([1, 2, 3], [10, 20, 30]), spearman([1, 2, 3], [3, 2, 1])
    (1.0, -1.0)
    >>> spearman([1, 2, 3], [5, 5, 5])
    """
    if len(set(one)) < 2 or len(set(two)) < 2:
        return None
    return statistics.correlation(_ranks(one), _ranks(two))


def _ranks(values):
    """Returns ranks from 1 on, equal values with the mean of theirs."""
    return [
        sum(other < value for other in values)
        + (1 + sum(other == value for other in values)) / 2
        for value in values
    ]


def _pairs(task, cells, others):
    """Returns the main metrics of upstreams in both settings; higher is better."""
    metric, pairs = task_of(task).metrics[0], {}
    for upstream in cells:
        both = [each.get(upstream, {}).get(task) for each in (cells, others)]
        means = [_mean(cell, metric) for cell in both]
        if None not in means and not _are_same(*both):
            pairs[upstream] = tuple(m if metric.higher else -m for m in means)
    return pairs


def _mean(cell, metric):
    summary = cell and cell["state"] == "done" and cell["metrics"].get(metric.key)
    return summary["mean"] if summary and math.isfinite(summary["mean"]) else None


def _are_same(cell, other):
    one, two = ({run["folder"] for run in each["runs"]} for each in (cell, other))
    return one == two


def _overall(pairs):
    """Compares mean ranks over tasks."""
    common = set.intersection(*(set(values) for values in pairs.values()))
    upstreams = [
        upstream for upstream in next(iter(pairs.values())) if upstream in common
    ]
    if len(upstreams) < FEWEST:
        return None
    means = []
    for side in (0, 1):
        ranks = [
            _ranks([values[upstream][side] for upstream in upstreams])
            for values in pairs.values()
        ]
        means.append([statistics.fmean(column) for column in zip(*ranks)])
    return {"rho": spearman(*means), "n": len(upstreams), "tasks": len(pairs)}
