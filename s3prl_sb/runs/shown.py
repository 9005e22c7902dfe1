"""Metrics as people read them: scale, digits and unit, the better side, intervals.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.runs.suite_tasks import metrics_of
from s3prl_sb.terminal import quantities

#: Results do not depend on this module, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: Words in the names of metrics that say which values are better.
SCORES = set("accuracy recall precision f1 auc bleu mtwv atwv twv lcc srcc".split())
ERRORS = set("wer per cer eer der error mse loss dcf acceptance rejection".split())


def shown_as(task, key):
    """Returns how people read a metric of a task.

    Arguments
    ---------
    task : str
        Task of a run.
    key : str
        Name in results.json.

    Returns
    -------
    scale : float
        Factor from the number in results.json.
    digits : int
        Number of decimals.
    unit : str
        "%" or another unit, or nothing.

    Example
    -------
    >>> shown_as("SUPERB/KS", "accuracy"), shown_as("SUPERB/KS", "loss")
    ((100.0, 2, '%'), (1.0, 4, ''))
    """
    for metric in metrics_of(task):
        if metric.key == key:
            return metric.scale, metric.digits, metric.unit
    return (100.0, 2, "%") if quantities.is_share(key) else (1.0, 4, "")


def is_higher_better(run, key):
    """Returns whether higher values of a metric are better, or None if nobody says so.

    Arguments
    ---------
    run : dict
        Output of :func:`s3prl_sb.runs.results.find_runs`.
    key : str
        Name of a metric.

    Returns
    -------
    bool or None
    """
    known = {metric.key: metric.higher for metric in metrics_of(run["task"])}
    if key == run["chosen_by"]["metric"]:
        known.setdefault(key, run["chosen_by"]["highest"])
    words = set(key.split("_"))
    guess = False if words & ERRORS else True if words & SCORES else None
    return known.get(key, guess)


def ends_of(run, key):
    """Returns the interval of a metric in its unit.

    Arguments
    ---------
    run : dict
        Output of :func:`s3prl_sb.runs.results.find_runs`.
    key : str
        Name of the metric.

    Returns
    -------
    tuple of float or None
        Low and high end; None where they are not known, as of older versions.

    Example
    -------
    >>> intervals = {"level": 0.95, "metrics": {"accuracy": [0.25, 0.75]}}
    >>> run = {"task": "SUPERB/KS", "intervals": intervals}
    >>> ends_of(run, "accuracy"), ends_of(run, "loss")
    ((25.0, 75.0), None)
    """
    known = (run.get("intervals") or {}).get("metrics") or {}
    if key not in known:
        return None
    scale, _, _ = shown_as(run["task"], key)
    return tuple(scale * end for end in known[key])


def bracketed(ends, digits):
    """Formats an interval.

    Arguments
    ---------
    ends : sequence of float
        Low and high end.
    digits : int
        Number of decimals.

    Returns
    -------
    str

    Example
    -------
    >>> bracketed((3.9, 4.6), 2)
    '[3.90, 4.60]'
    """
    return f"[{', '.join(f'{end:.{digits}f}' for end in ends)}]"


def check_intervals(intervals):
    """Checks the intervals of a run.

    Arguments
    ---------
    intervals : dict or None
        "intervals" of results.json; None: a run of an older version.

    Raises
    ------
    ValueError
        If they are not of their format.

    Example
    -------
    >>> check_intervals({"level": 0.95, "metrics": {"accuracy": [0.25, 0.75]}})
    """
    if intervals is None:
        return
    ends = [end for pair in intervals["metrics"].values() for end in pair]
    numbers = [intervals["level"], *ends]
    if len(ends) != 2 * len(intervals["metrics"]) or not all(
        isinstance(number, int | float) and float(number) is not None
        for number in numbers
    ):
        raise ValueError("its 'intervals' are not a level and pairs of numbers")
