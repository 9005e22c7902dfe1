"""Tasks of all suites by their ids, see :mod:`s3prl_sb.runs.suites`.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

from s3prl_sb.runs.suites import SUPERB, names, suite
from s3prl_sb.runs.tasks import unknown

#: Results do not depend on this module, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
ALL = "all"


def suite_of(task):
    """Returns the name of the suite of a task.

    Arguments
    ---------
    task : str
        Id of a task.

    Returns
    -------
    str

    Example
    -------
    >>> suite_of("KS"), suite_of("ST"), suite_of("hear/ESC-50")
    ('superb', 'superb_sg', 'hear')
    """
    name, slash, _ = task.rpartition("/")
    if slash:
        return name
    return SUPERB[1] if task in suite(SUPERB[1]).tasks else SUPERB[0]


def is_known(task):
    """Returns whether there is a task.

    Arguments
    ---------
    task : object
        Id of a task.

    Returns
    -------
    bool

    Example
    -------
    >>> is_known("KS"), is_known("mine/KS"), is_known(None)
    (True, False, False)
    """
    if not isinstance(task, str):
        return False
    name = suite_of(task)
    return name in names() and task in suite(name).tasks


def task_of(task):
    """Returns a task by its id.

    Arguments
    ---------
    task : str
        Id of a task.

    Returns
    -------
    s3prl_sb.runs.tasks.Task

    Raises
    ------
    KeyError
        If there is none.

    Example
    -------
    >>> task_of("KS").recipe, [metric.title for metric in task_of("SF").metrics]
    ('SUPERB/KS', ['F1', 'CER'])
    """
    return suite(suite_of(task)).tasks[task]


def tasks_of(suites):
    """Returns the ids of all tasks of suites, in the order of their tables.

    Arguments
    ---------
    suites : iterable of str
        Names of suites.

    Returns
    -------
    list of str

    Example
    -------
    >>> len(tasks_of(SUPERB)), tasks_of(["superb_sg"])
    (15, ['ST', 'OOD-ASR', 'VC', 'SS', 'SE'])
    """
    wanted = set(suites)
    return [task for name in names() if name in wanted for task in suite(name).tasks]


def in_order(tasks):
    """Returns tasks in the order of the tables.

    Arguments
    ---------
    tasks : iterable of str
        Ids of tasks.

    Returns
    -------
    list of str

    Example
    -------
    >>> in_order({"SE", "ASR", "PR"})
    ['PR', 'ASR', 'SE']
    """
    tasks = set(tasks)
    return [task for task in tasks_of(map(suite_of, tasks)) if task in tasks]


def together(suites):
    """Returns suites with those whose tasks belong to the same rows of a table.

    Arguments
    ---------
    suites : list of str
        Names of suites.

    Returns
    -------
    list of str
        In the order of the tables.

    Example
    -------
    >>> together(["superb"])
    ['superb', 'superb_sg']
    """
    wanted = {*suites, *(SUPERB if set(SUPERB) & set(suites) else ())}
    return [name for name in names() if name in wanted]


def matching(name, tasks):
    """Returns the tasks that a name may mean.

    Arguments
    ---------
    name : str
        Name or id, in upper or lower case.
    tasks : iterable of str
        Ids of tasks.

    Returns
    -------
    list of str
        Several if suites have tasks of the same name.

    Example
    -------
    >>> matching("qbe", tasks_of(["superb"]))
    ['QbE']
    """
    wanted = str(name).lower()
    same = [task for task in tasks if task.lower() == wanted]
    return same or [task for task in tasks if task.rpartition("/")[2].lower() == wanted]


def find_tasks(wanted, suites=(SUPERB[0],)):
    """Returns tasks by name, in the order of the tables.

    Arguments
    ---------
    wanted : list of str
        Names in upper or lower case, of tasks and of groups: "all" selects the tasks
        of the suites, the name of a suite its own. "sg" is SUPERB-SG.
    suites : sequence of str
        Names of suites.

    Returns
    -------
    list of str
        Ids of tasks.

    Raises
    ------
    ValueError
        For an unknown name; names similar ones.

    Example
    -------
    >>> find_tasks(["qbe", "PR"]), len(find_tasks(["all"]))
    (['PR', 'QbE'], 10)
    """
    several = together(list(suites))
    every = tasks_of(several)
    groups = {ALL: tasks_of(suites)}
    groups |= {suite(name).short: tasks_of([name]) for name in several}
    groups |= {name: tasks_of([name]) for name in several}
    parts = [part.strip() for name in wanted for part in str(name).split(",")]
    parts = [part for part in parts if part]
    if not parts:
        choices = ", ".join([*labels(every), *groups])
        raise ValueError(f"no task is named. There are: {choices}.")
    chosen = set()
    for name in parts:
        found = matching(name, every) or groups.get(name.lower(), [])
        if not found:
            raise ValueError(unknown("task", name, [*labels(every), *groups]))
        chosen.update(found)
    return [task for task in every if task in chosen]


def labels(tasks):
    """Returns names for messages: ids without their suite where that is clear.

    Arguments
    ---------
    tasks : iterable of str
        Ids of tasks.

    Returns
    -------
    list of str

    Example
    -------
    >>> labels(["hear/ESC-50", "xares/ESC-50", "xares/DESED"])
    ['hear/ESC-50', 'xares/ESC-50', 'DESED']
    """
    tasks = list(tasks)
    plain = [task.rpartition("/")[2] for task in tasks]
    return [t if plain.count(name) > 1 else name for t, name in zip(tasks, plain)]


@functools.lru_cache(maxsize=None)
def metrics_of(recipe):
    """Returns the metrics of a recipe.

    Arguments
    ---------
    recipe : str or None
        Name of the recipe. A variant has the metrics of its task.

    Returns
    -------
    list of Metric
        Empty for a recipe of no suite, and for one whose tasks have different ones:
        ``chosen_by`` in their results.json says what counts.

    Example
    -------
    >>> [metric.key for metric in metrics_of("SUPERB/KS")], metrics_of("digits")
    (['accuracy'], [])
    """
    base = _base(recipe)
    for group in (SUPERB, [name for name in names() if name not in SUPERB]):
        found = [
            task.metrics
            for name in group
            for task in suite(name).tasks.values()
            if _base(task.recipe) == base
        ]
        if found:
            return found[0] if all(other == found[0] for other in found) else []
    return []


def _base(recipe):
    return "/".join((recipe or "").split("/")[:2])
