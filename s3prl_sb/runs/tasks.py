"""The ten tasks of SUPERB: what is measured, and in which unit.

Paper: Yang et al., "SUPERB", https://arxiv.org/abs/2105.01051.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
from typing import NamedTuple


class Metric(NamedTuple):
    """A column of the table.

    ``key`` is its name in results.json, ``title`` that in SUPERB's table;
    ``scale`` makes SUPERB's unit of it, ``digits`` are shown.
    """

    key: str
    title: str
    higher: bool
    scale: float = 100.0
    digits: int = 2

    @property
    def unit(self):
        """The sign of its unit, nothing where it has none."""
        return "%" if self.scale == 100.0 else ""


#: In the order of SUPERB's table. What a run has not measured stays out.
TASKS = {
    "PR": [Metric("per", "PER", False)],
    "KS": [Metric("accuracy", "Acc", True)],
    "IC": [Metric("accuracy", "Acc", True)],
    "SID": [Metric("accuracy", "Acc", True)],
    "ER": [Metric("accuracy", "Acc", True)],
    "ASR": [Metric("wer", "WER", False), Metric("wer_lm", "WER LM", False)],
    "QbE": [Metric("mtwv", "MTWV", True, 1.0, 4)],
    "SF": [
        Metric("slot_type_f1", "F1", True),
        Metric("slot_value_cer", "CER", False),
    ],
    "ASV": [Metric("eer", "EER", False)],
    "SD": [Metric("der", "DER", False)],
}


def metrics_of(name):
    """What stands for a run of a recipe.

    Arguments
    ---------
    name : str or None
        Of the recipe.

    Returns
    -------
    list of Metric
        Empty for a task that is none of SUPERB's.

    Example
    -------
    >>> [metric.key for metric in metrics_of("SUPERB/KS")], metrics_of("digits")
    (['accuracy'], [])
    """
    return next((TASKS[task] for task in TASKS if recipe(task) == name), [])


def recipe(task):
    """The name of a task's recipe.

    Example
    -------
    >>> recipe("KS")
    'SUPERB/KS'
    """
    return f"SUPERB/{task}"


def find(names):
    """Tasks by name, in the table's order.

    Arguments
    ---------
    names : list of str
        Upper and lower case do not matter; "all" is all.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        With the nearest names.

    Example
    -------
    >>> find(["qbe", "PR"])
    ['PR', 'QbE']
    """
    known = {task.lower(): task for task in TASKS}
    names = [part for name in names for part in str(name).split(",")]
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise ValueError(f"no task is named. There are: {', '.join(TASKS)}, and all.")
    if any(name.lower() == "all" for name in names):
        return list(TASKS)
    for name in names:
        if name.lower() not in known:
            raise ValueError(unknown("task", name, TASKS))
    chosen = {known[name.lower()] for name in names}
    return [task for task in TASKS if task in chosen]


def unknown(what, name, known):
    """The message for a name that there is not.

    Arguments
    ---------
    what : str
        The kind of thing.
    name : str
        As given.
    known : iterable of str
        Those that there are.

    Returns
    -------
    str

    Example
    -------
    >>> unknown("task", "SIDD", ["KS", "SID"])
    "there is no task 'SIDD'. Did you mean SID?"
    """
    by_case = {str(other).lower(): str(other) for other in known}
    near = difflib.get_close_matches(str(name).lower(), by_case, n=3, cutoff=0.5)
    if near:
        hint = f"Did you mean {' or '.join(by_case[other] for other in near)}?"
    else:
        hint = f"There are: {', '.join(by_case.values())}."
    return f"there is no {what} '{name}'. {hint}"
