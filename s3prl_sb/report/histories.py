"""Measures of a run while it trained, from its log or its results.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from s3prl_sb.report.gathered import Run

LOG = "train_log.txt"
SPLITS = ("train", "valid")
#: A name and a number in a line of the log; see brains/train_log.py.
PAIR = re.compile(
    r"(?:^|, | - )(?:(train|valid|test) )?([^:,]+): "
    r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)( %)?(?=, | - |$)"
)


class Point(NamedTuple):
    """A validation.

    Arguments
    ---------
    step : int
        Updates until then.
    train, valid : dict
        Measures of the training since the last one, and of the validation set.
    about : dict
        Other numbers of the log, such as the learning rate ``lr``.
    """

    step: int
    train: dict[str, float]
    valid: dict[str, float]
    about: dict[str, float]


def parts_of(run: Run) -> list[str]:
    """Returns the folders, in that of a run, of what was trained.

    Arguments
    ---------
    run : Run
        The run.

    Returns
    -------
    list of str
        Folders of its folds or other parts; otherwise ``[""]``.

    Example
    -------
    >>> parts_of(Run({"folder": "out", "folds": [{"folder": "fold1"}]}))
    ['fold1']
    """
    folds = run.results.get("folds")
    folds = folds if isinstance(folds, list) else ()
    names = [fold.get("folder") for fold in folds if isinstance(fold, dict)]
    # A damaged file may not lead out of the run's folder.
    inside = [n for n in names if isinstance(n, str) and PurePosixPath(n).name == n]
    return [name for name in inside if name not in ("", "..")] or [""]


def inside(part: str, name: str) -> str:
    """Returns the name of a file of a part of a run.

    Example
    -------
    >>> inside("fold1", "predictions.csv"), inside("", "predictions.csv")
    ('fold1/predictions.csv', 'predictions.csv')
    """
    return f"{part}/{name}" if part else name


def histories(run: Run) -> dict[str, list[Point]]:
    """Returns the validations of each part of a run, in the order of their updates.

    Arguments
    ---------
    run : Run
        The run.

    Returns
    -------
    dict
        Folders of parts, see :func:`parts_of`, to validations; without those that left
        none.
    """
    history = run.results.get("history")
    if isinstance(history, list):  # of a pre-training
        points = [_of_history(entry) for entry in history]
        kept = {point.step: point for point in points if point is not None}
        return {"": [kept[step] for step in sorted(kept)]} if kept else {}
    parts = parts_of(run)
    texts = {part: run.text(inside(part, LOG)) for part in parts}
    read = {part: of_log(text) for part, text in texts.items() if text}
    return {part: points for part, points in read.items() if points}


def of_log(text: str) -> list[Point]:
    """Reads the log of a training.

    Arguments
    ---------
    text : str
        Content of the file; lines of another form do not count.

    Returns
    -------
    list of Point
        The last of each step: a training that is resumed may write one again.

    Example
    -------
    >>> line = "steps: 50 - train loss: 2.5 - valid loss: 3, valid wer: 9.00 %"
    >>> of_log(line)[0]
    Point(step=50, train={'loss': 2.5}, valid={'loss': 3.0, 'wer': 0.09}, about={})
    """
    points = {}
    for line in text.splitlines():
        values: dict[str, dict[str, float]] = {}
        for split, name, number, per_cent in PAIR.findall(line):
            value = float(number) / (100 if per_cent else 1)
            values.setdefault(split, {})[name.strip()] = value
        about = values.get("", {})
        step = about.pop("steps", None)
        about.pop("epoch", None)
        if step is not None and any(split in values for split in SPLITS):
            train, valid = (values.get(split, {}) for split in SPLITS)
            points[int(step)] = Point(int(step), train, valid, about)
    return [points[step] for step in sorted(points)]


def _of_history(entry: Any) -> Point | None:
    try:
        train, valid = (
            {k: float(v) for k, v in entry[split].items() if _is_number(v)}
            for split in SPLITS
        )
        return Point(int(entry["step"]), train, valid, {})
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _is_number(value):
    return isinstance(value, int | float)
