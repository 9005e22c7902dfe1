"""Whether runs of a benchmark compare with published numbers, and why not.

A run says how it departs from the protocol of its recipe. Keys that the suite of a task
sets are no departures, nor are those of a budget that numbers were published for.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.benchmark.budgets import keys_of_suite
from s3prl_sb.benchmark.keys import VARIANT
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.runs.results import RESULTS
from s3prl_sb.runs.suite_tasks import suite_of, task_of
from s3prl_sb.runs.suites import suite
from s3prl_sb.startup import protocol
from s3prl_sb.storage.files import read_json

UNKNOWN = "protocol unknown"
NO_SIZES = "sizes of the published sets unknown"
FOLDER = "data_folder"


def reasons(task, runs, configuration):
    """Lists why the runs of a cell do not compare with published ones.

    Arguments
    ---------
    task : str
        Id such as "KS".
    runs : list of dict
        The runs of the cell that are done.
    configuration : s3prl_sb.benchmark.configurations.RowConfiguration
        Configuration of the row.

    Returns
    -------
    list of str
        A few words each.
    """
    keys, found = configuration.keys(task), {}
    expected, requested = _expected(task, configuration), configuration.requested(task)
    if keys.get(VARIANT) != expected.get(VARIANT):
        found[f"{VARIANT} {keys.get(VARIANT) or task_of(task).recipe}"] = None
    for run in runs:
        judged = _judged(task, run, expected, requested)
        if judged.get("followed") is None:
            found[UNKNOWN] = None
        elif not judged["followed"]:
            if judged["data"]:
                found[judged["data"]] = None
            words = [word for word in judged["differs"] if word != judged["data"]]
            if words and configuration.has_named_budget:
                words = [f"{configuration.budget_name} budget"]
            found.update(dict.fromkeys(words))
    return [*found] + ["another upstream_model"] * ("upstream_model" in keys)


def _expected(task, configuration):
    """Returns the keys that numbers of a suite are published with."""
    tables, name = suite(suite_of(task)).published, configuration.budget_name
    if name is not None and any(table.get("budget") == name for table in tables):
        return plain(configuration.budget.get(task, {}))
    return keys_of_suite(task)


def _judged(task, run, expected, requested):
    """Returns the verdict on a run, by the suite where it says more than the recipe."""
    judged, sizes = run.get("protocol") or {}, task_of(task).utterances
    if not (expected or sizes) or judged.get("settings") is None:
        return judged
    allowed, asked = protocol.flat(expected), protocol.flat(plain(requested))
    departs = judged["settings"]
    departs = {k: v for k, v in departs.items() if allowed.get(k, ...) != v}
    # Keys of the suite that a command sets back to those of the recipe.
    departs |= {k: asked.get(k) for k, v in allowed.items() if asked.get(k, ...) != v}
    departs.pop(VARIANT, None)
    results = read_json(Path(run["folder"]) / RESULTS, kind=dict)
    settings = results.get("settings") or {}
    is_own = any(settings.get(key) for key in protocol.TABLES)
    place = None if is_own else settings.get(FOLDER) or judged.get("corpus")
    counts = {
        name: sum(count) if isinstance(count, list) else count
        for name, count in (results.get("utterances") or {}).items()
    }
    found = protocol.verdict({"utterances": sizes}, departs, place, counts)
    if found["data"] is None and not sizes:
        data = NO_SIZES if judged.get("followed") is None else judged["data"]
        differs = [*([data] if data else []), *found["differs"]]
        found |= {"data": data, "differs": differs, "followed": not differs}
    return found
