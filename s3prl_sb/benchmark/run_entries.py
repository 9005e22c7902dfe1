"""Runs of a benchmark as entries of its table: configuration, state and results.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.benchmark import configurations, robustness
from s3prl_sb.benchmark.plan import STAMP, read_stamp
from s3prl_sb.identity import digest
from s3prl_sb.runs.results import RESULTS
from s3prl_sb.runs.shown import check_intervals
from s3prl_sb.runs.suite_tasks import is_known
from s3prl_sb.storage.files import FileError, naming, read_json

#: Keys of a configuration in which the seeds of a cell may differ.
OF_A_RUN = ("seed", "lr_search", "lr_searched_by")


def planned(run):
    """Returns the entry of a run of the plan.

    Arguments
    ---------
    run : s3prl_sb.benchmark.plan.Run
        The run, done or not.

    Returns
    -------
    dict
    """
    state = "done" if run.is_done() else "missing"
    ended = run.job.state if run.job is not None else None
    if state == "missing" and ended in ("failed", "skipped"):
        state = ended
    entry = _entry(run.title, run.upstream, run.configuration)
    return {**entry, "run": _run_entry(run.folder, run.seed, state)}


def finished(output):
    """Returns the finished runs of all commands in the folder of a benchmark.

    Arguments
    ---------
    output : pathlib.Path
        The folder.

    Returns
    -------
    list of dict
        The runs with readable results, the last one first.
    """
    entries = []
    output = Path(output)
    of_superb, others = f"*/*/*/{STAMP}", f"*/*/*/*/{STAMP}"  # by the ids of tasks
    for path in [*output.glob(of_superb), *output.glob(others)]:
        folder = path.parent
        configuration, origin = read_stamp(folder)
        task = (configuration or {}).get("task")
        if not is_known(task) or not (folder / RESULTS).is_file():
            continue
        title = folder.relative_to(output).parts[0]
        entry = _entry(title, origin.get("upstream", title), configuration)
        entry["run"] = _run_entry(folder, configuration.get("seed"), "done")
        entry["time"] = (folder / RESULTS).stat().st_mtime
        if entry["run"]["state"] == "done":
            entries.append(entry)
    return sorted(entries, key=lambda entry: -entry["time"])


def add_searches(entries):
    """Adds to each run the searched learning rates, and the seed that searched.

    Arguments
    ---------
    entries : list of dict
        All entries, which get ``search``.
    """
    searches = {}
    for entry in entries:
        configuration = entry["configuration"]
        rates = configuration.get("lr_search")
        entry["search"] = (tuple(rates), configuration["seed"]) if rates else None
        searches[digest(configuration)] = entry["search"]
    for entry in entries:
        by = entry.pop("configuration").get("lr_searched_by")
        if by:  # the run that searched may be deleted
            entry["search"] = searches.get(by) or ((), by[:8])


def _entry(title, upstream, configuration):
    """Describes a run by its configuration."""
    kept = {k: v for k, v in configuration.items() if k not in OF_A_RUN}
    return {
        "title": title,
        "upstream": upstream,
        "task": configuration["task"],
        "keys": configurations.keys_of(configuration),
        "card": digest(configuration.get("upstream")),
        "settings": digest(kept),
        "configuration": configuration,
    }


def _run_entry(folder, seed, state):
    entry = {"seed": seed, "state": state, "folder": str(folder)}
    if state != "done":
        return entry
    try:
        again = "Delete it, and run the benchmark again."
        results = read_json(folder / RESULTS, "the results of a run", again, dict)
        with naming(folder / RESULTS, "the results of a run", again):
            metrics = {k: v for k, v in results["metrics"].items() if v is not None}
            for value in metrics.values():
                float(value)  # it must be a number
            check_intervals(results.get("intervals"))
    except FileError as error:
        return {**entry, "state": "failed", "error": str(error)}
    entry.update({k: results.get(k) for k in ("valid", "seconds", "lr")})
    entry["intervals"] = results.get("intervals")
    entry["metrics"] = metrics  # without those that lacked a package or a model
    if entry["lr"] is None:  # folds have chosen different ones
        entry["lr"] = [fold.get("lr") for fold in results.get("folds") or ()] or None
    entry["protocol"] = results.get("protocol")
    entry["s3prl_sb"] = read_stamp(folder)[1].get("s3prl_sb")
    folds = [fold["folder"] for fold in results.get("folds") or () if "folder" in fold]
    entry["noisy"] = robustness.results(folder, folds)
    return entry
