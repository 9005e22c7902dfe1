"""The ten tasks of SUPERB, with their metrics and units.

Paper: Yang et al., "SUPERB", https://arxiv.org/abs/2105.01051.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
from typing import NamedTuple


class Metric(NamedTuple):
    """A metric of a task.

    ``key`` is its name in results.json, ``title`` that in SUPERB's table; ``scale``
    converts it to SUPERB's unit, ``digits`` is the number of decimals.
    """

    key: str
    title: str
    higher: bool
    scale: float = 100.0
    digits: int = 2

    @property
    def unit(self):
        """Sign of the unit, empty if there is none."""
        return "%" if self.scale == 100.0 else ""


#: Tasks to metrics, in the order of SUPERB's table. A run may lack some metrics.
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
    """Returns the metrics of a recipe.

    Arguments
    ---------
    name : str or None
        Name of the recipe.

    Returns
    -------
    list of Metric
        Empty for a task that is not in SUPERB.

    Example
    -------
    >>> [metric.key for metric in metrics_of("SUPERB/KS")], metrics_of("digits")
    (['accuracy'], [])
    """
    return next((TASKS[task] for task in TASKS if recipe(task) == name), [])


def recipe(task):
    """Returns the name of a task's recipe.

    Example
    -------
    >>> recipe("KS")
    'SUPERB/KS'
    """
    return f"SUPERB/{task}"


def find_tasks(names):
    """Returns tasks by name, in the table's order.

    Arguments
    ---------
    names : list of str
        Names in upper or lower case; "all" selects all tasks.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        For an unknown name; names similar ones.

    Example
    -------
    >>> find_tasks(["qbe", "PR"])
    ['PR', 'QbE']
    """
    tasks = {task.lower(): task for task in TASKS}
    names = [part for name in names for part in str(name).split(",")]
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise ValueError(f"no task is named. There are: {', '.join(TASKS)}, and all.")
    if any(name.lower() == "all" for name in names):
        return list(TASKS)
    for name in names:
        if name.lower() not in tasks:
            raise ValueError(unknown("task", name, TASKS))
    chosen = {tasks[name.lower()] for name in names}
    return [task for task in TASKS if task in chosen]


def unknown(what, name, choices):
    """Returns the message for an unknown name.

    Arguments
    ---------
    what : str
        Kind of thing.
    name : str
        The unknown name.
    choices : iterable of str
        Valid names.

    Returns
    -------
    str

    Example
    -------
    >>> unknown("task", "SIDD", ["KS", "SID"])
    "there is no task 'SIDD'. Did you mean SID?"
    """
    by_case = {str(other).lower(): str(other) for other in choices}
    near = difflib.get_close_matches(str(name).lower(), by_case, n=3, cutoff=0.5)
    similar, choices = " or ".join(map(by_case.get, near)), ", ".join(by_case.values())
    hint = f"Did you mean {similar}?" if near else f"There are: {choices}."
    return f"there is no {what} '{name}'. {hint}"
