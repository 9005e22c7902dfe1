"""The tasks of SUPERB and of SUPERB-SG, with their metrics and units.

Papers: Yang et al., "SUPERB", https://arxiv.org/abs/2105.01051; Tsai et al.,
"SUPERB-SG", https://arxiv.org/abs/2203.06849.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
from typing import NamedTuple


class Metric(NamedTuple):
    """A metric of a task.

    ``key`` is its name in results.json, ``title`` that in the table; ``scale`` converts
    it to the benchmark's ``unit``, ``digits`` is the number of decimals. ``optional``:
    without any run that has it, the table has no column for it.
    """

    key: str
    title: str
    higher: bool
    scale: float = 100.0
    digits: int = 2
    unit: str = "%"
    optional: bool = False

    @property
    def heading(self):
        """Title with the direction of better numbers, and the unit unless per cent.

        Example
        -------
        >>> Metric("per", "PER", False).heading
        'PER ↓'
        >>> Metric("mcd", "MCD", False, 1.0, 2, "dB").heading
        'MCD dB ↓'
        """
        unit = f" {self.unit}" if self.unit not in ("", "%") else ""
        return f"{self.title}{unit} {'↑' if self.higher else '↓'}"


def recipe(task):
    """Returns the name of a task's recipe.

    Example
    -------
    >>> recipe("KS")
    'SUPERB/KS'
    """
    return f"SUPERB/{task}"


#: The ten tasks of SUPERB to metrics, in the order of its table. A run may lack some.
SUPERB = {
    "PR": [Metric("per", "PER", False)],
    "KS": [Metric("accuracy", "Acc", True)],
    "IC": [Metric("accuracy", "Acc", True)],
    "SID": [Metric("accuracy", "Acc", True)],
    "ER": [Metric("accuracy", "Acc", True)],
    "ASR": [
        Metric("wer", "WER", False),
        Metric("wer_lm", "WER LM", False, optional=True),
    ],
    "QbE": [Metric("mtwv", "MTWV", True, 1.0, 4, "")],
    "SF": [
        Metric("slot_type_f1", "F1", True),
        Metric("slot_value_cer", "CER", False),
    ],
    "ASV": [Metric("eer", "EER", False)],
    "SD": [Metric("der", "DER", False)],
}
#: The five of SUPERB-SG, likewise.
SUPERB_SG = {
    "ST": [Metric("bleu", "BLEU", True, 1.0, 2, "")],
    "OOD-ASR": [Metric("error_rate", "WER", False)],
    "VC": [
        Metric("mcd", "MCD", False, 1.0, 2, "dB"),
        Metric("wer", "WER", False, optional=True),  # by an ASR model
        Metric("acceptance", "ASV", True, optional=True),  # by an ASV model
    ],
    "SS": [Metric("si_sdr_improvement", "SI-SDRi", True, 1.0, 2, "dB")],
    "SE": [
        Metric("pesq", "PESQ", True, 1.0, 2, ""),
        Metric("stoi", "STOI", True),
    ],
}
#: Names of groups to the tasks in them, each a block of the table.
GROUPS = {"all": SUPERB, "sg": SUPERB_SG}
TASKS = {**SUPERB, **SUPERB_SG}


def metrics_of(name):
    """Returns the metrics of a recipe.

    Arguments
    ---------
    name : str or None
        Name of the recipe. A variant has the metrics of its task.

    Returns
    -------
    list of Metric
        Empty for a task that is in neither benchmark.

    Example
    -------
    >>> [metric.key for metric in metrics_of("SUPERB/KS")], metrics_of("digits")
    (['accuracy'], [])
    """
    base = "/".join((name or "").split("/")[:2])
    return next((TASKS[task] for task in TASKS if recipe(task) == base), [])


def find_tasks(names):
    """Returns tasks by name, in the table's order.

    Arguments
    ---------
    names : list of str
        Names in upper or lower case, of tasks and of groups: "all" selects SUPERB's
        ten, "sg" SUPERB-SG's five.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        For an unknown name; names similar ones.

    Example
    -------
    >>> find_tasks(["qbe", "PR"]), len(find_tasks(["all"]))
    (['PR', 'QbE'], 10)
    """
    known = {task.lower(): [task] for task in TASKS}
    known |= {name: [t for t in TASKS if t in GROUPS[name]] for name in GROUPS}
    names = [part for name in names for part in str(name).split(",")]
    names = [name.strip() for name in names if name.strip()]
    if not names:
        groups = " and ".join(GROUPS)
        raise ValueError(f"no task is named. There are: {', '.join(TASKS)}, {groups}.")
    for name in names:
        if name.lower() not in known:
            raise ValueError(unknown("task", name, [*TASKS, *GROUPS]))
    chosen = {task for name in names for task in known[name.lower()]}
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
