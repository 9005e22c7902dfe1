"""Axes of charts: the unit of a measure, and which direction is better.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import re
from typing import Any, NamedTuple

from s3prl_sb.report.gathered import Run
from s3prl_sb.runs.suite_tasks import metrics_of
from s3prl_sb.terminal import quantities

#: Words in the names of measures of which less is better, and of which more is.
LOWER = re.compile(
    r"(^|_)(loss|error|wer|wder|t?cpwer|cer|per|der|eer|dcf|mcd|acceptance|rejection|mse"
    r"|miss|missed|alarm|confusion|seconds|rmse)(_|$)"
)
HIGHER = re.compile(
    r"(^|_)(accuracy|f1|precision|recall|mtwv|atwv|twv|bleu|pesq|stoi|lcc|srcc|ktau"
    r"|si|psds[12]?|score|map|auc|prime|ar)(_|$)"
)
DIGITS = 5  # significant ones, in the data of a chart
#: Abbreviations in the names of measures that people write otherwise.
WRITTEN = {"cpwer": "cpWER", "tcpwer": "tcpWER", "f1": "F1", "dcf": "DCF", "lm": "LM"}
WRITTEN |= {n: n.upper() for n in "wer wder cer per der eer mtwv atwv twv mse".split()}
WRITTEN |= {n: n.upper() for n in "mcd lcc srcc ktau bleu pesq stoi auc".split()}
WRITTEN |= {n: n.upper() for n in ("psds", "psds1", "psds2")}


class Axis(NamedTuple):
    """Axis of a measure.

    Arguments
    ---------
    name : str
        Name in results.json.
    title : str
        Name for people.
    scale : float
        Factor from the value in results.json to that of the axis.
    unit : str
        Unit, or nothing.
    higher : bool or None
        Whether more is better; None where nothing is said of it.

    Example
    -------
    >>> axis = Axis("wer", "WER", 100.0, "%", False)
    >>> axis.heading, axis.of(0.123456789), axis.words(0.1234)
    ('WER, % (lower is better)', 12.346, '12.34 %')
    """

    name: str
    title: str
    scale: float = 1.0
    unit: str = ""
    higher: bool | None = None

    @property
    def heading(self) -> str:
        """Title of the axis, with its unit and the direction of better numbers."""
        unit = f", {self.unit}" if self.unit else ""
        ways = {True: " (higher is better)", False: " (lower is better)", None: ""}
        return f"{self.title}{unit}{ways[self.higher]}"

    @property
    def opening(self) -> str:
        """Name at the beginning of a sentence."""
        return self.title[:1].upper() + self.title[1:]

    def of(self, value: Any) -> float | None:
        """Returns a value on the axis; None if it is no finite number."""
        return short(value, self.scale)

    def words(self, value: Any) -> str:
        """Returns a value with its unit, for people."""
        return self.words_on(self.of(value))

    def words_on(self, number: float | None) -> str:
        """Returns a number of the axis, which is scaled already, with its unit."""
        if number is None:
            return "unknown"
        text = f"{number:.2f}" if self.unit == "%" else f"{number:.4g}"
        return f"{text} {self.unit}".rstrip()


def short(value: Any, scale: float = 1.0) -> float | None:
    """Returns a number with five significant digits, as a chart needs no more.

    Arguments
    ---------
    value : object
        A number, or anything else.
    scale : float
        Factor.

    Returns
    -------
    float or None
        None if it is not a finite number.

    Example
    -------
    >>> short(0.123456789), short("0.5", 100), short("nan"), short(None)
    (0.12346, 50.0, None, None)
    """
    try:
        number = float(value) * scale
    except (TypeError, ValueError, OverflowError):
        return None
    return float(f"{number:.{DIGITS}g}") if math.isfinite(number) else None


def axis_of(run: Run, name: str) -> Axis:
    """Returns how a measure of a run is drawn.

    Arguments
    ---------
    run : Run
        The run.
    name : str
        Name in its results.json.

    Returns
    -------
    Axis

    Example
    -------
    >>> run = Run({"folder": "out", "task": "SUPERB/PR"})
    >>> axis_of(run, "per").heading, axis_of(run, "loss").heading
    ('PER, % (lower is better)', 'loss (lower is better)')
    """
    for metric in metrics_of(run.task):
        if metric.key == name:
            return Axis(name, metric.title, metric.scale, metric.unit, metric.higher)
    title, share = named(name), quantities.is_share(name)
    chosen = run.results.get("chosen_by") or {}
    higher = chosen.get("highest") if chosen.get("metric") == name else _better(name)
    return Axis(name, title, 100.0 if share else 1.0, "%" if share else "", higher)


def _better(name):
    if LOWER.search(name):
        return False
    return True if HIGHER.search(name) else None


def named(name: str) -> str:
    """Returns the name of a measure for people.

    Arguments
    ---------
    name : str
        Name in results.json.

    Returns
    -------
    str

    Example
    -------
    >>> named("frame_accuracy"), named("min_dcf"), named("wer_lm")
    ('frame accuracy', 'min DCF', 'WER LM')
    """
    return " ".join(WRITTEN.get(word, word) for word in name.split("_"))


def main_axis(run: Run) -> Axis | None:
    """Returns the axis of the first metric of a run's task that the run measured.

    Arguments
    ---------
    run : Run
        The run.

    Returns
    -------
    Axis or None
        That of the metric that chose the checkpoint, for a task of no suite.
    """
    measured = run.results.get("metrics") or {}
    names = [metric.key for metric in metrics_of(run.task)]
    names.append((run.results.get("chosen_by") or {}).get("metric"))
    return next((axis_of(run, name) for name in names if name in measured), None)


def with_interval(run: Run, name: str) -> str:
    """Returns a metric of a run for people, with its interval if that is known.

    Arguments
    ---------
    run : Run
        The run.
    name : str
        Name in its results.json.

    Returns
    -------
    str

    Example
    -------
    >>> intervals = {"level": 0.95, "metrics": {"wer": [0.1, 0.2]}}
    >>> results = {"folder": "out", "metrics": {"wer": 0.15}, "intervals": intervals}
    >>> with_interval(Run(results), "wer")
    '15.00 % (95 % interval 10.00 % to 20.00 %)'
    """
    axis = axis_of(run, name)
    value = axis.words((run.results.get("metrics") or {}).get(name))
    intervals = run.results.get("intervals") or {}
    ends = (intervals.get("metrics") or {}).get(name)
    if not isinstance(ends, list) or len(ends) != 2 or None in map(axis.of, ends):
        return value
    low, high = map(axis.words, ends)
    return (
        f"{value} ({100 * intervals.get('level', 0.95):g} % interval {low} to {high})"
    )
