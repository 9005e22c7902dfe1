"""Plan of the costs of a benchmark: each recipe plans itself, and this adds it up.

See :mod:`s3prl_sb.brains.planning`. The plans are kept in ``plans`` in the folder of
the benchmark; the corpora are prepared for them, as the runs would prepare them.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import sys

from s3prl_sb.brains.planning import FILE
from s3prl_sb.identity import digest
from s3prl_sb.storage.files import json_text, read_json
from s3prl_sb.superb.jobs import Job, Runner
from s3prl_sb.superb.keys import is_trained
from s3prl_sb.terminal import columns, quantities

FOLDER = "plans"
HEADER = ["task", "upstream", "runs", "audio", "encoded", "times", "cache", "size"]
HEADER += ["updates", "time"]


def tell(runs, before, parallel, form="text"):
    """Plans runs, and prints a table of their costs.

    Arguments
    ---------
    runs : list of s3prl_sb.superb.plan.Run
        Runs of the benchmark; those that are done cost nothing.
    before : dict
        Task to a job that creates its data.
    parallel : int
        Number of plans to make at a time. They measure speeds, so more than one
        shows what as many jobs give each other.
    form : str
        "text", "markdown" or "json".

    Returns
    -------
    int
        1 if a plan could not be made.
    """
    missing = [run for run in runs if not run.is_done()]
    jobs = [_job(run, before) for run in missing if is_trained(run.task)]
    made = {id(job): job for job in before.values()}
    unique = {job.folder: job for job in jobs}  # seeds cost the same
    Runner(parallel).run([*made.values(), *unique.values()])
    failed = [job for job in unique.values() if job.state != "done"]
    plans = {
        folder: read_json(folder / FILE, "a plan", kind=dict)
        for folder, job in unique.items()
        if job.state == "done"
    }
    rows = gather([job.folder for job in jobs], plans, missing)
    if form == "json":
        print(json_text(rows))
    else:
        show(rows, form)
    for job in failed:
        print(f"{job.state}: {job.name}, see {job.folder}", file=sys.stderr)
    return 1 if failed else 0


def _job(run, before):
    name = digest(run.overrides)[:8]  # of any seed
    folder = run.output / FOLDER / run.title / run.task / name
    return Job(
        name=f"plan of {run.title} {run.task}",
        folder=folder,
        command=functools.partial(run.words, folder, {"plan": True}),
        is_done=(folder / FILE).is_file,
        after=[before[run.task]] if run.task in before else [],
    )


def gather(folders, plans, runs):
    """Returns the costs by task and upstream.

    Arguments
    ---------
    folders : list of pathlib.Path
        Folder of the plan of each run.
    plans : dict
        Folders to plans.
    runs : list of s3prl_sb.superb.plan.Run
        The runs, for learning rates that are searched.

    Returns
    -------
    list of dict
        ``runs``, and sums of ``once``, ``upstream`` (seconds of audio), ``bytes``,
        ``updates`` and ``hours``; what is cached counts for the first run alone that
        needs it, also of another task.
    """
    trained = [run for run in runs if is_trained(run.task)]
    rows, cached = {}, set()
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
        row["runs"] += 1
        row["once"] = plan["once"]
        row["upstream"] += encoded
        row["bytes"] += sum(part["bytes"] for part in parts)
        row["updates"] += updates
        row["hours"] += (encoded / plan["speed"] + updates * plan["update"]) / 3600
    return list(rows.values())


def _empty(run, plan):
    caches = {}
    for part in plan["parts"]:  # two of a set that is cached in part
        split, kind = part["split"], part["cache"]
        caches[split] = f"{caches[split]}, {kind}" if split in caches else kind
    sums = dict.fromkeys(("once", "upstream", "bytes", "updates", "hours"), 0)
    return {"task": run.task, "upstream_name": run.title, "runs": 0, **sums} | {
        "caches": caches
    }


def show(rows, form):
    """Prints the costs as a table.

    Arguments
    ---------
    rows : list of dict
        Output of :func:`gather`.
    form : str
        "text" or "markdown".
    """
    table = [HEADER]
    for row in rows:
        table.append(
            [
                row["task"],
                row["upstream_name"],
                str(row["runs"]),
                quantities.audio(row["once"]),
                quantities.audio(row["upstream"]),
                f"{row['upstream'] / (row['once'] or 1):.1f}",
                row["caches"].get("train", "-"),
                quantities.count(row["bytes"], "B"),
                str(row["updates"]),
                quantities.duration(3600 * row["hours"]),
            ]
        )
    if form == "markdown":
        print(columns.as_markdown(table))
    else:
        print(columns.as_text(table, columns.terminal_width(sys.stdout)))
    once = sum(row["once"] for row in rows)
    encoded = sum(row["upstream"] for row in rows)
    hours = sum(row["hours"] for row in rows)
    size = sum(row["bytes"] for row in rows)
    print(
        f"\nUpstreams encode {quantities.audio(encoded)}, {encoded / (once or 1):.1f} "
        f"times the audio. One job at a time takes {quantities.duration(3600 * hours)}."
    )
    print(
        f"Caches take {quantities.count(size, 'B')}. Each plan finds the disk as it is "
        "now: where all do not fit, the last tasks encode at every step."
    )
