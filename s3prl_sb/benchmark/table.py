"""The table of the benchmark as JSON values: rows, cells, published numbers.

A row is an upstream with one version of its card under one configuration, see
:mod:`s3prl_sb.benchmark.configurations`. The runs of a cell only differ in their seed.

Authors
 * The s3prl_sb developers, 2026
"""

import statistics
from pathlib import Path

from s3prl_sb.benchmark import (
    comparability,
    configurations,
    curves,
    grid,
    intervals,
    layout,
    own_suites,
    plots,
    published,
    rankings,
    remembered,
    row_names,
    run_entries,
)
from s3prl_sb.runs.suite_tasks import in_order, suite_of, task_of, together
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.files import FileError, naming, read_json, write_json, write_text

TABLE = "table.json"
DESCRIBED = ("title", "unit", "higher")


def gather(runs, tasks, missing=(), output=None, requested=()):
    """Collects the results of runs.

    Arguments
    ---------
    runs : list of s3prl_sb.benchmark.plan.Run
        Runs, done or not.
    tasks : list of str
        Tasks of the columns.
    missing : list of str
        Tasks without data.
    output : pathlib.Path, optional
        Folder of a benchmark, to include the runs that earlier commands have finished
        there, in the rows of their own configurations.
    requested : list of s3prl_sb.benchmark.configurations.RowConfiguration
        Configurations of the runs; default: derived from the runs.

    Returns
    -------
    dict
        ``tasks`` and ``rows``: for each upstream and configuration a name
        (``upstream``), ``about`` (its parts), ``cells`` by task, and ``published``
        numbers. ``others``: published numbers of models without a card.
        ``metrics``: see :func:`metrics_of`. ``rankings``: see
        :func:`s3prl_sb.benchmark.rankings.compare`.
    """
    planned = [run_entries.planned(run) for run in runs]
    folders = {entry["run"]["folder"] for entry in planned}
    others = run_entries.finished(output) if output is not None else []
    entries = planned + [e for e in others if e["run"]["folder"] not in folders]
    tasks = in_order({*tasks, *(entry["task"] for entry in entries)})
    run_entries.add_searches(entries)
    requests = list(requested)
    requests += remembered.recall(output) if output is not None else []
    left = [e for e in entries if not any(c.asks_for(*_request(e)) for c in requests)]
    requests += configurations.of_entries(map(_request, left))
    rows = []
    for title in dict.fromkeys(entry["title"] for entry in entries):
        group = [entry for entry in entries if entry["title"] == title]
        is_planned = any(entry["title"] == title for entry in planned)
        lacking = missing if is_planned else ()
        rows += _rows_of(title, group, requests, max(len(requested), 1), lacking)
    _describe(rows, tasks)
    several = together(list(map(suite_of, tasks)))
    numbers = {
        budget: published.read(several, budget)
        for budget in {row["budget"] for row in rows}
    }
    for row in rows:
        row["published"] = _public(row.pop("card"), numbers[row.pop("budget")])
    others = published.models(several)
    return {
        "tasks": list(tasks),
        "metrics": {task: metrics_of(task) for task in tasks},
        "rows": rows,
        "rankings": rankings.compare(rows),
        "others": {model: _public(model, others) for model in others},
    }


def metrics_of(task):
    """Returns what the numbers of a task are, for readers of ``table.json``.

    Arguments
    ---------
    task : str
        Name such as "KS".

    Returns
    -------
    dict
        Key of each metric to its ``title``, ``unit`` and ``higher``, whether higher
        values are better.

    Example
    -------
    >>> metrics_of("KS")
    {'accuracy': {'title': 'Acc', 'unit': '%', 'higher': True}}
    """
    return {
        metric.key: {name: getattr(metric, name) for name in DESCRIBED}
        for metric in task_of(task).metrics
    }


def _request(entry):
    return entry["task"], entry["keys"], entry["search"]


def _rows_of(title, entries, requests, first, missing):
    """Returns the rows of one upstream, those of the command first.

    The first ``first`` of the requests are the command's, whose rows lack the tasks
    without data.
    """
    rows = []
    for number, configuration in enumerate(requests):
        mine = [e for e in entries if configuration.asks_for(*_request(e))]
        for version, group in _versions(mine, entries[0]["card"]):
            rows.append((number < first, configuration, version, group))
    # Rows whose runs are all in a larger row are not shown.
    sets = [frozenset(entry["run"]["folder"] for entry in group) for *_, group in rows]
    kept = [
        row
        for i, row in enumerate(rows)
        if not any(s > sets[i] or (s == sets[i] and j < i) for j, s in enumerate(sets))
    ]
    return [
        _row([title, version], c, group, missing if is_of_command else ())
        for is_of_command, c, version, group in kept
    ]


def _describe(rows, tasks):
    """Names the rows by what distinguishes their configurations, and their parts.

    ``setting`` is the configuration, ``series`` the row without the amount of data.
    """
    for row in rows:
        configuration = row["configuration"]
        row["amount"] = _amount(configuration)
        row["without"] = {
            key: [task for task in lacking if task in tasks and task in row["cells"]]
            for key, lacking in configuration.without.items()
        }
        for task, why in configuration.refused.items():
            if task in tasks and task in configuration.data:
                row["cells"][task] = {"state": "refused", "runs": [], "metrics": {}}
                row["cells"][task]["reason"] = why
    shown = [row["configuration"] for row in rows]
    settings = row_names.titles_of(shown)
    series = row_names.titles_of([c.leaving_out(*row_names.AMOUNTS) for c in shown])
    for title in dict.fromkeys(row["title"] for row in rows):
        mine = [i for i, row in enumerate(rows) if row["title"] == title]
        names = row_names.titles_of([shown[i] for i in mine])
        for i, name in zip(mine, names):
            version = rows[i]["version"]
            rows[i]["upstream"] = _joined(title, name, version)
            rows[i]["about"] = {
                "upstream": title,
                "setting": _joined(settings[i], version),
                "series": _joined(title, series[i], version),
                "amount": rows[i].pop("amount"),
            }
    for row in rows:
        del row["configuration"], row["title"]


