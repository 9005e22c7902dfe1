"""Finished runs by their results.json: what they measured, what tells them apart.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
import math
import os
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.runs.tasks import metrics_of
from s3prl_sb.storage.files import FileError, naming, read_json
from s3prl_sb.terminal import quantities

RESULTS = "results.json"
WHAT = "the results of a run"
#: What a run is told by, where it differs: the section of results.json that has it.
FACTS = {"trained": "upstream_model", "precision": "training", "processes": "training"}
SECTIONS = "metrics settings defaults protocol identity upstream_model training".split()
#: Parts of an identity, and how an upstream is used that they always differ with.
GOES_WITH = {"upstream": ("trained", "adapter"), "weights": ("adapter",)}
NULL = "null"  # a value, where None is that there is none
#: What is told of every run, or by one of FACTS.
SHOWN = ("upstream", "seed", "lr", "total_steps", "freeze", "upstream_model.freeze")


def find(folders, failed):
    """The results of the runs in some folders.

    What ``--debug`` has left is none, and a fold that a summary counts is in it. What
    is hidden, such as a folder that is half written, is not looked into.

    Arguments
    ---------
    folders : list of str
        Searched at any depth; links are not followed.
    failed : callable
        Takes the error of each file or folder that cannot be read.

    Returns
    -------
    list of dict
        As results.json has them, with ``folder``.
    """
    found, inside = {}, set()
    for path in dict.fromkeys(
        path for folder in folders for path in _files(folder, failed)
    ):
        place = path.parent.resolve()  # given twice, or by another name
        if place in found:
            continue
        try:
            found[place] = run = _read(path)
        except UserError as error:
            failed(error)
            continue
        inside |= {place / fold["folder"] for fold in run.get("folds") or ()}
    return [run for place, run in found.items() if place not in inside]


def _files(folder, failed):
    """The results.json below a folder, in order."""

    def unreadable(error):
        if isinstance(error, FileNotFoundError) and Path(folder).is_dir():
            return  # gone while this looks around
        failed(FileError(f"'{error.filename}' cannot be read: {error.strerror}."))

    found = []
    for place, inner, files in os.walk(folder, onerror=unreadable):
        inner[:] = [name for name in inner if name != "debug" and name[0] != "."]
        found += [Path(place, RESULTS)] if RESULTS in files else []
    return sorted(found)


def _read(path):
    run = read_json(path, WHAT, kind=dict)
    with naming(path, WHAT):
        if "chosen_by" not in run:
            raise ValueError("it is not of a recipe")
        for name in SECTIONS:
            if not isinstance(run.get(name) or {}, dict):
                raise ValueError(f"its '{name}' is no mapping")
        for name in ("task", "upstream"):
            if not isinstance(run[name], str | None):
                raise ValueError(f"its '{name}' is no text")
        numbers = {**run["metrics"], "seconds": run["seconds"]}
        for name, value in numbers.items():
            if not isinstance(value, int | float):
                raise ValueError(f"its '{name}' is no number")
        run = {**run, "folder": str(path.parent)}
        # Whatever else may be wrong with it is found by looking at it.
        told_of(run), goodness(run), differences([run])
        [fold["folder"] for fold in run.get("folds") or ()]
    return run


def measured(run):
    """The metrics of the test set that stand for a run.

    Arguments
    ---------
    run : dict
        From :func:`find`.

    Returns
    -------
    list of tuple
        Name, value and spread over folds (or None) in the metric's unit, digits, and
        the unit ("%" or nothing).

    Example
    -------
    >>> chosen = {"metric": "accuracy", "highest": True}
    >>> run = {"task": "SUPERB/KS", "chosen_by": chosen, "metrics": {"accuracy": 0.5}}
    >>> measured(run)
    [('accuracy', 50.0, None, 2, '%')]
    """
    found, numbers = [], run["metrics"]
    for metric in metrics_of(run["task"]):
        if metric.key in numbers:
            values = [numbers[metric.key], numbers.get(f"{metric.key}_std")]
            scaled = [None if v is None else v * metric.scale for v in values]
            found.append((metric.key, *scaled, metric.digits, metric.unit))
    if not found:  # of a task of one's own: in the unit that it has
        key = run["chosen_by"]["metric"]
        found = [(key, numbers[key], numbers.get(f"{key}_std"), 4, "")]
    return found


def goodness(run):
    """How good a run is, the lower the better, within its task.

    Arguments
    ---------
    run : dict
        From :func:`find`.

    Returns
    -------
    float
    """
    name, value, *_ = measured(run)[0]
    known = metrics_of(run["task"])
    highest = {metric.key: metric.higher for metric in known}
    higher = highest.get(name, run["chosen_by"]["highest"])
    if math.isnan(value):  # worse than any number
        return math.inf
    return -value if higher else value


def told_of(run):
    """What is told of every run.

    Arguments
    ---------
    run : dict
        From :func:`find`.

    Returns
    -------
    dict
        Text, or numbers as they are.
    """
    texts = []
    for name, value, spread, digits, unit in measured(run):
        text = f"{name} {value:.{digits}f}"
        text += "" if spread is None else f" ± {spread:.{digits}f}"
        texts.append(f"{text} {unit}".rstrip())
    folds = len(run.get("folds") or ())
    return {
        "task": run["task"] or "",
        "upstream": run["upstream"] or "",
        "seed": run["seed"],
        "steps": run["total_steps"],
        "test": ", ".join(texts) + (f" ({folds} folds)" if folds else ""),
        "protocol": _protocol(run),
        "time": quantities.duration(run["seconds"]),
        "folder": run["folder"],
    }


def _protocol(run):
    """Whether it is that of the recipe, or how it is not."""
    judged = run.get("protocol") or {}
    if judged.get("followed") is None:
        return ""
    differs = judged["differs"]
    more = f", {len(differs) - 2} more" if len(differs) > 2 else ""
    return "followed" if judged["followed"] else ", ".join(differs[:2]) + more


def differences(runs):
    """What tells runs of the same task from each other.

    Arguments
    ---------
    runs : list of dict
        From :func:`find`.

    Returns
    -------
    dict
        Names to the values of all runs; None where it is not known, nothing where
        neither the run nor its recipe has any.
    """
    known = [_known(run) for run in runs]
    defaults = {}
    for run in runs:  # of a task, as its recipe has them
        defaults.setdefault(run["task"], {}).update(run.get("defaults") or {})
    found = {}
    for name in dict.fromkeys(name for values in known for name in values):
        column = []
        for run, values in zip(runs, known):
            value = values.get(name)
            if value is None and run.get("settings") is not None:
                value = defaults[run["task"]].get(name)
                value = "" if value is None else value
                value = NULL if name in run["settings"] else value  # turned off
            column.append(value)
        if _differs([run["task"] for run in runs], column):
            found[name.removeprefix("upstream_model.")] = column
    # What is called the same and is not.
    kinds = [(r["task"], r["upstream"], v.get("corpus")) for r, v in zip(runs, known)]
    marks = [run.get("identity") or {} for run in runs]
    for name in dict.fromkeys(name for values in marks for name in values):
        own = [(*kind, *_use(run, name)) for kind, run in zip(kinds, runs)]
        column = [_mark(values.get(name)) for values in marks]
        if _differs(own, column):
            found["upstream identity" if name == "upstream" else name] = column
    return found


def _use(run, name):
    """What a part of an identity goes with, and other columns show."""
    about = run.get("upstream_model") or {}
    return [json.dumps(about.get(other)) for other in GOES_WITH.get(name, ())]


def _mark(value):
    """Eight characters of a hash, or of whatever else says what something is."""
    if value is None or isinstance(value, str):
        return value and value[:8]
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _known(run):
    """All that a run may be told from others by, and that no other column shows."""
    judged, values = run.get("protocol") or {}, {}
    for name, section in FACTS.items():
        values[name] = (run.get(section) or {}).get(name)
    values["lr"] = run.get("lr")
    departs = judged.get("settings") or {}
    # Which model it is departs from no protocol.
    model = run.get("settings") or {}
    model = {k: v for k, v in model.items() if k.startswith("upstream_model.")}
    told = (*SHOWN, *FACTS)
    values.update({k: v for k, v in {**departs, **model}.items() if k not in told})
    values["corpus"] = judged.get("corpus")
    return values


def _differs(kinds, column):
    """Whether runs of one kind differ in a column, as far as it is known."""
    seen = {}
    for kind, value in zip(kinds, column):
        if value is not None:
            seen.setdefault(kind, set()).add(json.dumps(value))
    return any(len(values) > 1 for values in seen.values())
