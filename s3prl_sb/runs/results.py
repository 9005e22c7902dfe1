"""Results of finished runs, read from results.json, and how runs differ.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import math
import os
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.identity import digest
from s3prl_sb.runs.shown import (
    bracketed,
    check_intervals,
    ends_of,
    is_higher_better,
    shown_as,
)
from s3prl_sb.runs.suite_tasks import metrics_of
from s3prl_sb.storage.files import FileError, naming, read_json
from s3prl_sb.terminal import quantities
from s3prl_sb.terminal.messages import few

RESULTS = "results.json"
WHAT = "the results of a run"
#: Properties that may distinguish runs, and their section of results.json.
FACTS = {"trained": "upstream_model", "precision": "training", "processes": "training"}
SECTIONS = (
    "metrics settings defaults protocol identity upstream_model training "
    "valid test utterances versions"
).split()
#: Parts of an identity, and the properties of the upstream that always change them.
GOES_WITH = {"upstream": ("trained", "adapter"), "weights": ("adapter",)}
#: Sets that metrics may be of, as "split" of results.json, and their columns.
COLUMN_OF = {"test": "test", "valid": "held-out"}
NULL = "null"  # the value null, whereas None means that there is no value
#: Properties that every row shows, or one of FACTS.
SHOWN = ("upstream", "seed", "lr", "total_steps", "freeze", "upstream_model.freeze")


def find_runs(folders, failed):
    """Returns the results of the runs in folders.

    Skips runs of ``--debug``, folds that a summary includes, and hidden folders, such
    as unfinished ones.

    Arguments
    ---------
    folders : list of str
        Folders to search at any depth, without following links.
    failed : callable
        Called with the error of each file or folder that cannot be read.

    Returns
    -------
    list of dict
        Content of each results.json, with ``folder``.
    """
    runs, inside = {}, set()
    for path in dict.fromkeys(
        path for folder in folders for path in _files(folder, failed)
    ):
        place = path.parent.resolve()  # a folder may be named twice
        if place in runs:
            continue
        try:
            runs[place] = run = read_run(path)
        except UserError as error:
            failed(error)
            continue
        folds = {place / fold["folder"] for fold in run.get("folds") or ()}
        inside |= folds - {place}
    return [run for place, run in runs.items() if place not in inside]


def _files(folder, failed):
    """Returns the paths of results.json below a folder, in order."""

    def unreadable(error):
        if isinstance(error, FileNotFoundError) and Path(folder).is_dir():
            return  # deleted during the search
        failed(FileError(f"'{error.filename}' cannot be read: {error.strerror}."))

    paths = []
    for place, inner, files in os.walk(folder, onerror=unreadable):
        inner[:] = [name for name in inner if name != "debug" and name[0] != "."]
        path = Path(place, RESULTS)
        if RESULTS in files and path.is_file():  # a pipe would never end
            paths.append(path)
    return sorted(paths)


def read_run(path):
    """Reads the results of a run.

    Arguments
    ---------
    path : pathlib.Path
        Its results.json.

    Returns
    -------
    dict
        Its content, with ``folder``.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If it is not the results of a run.
    """
    run = read_json(path, WHAT, kind=dict)
    with naming(path, WHAT):
        if "chosen_by" not in run:
            raise ValueError("it is not of a recipe")
        if run.get("split", "test") not in list(COLUMN_OF):
            raise ValueError("its 'split' is neither test nor valid")
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
        check_intervals(run.get("intervals"))
        run = {**run, "folder": str(path.parent)}
        # Using the results once reveals all other faults.
        summary(run), goodness(run), differences([run])
        [Path(fold["folder"]) for fold in run.get("folds") or ()]
    return run


def main_metrics(run):
    """Returns the main metrics of a run, of the set that :func:`judged_on` names.

    Arguments
    ---------
    run : dict
        Output of :func:`find_runs`.

    Returns
    -------
    list of tuple
        Name, value and spread over folds (or None) in the metric's unit, digits, and
        the unit ("%" or nothing).

    Example
    -------
    >>> chosen = {"metric": "accuracy", "highest": True}
    >>> run = {"task": "SUPERB/KS", "chosen_by": chosen, "metrics": {"accuracy": 0.5}}
    >>> main_metrics(run)
    [('accuracy', 50.0, None, 2, '%')]
    >>> main_metrics({**run, "task": "TIMIT/phones"})
    [('accuracy', 50.0, None, 2, '%')]
    """
    metrics, numbers = [], run["metrics"]
    keys = [metric.key for metric in metrics_of(run["task"]) if metric.key in numbers]
    for key in keys or [run["chosen_by"]["metric"]]:
        scale, digits, unit = shown_as(run["task"], key)
        values = [numbers[key], numbers.get(f"{key}_std")]
        scaled = [None if v is None else v * scale for v in values]
        metrics.append((key, *scaled, digits, unit))
    return metrics


def judged_on(run):
    """Returns the column of the set that the metrics of a run are of.

    Arguments
    ---------
    run : dict
        Output of :func:`find_runs`.

    Returns
    -------
    str
        "test"; of a pre-training "held-out", the audio that chooses its checkpoint.

    Example
    -------
    >>> judged_on({"split": "valid"}), judged_on({})
    ('held-out', 'test')
    """
    return COLUMN_OF[run.get("split", "test")]


def goodness(run):
    """Returns a sort key of the runs of a task, lower for better runs.

    Arguments
    ---------
    run : dict
        Output of :func:`find_runs`.

    Returns
    -------
    float
    """
    name, value, *_ = main_metrics(run)[0]
    higher = is_higher_better(run, name)
    if math.isnan(value):  # worse than any number
        return math.inf
    return -value if higher else value


def summary(run, intervals=False):
    """Returns the columns that every run has.

    Arguments
    ---------
    run : dict
        Output of :func:`find_runs`.
    intervals : bool
        Whether the metrics have their intervals, where they are known.

    Returns
    -------
    dict
        Names to texts or numbers.
    """
    texts = []
    for name, value, spread, digits, unit in main_metrics(run):
        text = f"{name} {value:.{digits}f}"
        text += "" if spread is None else f" ± {spread:.{digits}f}"
        ends = ends_of(run, name) if intervals else None
        text += f" {bracketed(ends, digits)}" if ends else ""
        texts.append(f"{text} {unit}".rstrip())
    return {
        "task": run["task"] or "",
        "upstream": run["upstream"] or "",
        "seed": run["seed"],
        "steps": run["total_steps"],
        judged_on(run): ", ".join(texts) + _parts(run),
        "protocol": _protocol(run),
        "time": quantities.duration(run["seconds"]),
        "folder": run["folder"],
    }


def _parts(run):
    """Returns a remark on the folds or corpora that the metrics are a mean of."""
    names = [part.get("fold") for part in run.get("folds") or ()]
    if any(isinstance(name, str) for name in names):
        return f" (mean of {few(names)})"
    return f" ({len(names)} folds)" if names else ""


def _protocol(run):
    """Returns whether a run followed the protocol, or its departures."""
    judged = run.get("protocol") or {}
    if judged.get("followed") is None:
        return ""
    differs = judged["differs"]
    more = f", {len(differs) - 2} more" if len(differs) > 2 else ""
    return "followed" if judged["followed"] else ", ".join(differs[:2]) + more


def differences(runs):
    """Returns the properties in which runs of the same task differ.

    Arguments
    ---------
    runs : list of dict
        Output of :func:`find_runs`.

    Returns
    -------
    dict
        Names to the values of all runs: None if unknown, an empty text if neither
        the run nor its recipe has a value.
    """
    properties = [_properties(run) for run in runs]
    defaults = {}
    for run in runs:  # by task, from its recipe
        defaults.setdefault(run["task"], {}).update(run.get("defaults") or {})
    columns = {}
    for name in dict.fromkeys(name for values in properties for name in values):
        column = []
        for run, values in zip(runs, properties):
            value = values.get(name)
            if value is None and run.get("settings") is not None:
                value = defaults[run["task"]].get(name)
                value = "" if value is None else value
                value = NULL if name in run["settings"] else value  # turned off
            column.append(value)
        if _differs([run["task"] for run in runs], column):
            columns[name.removeprefix("upstream_model.")] = column
    # Upstreams and corpora of the same name may differ.
    kinds = [
        (run["task"], run["upstream"], values.get("corpus"))
        for run, values in zip(runs, properties)
    ]
    marks = [run.get("identity") or {} for run in runs]
    for name in dict.fromkeys(name for values in marks for name in values):
        groups = [(*kind, *_use(run, name)) for kind, run in zip(kinds, runs)]
        column = [_mark(values.get(name)) for values in marks]
        if _differs(groups, column):
            columns["upstream identity" if name == "upstream" else name] = column
    return columns


def _use(run, name):
    """Returns the properties that change a part of an identity, and have columns."""
    model = run.get("upstream_model") or {}
    return [json.dumps(model.get(other)) for other in GOES_WITH.get(name, ())]


def _mark(value):
    """Returns eight characters of a hash, or of the hash of other values."""
    if value is None or isinstance(value, str):
        return value and value[:8]
    return digest(value)[:8]


def _properties(run):
    """Returns the properties that may distinguish a run and have no other column."""
    judged, values = run.get("protocol") or {}, {}
    for name, section in FACTS.items():
        values[name] = (run.get(section) or {}).get(name)
    values["lr"] = run.get("lr")
    departs = judged.get("settings") or {}
    # The choice of the model is not a departure from the protocol.
    model = run.get("settings") or {}
    model = {k: v for k, v in model.items() if k.startswith("upstream_model.")}
    shown = (*SHOWN, *FACTS)
    values.update({k: v for k, v in {**departs, **model}.items() if k not in shown})
    values["corpus"] = judged.get("corpus")
    return values


def _differs(kinds, column):
    """Returns whether runs of one kind have different values in a column."""
    seen = {}
    for kind, value in zip(kinds, column):
        if value is not None:
            seen.setdefault(kind, set()).add(json.dumps(value))
    return any(len(values) > 1 for values in seen.values())
