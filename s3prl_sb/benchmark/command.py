"""``s3prl-sb bench``: runs the tasks of suites for any upstreams, with one table.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import os
import sys
from pathlib import Path

from s3prl_sb.benchmark.arguments import add_arguments
from s3prl_sb.engines import options

__all__ = ["add_arguments", "main"]

LOCK = "superb.lock"


def main(arguments):
    """Runs the missing runs, and prints the table.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :func:`add_arguments`.

    Returns
    -------
    int
        1 if a run has failed.
    """
    from s3prl_sb.benchmark import data, listing, own_suites, table
    from s3prl_sb.runs import suites

    names = own_suites.find(arguments.suite)
    if arguments.list:
        print(listing.text(names or suites.names()))
        return 0
    if arguments.table is not None:
        values = table.read(arguments.table)
        show(values, arguments.format, arguments.published, arguments.intervals)
        return 0
    if not names:
        choices = ", ".join(suites.names())
        raise ValueError(f"no suite is named. There are: {choices}. Or give a file.")
    for name in ("upstream", "data", "output"):
        if getattr(arguments, name) is None:
            raise ValueError(f"--{name} is missing")
    for name in ("seeds", "jobs"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value}: give 1 or more")
    check_rates(arguments.lr_search or ())
    options.check(arguments)
    if arguments.data != data.TOY:
        data.read_entries(arguments.data)  # an error leaves no folder behind

    from s3prl_sb.storage.locks import Lock

    output = arguments.output.expanduser().resolve()
    lock = Lock(output / LOCK)
    if not lock.acquire(wait=False):
        raise ValueError(
            f"another benchmark works in {output}: {lock.holder()}. Wait for it, "
            "or give another --output."
        )
    if not lock.works:
        print(
            f"The file system of {output} has no locks: start no second benchmark "
            "there.",
            file=sys.stderr,
        )
    try:
        own_suites.keep(output, names)
        own_suites.recall(output)
        return benchmark(arguments, output, names)
    finally:
        lock.release()


def benchmark(arguments, output, suites):
    """Plans, runs, writes the table and prints it.

    Arguments
    ---------
    arguments : argparse.Namespace
        See :func:`main`.
    output : pathlib.Path
        Absolute path of the output folder.
    suites : list of str
        Names of suites.

    Returns
    -------
    int
        1 if a run has failed.
    """
    from s3prl_sb.benchmark import data, remembered, table
    from s3prl_sb.runs.suite_tasks import find_tasks, tasks_of, together

    if arguments.plan:
        from s3prl_sb.benchmark import costs

        figures = costs.figures(arguments.plan_as)
    elif arguments.plan_as:
        raise ValueError("--plan_as belongs to --plan: give that too")
    tasks, every = find_tasks(arguments.tasks, suites), tasks_of(together(suites))
    places, toys = data.read_data(arguments.data, output, tasks)
    if not places:
        raise ValueError(
            f"{arguments.data} has no data for {', '.join(tasks)}. Write "
            f"{tasks[0]}: {{data_folder: DIR}}."
        )
    rows = _row_configurations(arguments, output, every)
    runs, jobs = _plan(arguments, output, places, toys, rows)
    _tell(rows, [task for task in tasks if task in places])
    if arguments.plan:
        alone = max(1, len(gpus())) if arguments.engine == "local" else None
        jobs = arguments.jobs or alone
        return costs.tell(runs, toys, jobs, arguments.format, figures)
    if arguments.dry_run:
        options.cluster(arguments, output).run(jobs)
        return 0
    remembered.remember(output, rows)
    missing = [task for task in tasks if task not in places]

    def write(with_curves=False):
        try:
            values = table.gather(runs, tasks, missing, output, rows)
            table.write(values, output)
            if with_curves:
                table.write_curves(values, output)
        except OSError as error:  # a full disk does not stop the jobs
            print(f"the table could not be written: {error}", file=sys.stderr)
            return False
        return True

    try:
        _engine(arguments, output).run(jobs, ended=write)
    except BaseException:
        write()
        raise
    values = table.gather(runs, tasks, missing, requested=rows)
    show(values, arguments.format, arguments.published, arguments.intervals)
    written = write(with_curves=True)
    failed = [job for job in jobs if job.state in ("failed", "skipped")]
    for job in failed:
        print(f"{job.state}: {job.name}, see {job.folder}", file=sys.stderr)
    return 1 if failed or not written else 0


def _engine(arguments, output):
    """Returns the engine that runs the jobs."""
    if arguments.engine != "local":
        return options.cluster(arguments, output)
    from s3prl_sb.engines.local import Local

    devices = gpus()
    parallel = arguments.jobs or len(devices) or min(4, os.cpu_count() or 1)
    return Local(parallel, devices)


def _row_configurations(arguments, output, tasks):
    """Returns the configurations of the rows that a command requests, for all tasks of
    its suites: those that another command runs belong to the same rows."""
    from s3prl_sb.benchmark import budgets, configurations, data, plan, variations

    rates = arguments.lr_search
    rates = None if rates is None else list(rates or plan.GRID)
    misfits = {}
    budget = budgets.read_budget(arguments.budget, misfits, tasks)
    places = data.read_data(arguments.data, output, tasks)[0]
    return [
        configurations.RowConfiguration(
            data=places,
            budget=budget,
            rates=rates,
            first=arguments.seed if rates else None,
            data_name=Path(arguments.data).stem,
            budget_name=Path(arguments.budget).stem,
            changes=each.changes,
            refused={**misfits, **each.refused},
            without=each.without,
            output=output,
        )
        for each in variations.read(arguments, budget, places, tasks)
    ]


def _plan(arguments, output, places, toys, rows):
    """Returns the runs of the rows, and the jobs that do them and test them in noise.

    Raises an error if they cannot be done.
    """
    from s3prl_sb.benchmark import plan, requirements, robustness

    tested = robustness.conditions(arguments)
    runs = plan.make(
        arguments.upstream,
        list(places),
        places,
        [{task: row.requested(task) for task in places} for row in rows],
        output,
        seeds=range(arguments.seed, arguments.seed + arguments.seeds),
        rates=rows[0].rates,
    )
    requirements.check(runs, toys)
    if tested:
        robustness.check(runs)
    return runs, [*plan.jobs(runs, toys), *robustness.jobs(runs, tested)]


def _tell(rows, tasks):
    """Prints which changes do not apply to which tasks."""
    from s3prl_sb.benchmark import notes, row_names
    from s3prl_sb.terminal import columns

    changes = []
    for name, row in zip(row_names.titles_of(rows), rows):
        refused = {task: row.refused[task] for task in tasks if task in row.refused}
        left = [task for task in tasks if task not in refused]
        without = {
            key: [task for task in lacking if task in left]
            for key, lacking in row.without.items()
        }
        changes.append((name, refused, without))
    for text in notes.on_changes(changes):
        print(columns.visible(text), file=sys.stderr)


def check_rates(rates):
    """Checks that learning rates can be compared.

    Arguments
    ---------
    rates : sequence of float
        The learning rates.

    Raises
    ------
    ValueError
        If one is not positive, or occurs twice.
    """
    if not all(0 < rate < math.inf for rate in rates) or len(set(rates)) < len(rates):
        values = " ".join(f"{rate:g}" for rate in rates)
        raise ValueError(
            f"--lr_search {values}: give different positive numbers, such as 0.1 0.01"
        )


def show(values, form, published=False, intervals=False):
    """Prints a table.

    Arguments
    ---------
    values : dict
        The table, from :func:`s3prl_sb.benchmark.table.gather`.
    form : str
        "text", "markdown" or "json".
    published : bool
        Whether to show published numbers also where they do not compare.
    intervals : bool
        Whether to show intervals in text, too.
    """
    from s3prl_sb.benchmark import layout
    from s3prl_sb.terminal import columns

    if form == "json":
        from s3prl_sb.storage.files import json_text

        print(json_text(values))
    elif form == "markdown":
        print(layout.as_markdown(values, published))
    else:
        width = columns.terminal_width(sys.stdout)
        print(layout.as_text(values, width, published, intervals))


def gpus():
    """Returns the numbers of the visible GPUs.

    Returns
    -------
    list of str
    """
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [number.strip() for number in visible.split(",") if number.strip()]
    return [str(number) for number in range(torch.cuda.device_count())]
