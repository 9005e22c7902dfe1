"""Plan of the costs of a benchmark: each recipe plans itself, and this adds it up.

See :mod:`s3prl_sb.brains.planning`. The plans are kept in ``plans`` in the folder of
the benchmark; the corpora are prepared for them, as the runs would prepare them.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import math
import sys

from s3prl_sb.benchmark import cost_table
from s3prl_sb.benchmark.keys import is_trained
from s3prl_sb.brains.planning import FILE
from s3prl_sb.engines import options
from s3prl_sb.engines.jobs import Job
from s3prl_sb.engines.local import Local
from s3prl_sb.errors import UserError
from s3prl_sb.identity import digest
from s3prl_sb.storage.files import json_text, read_json

FOLDER = "plans"
#: Figures of another machine: seconds of audio that it encodes a second, and how many
#: times as fast as this one it makes updates.
FIGURES = ("speed", "updates")
#: Parts of a run's identity that its plan does not depend on.
OF_A_RUN = ("seed", "lr_search", "lr_searched_by")
SUMS = ("once", "upstream", "bytes", "updates", "hours", "upstream_hours")


def tell(runs, before, jobs, form="text", other=None):
    """Plans runs, and prints a table of their costs.

    Arguments
    ---------
    runs : list of s3prl_sb.benchmark.plan.Run
        Runs of the benchmark; those that are done cost nothing.
    before : dict
        Task to a job that creates its data.
    jobs : int, optional
        Number of jobs at a time; None: no limit, as in a cluster. The plans are made
        one after another, as they measure speeds.
    form : str
        "text", "markdown" or "json".
    other : dict, optional
        Figures of another machine, see :data:`FIGURES`.

    Returns
    -------
    int
        1 if a plan could not be made.
    """
    missing = [run for run in runs if not run.is_done()]
    planned = [
        _job(run, before) for run in missing if is_trained(run.task, run.variant)
    ]
    unique = {job.folder: job for job in planned}  # seeds cost the same
    Local(1).run([*before.values(), *unique.values()])
    failed = [job for job in unique.values() if job.state != "done"]
    plans = {
        folder: read_json(folder / FILE, "a plan", kind=dict)
        for folder, job in unique.items()
        if job.state == "done"
    }
    rows = gather([job.folder for job in planned], plans, missing, other)
    if form == "json":
        print(json_text(rows))
    else:
        cost_table.show(rows, jobs, form, other)
    for job in failed:
        print(f"{job.state}: {job.name}, see {job.folder}", file=sys.stderr)
    return 1 if failed else 0


def figures(pairs):
    """Returns the figures of another machine.

    Arguments
    ---------
    pairs : list of str, optional
        Words ``KEY=VALUE``, keys from :data:`FIGURES`.

    Returns
    -------
    dict

    Raises
    ------
    UserError
        For another key, or for a value that is not positive.

    Example
    -------
    >>> figures(["speed=2500", "updates=10"])
    {'speed': 2500, 'updates': 10}
    """
    found = options.values(pairs)
    for key, value in found.items():
        if key not in FIGURES:
            raise UserError(f"--plan_as {key}: give {' or '.join(FIGURES)}.")
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and 0 < value < math.inf):
            raise UserError(f"--plan_as {key}={value}: give a positive number.")
    return found


def _job(run, before):
    same = {k: v for k, v in run.configuration.items() if k not in OF_A_RUN}
    folder = run.output / FOLDER / run.title / run.task / digest(same)[:8]
    return Job(
        name=f"plan of {run.title} {run.task}",
        folder=folder,
        command=functools.partial(run.words, folder, {"plan": True}),
        is_done=(folder / FILE).is_file,
        after=[before[run.task]] if run.task in before else [],
    )


def gather(folders, plans, runs, other=None):
    """Returns the costs by task and upstream.

    Arguments
    ---------
    folders : list of pathlib.Path
        Folder of the plan of each run.
    plans : dict
        Folders to plans.
    runs : list of s3prl_sb.benchmark.plan.Run
        The runs, for learning rates that are searched.
    other : dict, optional
        Figures of another machine, see :data:`FIGURES`.

    Returns
    -------
    list of dict
        ``runs``, and sums of ``once``, ``upstream`` (seconds of audio), ``bytes``,
        ``updates``, ``hours`` and, of these, ``upstream_hours``; what is cached counts
        for the first run alone that needs it, also of another task. ``longest`` is
        the hours of the longest run, ``caches`` and ``reasons`` are of each split.
    """
    trained = [run for run in runs if is_trained(run.task, run.variant)]
    rows, cached, other = {}, set(), other or {}
    for folder, run in zip(folders, trained):
        plan = plans.get(folder)
        if plan is None:
            continue
        row = rows.setdefault((run.task, run.title), _empty(run, plan))
        parts = [part for part in plan["parts"] if part.get("features") not in cached]
        cached.update(filter(None, (part.get("features") for part in parts)))
        encoded = sum(part["seconds"] * part["passes"] for part in parts)
        # The rates of a search share what is encoded, and the best of them is the run.
        updates = plan["updates"] * max(1, len(run.rates or ()))
        encoding = encoded / other.get("speed", plan["speed"]) / 3600
        training = updates * plan["update"] / other.get("updates", 1) / 3600
        row["runs"] += 1
        row["once"] = plan["once"]
        row["upstream"] += encoded
        row["bytes"] += sum(part["bytes"] for part in parts)
        row["updates"] += updates
        row["hours"] += encoding + training
        row["upstream_hours"] += encoding
        row["longest"] = max(row["longest"], encoding + training)
    return list(rows.values())


def _empty(run, plan):
    caches, reasons = {}, {}
    for part in plan["parts"]:  # two of a set that is cached in part, more of folds
        caches.setdefault(part["split"], {})[part["cache"]] = None
        reasons.setdefault(part["split"], []).append(part["reason"])
    caches = {split: ", ".join(kinds) for split, kinds in caches.items()}
    sums = dict.fromkeys((*SUMS, "longest"), 0)
    names = {"task": run.task, "upstream_name": run.title, "runs": 0}
    return {**names, **sums, "caches": caches, "reasons": reasons}
