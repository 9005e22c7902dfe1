"""Reading of ``--budget``: keys of recipes by task, over those that suites set.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.benchmark.data import absolute, by_task, read_entries
from s3prl_sb.benchmark.keys import VARIANT, PlanError, check_keys, schema, variant_of
from s3prl_sb.benchmark.shared_keys import ALL, check_names, choosing, fitting, merged
from s3prl_sb.hyperyaml.nodes import line_of, written
from s3prl_sb.runs import suites
from s3prl_sb.runs.suite_tasks import suite_of, task_of, tasks_of
from s3prl_sb.runs.tasks import unknown

FULL = "full"


def read_budget(source, refused=None, tasks=None):
    """Reads the keys of recipes that say how much is trained.

    Arguments
    ---------
    source : str
        "full" (the protocol), a budget of the suites such as "mini" (a laptop's), or a
        YAML file: for each task keys of its recipe. Keys under ``all`` apply to all
        tasks that have them.
    refused : dict, optional
        Gets the tasks that the keys under ``all`` do not fit, with the reasons.
        Default: that is an error.
    tasks : list of str, optional
        The tasks; default: those of SUPERB and SUPERB-SG.

    Returns
    -------
    dict
        Task to keys, with those that its suite sets.

    Raises
    ------
    ValueError
        For unknown names; names similar ones.
    """
    tasks = tasks_of(suites.SUPERB) if tasks is None else tasks
    found = {task: keys_of_suite(task) for task in tasks}
    if source == FULL:
        return {task: keys for task, keys in found.items() if keys}
    misfits = {}
    for entries, file, where, among in _sources(source, tasks):
        base = {task: found[task] for task in among}
        found |= _over(base, entries or {}, where, file.parent.resolve(), misfits)
    if refused is None:
        for task, why in misfits.items():
            raise PlanError(f"{source}: {ALL}: {task}: {why}")
    else:
        refused.update(misfits)
    return found


def names_of(several):
    """Returns the names of the budgets that suites have beside the full one.

    Arguments
    ---------
    several : iterable of str
        Names of suites.

    Returns
    -------
    list of str

    Example
    -------
    >>> names_of(["superb", "superb_sg"])
    ['mini']
    """
    held = [budget for name in several for budget in suites.suite(name).budgets]
    return list(dict.fromkeys(map(str, held)))


def keys_of_suite(task):
    """Returns the keys of its recipe that the suite of a task sets.

    Arguments
    ---------
    task : str
        Id such as "KS".

    Returns
    -------
    dict
    """
    keys, file = task_of(task).keys, suites.suite(suite_of(task)).file
    if not keys:
        return {}
    values = check_keys(task, keys, str(file))
    return absolute(task, values, file.parent, variant_of(values))


def _sources(source, tasks):
    """Returns where a budget is: entries, file, its name, the tasks they are for."""
    by_suite = {}
    for task in tasks:
        by_suite.setdefault(suite_of(task), []).append(task)
    known = names_of(by_suite)
    if source not in known:
        if not Path(source).is_file():
            choices = unknown("budget", source, [FULL, *known])
            raise PlanError(f"{choices} Or give a YAML file.")
        return [(read_entries(source), Path(source), source, tasks)]
    found = []
    for name, among in by_suite.items():
        suite = suites.suite(name)
        if source not in suite.budgets:
            choices = ", ".join([FULL, *map(str, suite.budgets)])
            raise PlanError(
                f"the suite {name} has no budget '{source}', but {choices}. Run it by "
                "itself, or give a YAML file."
            )
        where = f"{suite.file}: {source}"
        found.append((suite.budgets[source], suite.file, where, among))
    return found


def _over(base, entries, where, folder, refused):
    """Returns keys of tasks with those of a budget."""
    tasks = list(base)
    for name in entries:
        if entries[name] is not None and not isinstance(entries[name], dict):
            line = line_of(entries, name)
            place = f"{where}:{line}" if line else where
            raise PlanError(
                f"{place}: {name}: {written(entries[name])} is no mapping. Write "
                f"{name}: {{total_steps: 1000}}."
            )
    of_tasks = by_task(entries, tasks, where, more=[ALL])
    common = dict(entries.get(ALL) or {})
    variants, misfits = choosing(common.pop(VARIANT, None), tasks, f"{where}: {ALL}")
    specific = {}
    for task in tasks:
        keys = of_tasks.get(task, (task, None))[1] or {}
        mine = {**variants[task], **keys}
        if VARIANT not in keys and task in misfits:
            refused[task] = misfits[task]
        specific[task] = check_keys(task, mine, where, keys, variant_of(base[task]))
    before = {task: merged(base[task], keys) for task, keys in specific.items()}
    check_names(common, before, where, entries.get(ALL))
    shared = {}
    for task, keys in specific.items():
        declared = schema(task, variant_of(before[task]))
        shared[task] = {k: common[k] for k in common if k in declared and k not in keys}
    shared, misfits = fitting(shared, before, where, entries.get(ALL))
    refused |= misfits
    found = {}
    for task, keys in specific.items():
        keys, variant = {**shared.get(task, {}), **keys}, variant_of(before[task])
        found[task] = merged(base[task], absolute(task, keys, folder, variant))
    return found