def _joined(*words):
    return row_names.PART.join(filter(None, words))


def _amount(configuration):
    """Returns the key and the value of the amount of training data, or None."""
    for key in row_names.AMOUNTS:
        value = configuration.value(key)
        if value is not None:
            return [key, value]
    return None


def _versions(entries, card):
    """Groups the runs of one configuration by version of the card, recipe and code.

    For each task, the planned or last runs have the present version, whose name is
    empty for the present card. Other versions have separate rows.
    """
    groups = {}
    for entry in entries:
        version = f"card {entry['card'][:8]}" if entry["card"] != card else ""
        kind = entry["task"], entry["card"]
        present = next(e for e in entries if (e["task"], e["card"]) == kind)
        if entry["settings"] != present["settings"]:
            version = f"{version} version {entry['settings'][:8]}".strip()
        groups.setdefault(version, []).append(entry)
    return groups.items()


def _row(name, configuration, entries, missing):
    cells = {}
    for entry in entries:
        cell = cells.setdefault(entry["task"], {"state": "done", "runs": []})
        cell["runs"].append(entry["run"])
    for task, cell in cells.items():
        states = [run["state"] for run in cell["runs"]]
        # The worst state: a mean over the successful runs only would mislead.
        if {"failed", "skipped"} & set(states):
            cell["state"] = "failed"
        elif "missing" in states:
            cell["state"] = "missing"
        cell["metrics"] = _summaries(task, [run["metrics"] for run in _done(cell)])
        for key, ends in intervals.of_cell(task, _done(cell)).items():
            if cell["metrics"][key] is not None:
                cell["metrics"][key]["interval"] = ends
        cell["noisy"] = _noisy(task, cell)
        cell["lr"] = _rates(cell["runs"])
        cell["not_comparable"] = comparability.reasons(task, _done(cell), configuration)
    for task in missing:
        cells.setdefault(task, {"state": "no data", "runs": [], "metrics": {}})
    title, version = name
    return {
        "upstream": title,  # until all rows are named
        "title": title,
        "configuration": configuration,
        "version": version,
        "lr_searched": bool(configuration.rates),
        "cells": cells,
        "budget": configuration.budget_name,
        "card": None if version.startswith("card ") else entries[0]["upstream"],
    }


def _rates(runs):
    """Returns the learning rates of a cell, including those of folds, or None."""
    unique = {}
    for run in runs:
        rates = run.get("lr")
        unique.update(dict.fromkeys(rates if isinstance(rates, list) else [rates]))
    return [rate for rate in unique if rate is not None] or None


def _done(cell):
    return [run for run in cell["runs"] if run["state"] == "done"]


def _summaries(task, metrics):
    """Returns mean and spread over seeds of each metric of a task."""
    summaries = {}
    for metric in task_of(task).metrics:
        values = [m[metric.key] * metric.scale for m in metrics if metric.key in m]
        summaries[metric.key] = None
        if values:
            spread = statistics.stdev(values) if len(values) > 1 else None
            mean, seeds = statistics.fmean(values), len(values)
            summaries[metric.key] = {"mean": mean, "spread": spread, "seeds": seeds}
    return summaries


def _noisy(task, cell):
    """Returns the results in noise; those of some seeds only are left out."""
    groups = {}
    for run in _done(cell):
        for test in run["noisy"]:
            key = test["noise"], test["content"], test["snr"]
            groups.setdefault(key, []).append(test["metrics"])
    return [
        {"noise": noise, "content": content, "snr": snr, "metrics": summaries}
        for (noise, content, snr), metrics in groups.items()
        if len(metrics) == len(cell["runs"])
        for summaries in [_summaries(task, metrics)]
    ]


def _public(card, numbers):
    return {
        task: {
            key: {**number._asdict(), "verified": number.source is not None}
            for key, number in metrics.items()
        }
        for task, metrics in numbers.get(card, {}).items()
    }


def write(table, output):
    """Writes ``table.json`` and ``table.md``.

    Arguments
    ---------
    table : dict
        Output of :func:`gather`.
    output : pathlib.Path
        Folder of the benchmark.
    """
    write_json(Path(output) / TABLE, table)
    write_text(Path(output) / "table.md", layout.as_markdown(table) + "\n")


def write_curves(table, output):
    """Writes the curves of a table as CSV and PNG, such as ``robustness.png``.

    Arguments
    ---------
    table : dict
        Output of :func:`gather`.
    output : pathlib.Path
        Folder of the benchmark.
    """
    for each in curves.of_table(table):
        header = [name.format(each.key) for name in curves.COLUMNS]
        write_csv(Path(output) / f"{each.name}.csv", header, each.records())
        plots.plot(each, Path(output) / f"{each.name}.png")


def read(output):
    """Reads the table of all finished runs.

    Arguments
    ---------
    output : pathlib.Path
        Folder of the benchmark.

    Returns
    -------
    dict
    """
    path = Path(output) / TABLE
    if not path.is_file():
        raise FileError(f"{path} is not there: no benchmark has run here")
    own_suites.recall(output)
    values = read_json(path, "the table of a benchmark", kind=dict)
    with naming(path, "the table of a benchmark", "Run the benchmark again."):
        grid.blocks(values)
    return values
