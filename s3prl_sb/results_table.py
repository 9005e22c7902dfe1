"""``s3prl-sb results``: a row for each finished run, and what tells them apart.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import io
import json
import sys
from pathlib import Path

from s3prl_sb import columns
from s3prl_sb.errors import UserError
from s3prl_sb.files import FileError, naming, read_json
from s3prl_sb.superb.tasks import TASKS, unknown

RESULTS = "results.json"
WHAT = "the results of a run"
SUITE = "SUPERB/"  # before the names of TASKS
#: Columns, the most important first; those of what differs come after "upstream".
COLUMNS = ["task", "upstream", "test", "seed", "steps", "folder", "protocol", "time"]
#: What a run is told by, where it differs: the section of results.json that has it.
FACTS = {"trained": "upstream_model", "precision": "training", "processes": "training"}
#: What columns of their own say.
SHOWN = ("upstream", "seed", "lr", "total_steps", "freeze", "upstream_model.freeze")


def add_arguments(parser):
    """The arguments of the verb.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Of the verb.
    """
    parser.add_argument("folder", nargs="+", help="searched at any depth")
    parser.add_argument(
        "--format",
        choices=("text", "csv", "json", "markdown"),
        default="text",
        help="text: the columns that fit; csv, markdown: all columns; json: all that "
        "is known of each run (default: text)",
    )
    parser.add_argument(
        "--sort",
        metavar="KEY",
        help="a column, a key of the recipe, metric (the best first), the name of a "
        "metric, or time (default: by folder)",
    )


def main(arguments):
    """Prints the table.

    Arguments
    ---------
    arguments : argparse.Namespace
        With what :func:`add_arguments` has added.

    Returns
    -------
    int
        0 if there is a table, even if some files could not be read; they are named.
    """

    def failed(error):
        print(f"s3prl-sb: {error}", file=sys.stderr)

    runs = find(arguments.folder, failed)
    if not runs:
        raise FileError(f"no {RESULTS} under {', '.join(map(str, arguments.folder))}")
    if arguments.sort:
        runs = ordered(runs, arguments.sort)
    if arguments.format == "json":
        print(json.dumps(runs, indent=2))
        return 0
    header, *rows = table(runs)
    if arguments.format == "csv":
        print(as_csv(runs), end="")
    elif arguments.format == "markdown":
        print(columns.as_markdown([header, *rows], right=[header.index("test")]))
    else:
        width = columns.terminal_width(sys.stdout)
        others = [name for name in header if name not in COLUMNS]
        importance = [*COLUMNS[:2], *others, *COLUMNS[2:]]
        print(columns.as_text([header, *rows], width, importance if width else None))
    return 0


def find(folders, failed):
    """The results of the runs in some folders.

    What ``--debug`` has left is none, and a fold that a summary counts is in it.

    Arguments
    ---------
    folders : list of str
        Searched at any depth.
    failed : callable
        Takes the error of each file that cannot be read.

    Returns
    -------
    list of dict
        As results.json has them, with ``folder``.
    """
    found, inside = {}, set()
    for folder in folders:
        for path in sorted(Path(folder).rglob(RESULTS)):
            if "debug" in path.relative_to(folder).parts or path.parent in found:
                continue
            try:
                found[path.parent] = run = _read(path)
            except UserError as error:
                failed(error)
                continue
            inside |= {path.parent / f["folder"] for f in run.get("folds") or ()}
    return [run for place, run in found.items() if place not in inside]


def _read(path):
    run = read_json(path, WHAT, kind=dict)
    with naming(path, WHAT):
        if "chosen_by" not in run:
            raise ValueError("it is not of a recipe")
        run = {**run, "folder": str(path.parent)}
        _row(run)
        float(run["seconds"])
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
    name, found = run["task"] or "", []
    known = TASKS.get(name.removeprefix(SUITE), ()) if name.startswith(SUITE) else ()
    numbers = run["metrics"]
    for metric in known:
        if metric.key in numbers:
            values = [numbers[metric.key], numbers.get(f"{metric.key}_std")]
            scaled = [None if v is None else v * metric.scale for v in values]
            found.append((metric.key, *scaled, metric.digits, metric.unit))
    if not found:  # of a task of one's own: in the unit that it has
        key = run["chosen_by"]["metric"]
        found = [(key, numbers[key], numbers.get(f"{key}_std"), 4, "")]
    return found


def _row(run):
    """What is shown of a run anyway."""
    texts = []
    for name, value, spread, digits, unit in measured(run):
        text = f"{name} {value:.{digits}f}"
        text += "" if spread is None else f" ± {spread:.{digits}f}"
        texts.append(f"{text} {unit}".rstrip())
    folds = len(run.get("folds") or ())
    return {
        "task": run["task"] or "",
        "upstream": run["upstream"],
        "seed": run["seed"],
        "steps": run["total_steps"],
        "test": ", ".join(texts) + (f" ({folds} folds)" if folds else ""),
        "protocol": _protocol(run),
        "time": f"{run['seconds']:.0f} s",
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
        Names to the values of all runs; None where it is not known, or as the recipe
        has it.
    """
    known = [_known(run) for run in runs]
    defaults = {}
    for run in runs:  # of a task, as its recipe has them
        told = {k: v for k, v in (run.get("defaults") or {}).items()}
        defaults.setdefault(run["task"], {}).update(told)
    found = {}
    for name in dict.fromkeys(name for values in known for name in values):
        column = []
        for run, values in zip(runs, known):
            value = values.get(name)
            if value is None and run.get("settings") is not None:
                value = defaults[run["task"]].get(name)
            column.append(value)
        # Other upstreams have other weights.
        kinds = [(r["task"], name == "weights" and r["upstream"]) for r in runs]
        if _differs(kinds, column):
            found[name.removeprefix("upstream_model.")] = column
    return found


def _known(run):
    """All that a run may be told from others by, and that no other column shows."""
    identity, judged = run.get("identity") or {}, run.get("protocol") or {}
    values = {}
    for name, section in FACTS.items():
        values[name] = (run.get(section) or {}).get(name)
    values["lr"] = run.get("lr")
    departs = judged.get("settings") or {}
    values.update({k: v for k, v in departs.items() if k not in (*SHOWN, *FACTS)})
    values["data"] = judged.get("corpus")
    values["weights"] = (identity.get("weights") or "")[:8] or None
    return values


def _differs(kinds, column):
    """Whether runs of one kind differ in a column, as far as it is known."""
    seen = {}
    for kind, value in zip(kinds, column):
        if value is not None:
            seen.setdefault(kind, set()).add(json.dumps(value))
    return any(len(values) > 1 for values in seen.values())


def table(runs):
    """The table as text cells.

    Arguments
    ---------
    runs : list of dict
        From :func:`find`.

    Returns
    -------
    list of list of str
        The header, and a row a run.
    """
    found, rows = differences(runs), [_row(run) for run in runs]
    header = ["task", "upstream", *found, "seed", "steps", "test"]
    header += [name for name in COLUMNS if name in ("protocol", "time")] + ["folder"]
    lines = [header]
    for i, row in enumerate(rows):
        cells = {**{name: column[i] for name, column in found.items()}, **row}
        lines.append([_text(cells[name]) for name in header])
    return lines


def _text(value):
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def as_csv(runs):
    """The table as CSV: numbers alone, a column for each metric.

    Arguments
    ---------
    runs : list of dict
        From :func:`find`.

    Returns
    -------
    str
    """
    header, *lines = table(runs)
    rows, metrics = [], {}
    for run, line in zip(runs, lines):
        row = {k: v for k, v in zip(header, line) if k not in ("test", "time")}
        for name, value, spread, _, unit in measured(run):
            title = f"{name} [{unit}]" if unit else name
            row[title] = metrics[title] = value
            if spread is not None:
                row[f"{title} std"] = metrics[f"{title} std"] = spread
        rows.append({**row, "seconds": run["seconds"]})
    names = [name for name in header if name not in ("test", "time", "folder")]
    names += [*metrics, "seconds", "folder"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def ordered(runs, key):
    """The runs in another order; equal ones stay as they are.

    Arguments
    ---------
    runs : list of dict
        From :func:`find`.
    key : str
        A column; a key of the recipes; "metric": by task, the best first; the name of
        a metric; "time".

    Returns
    -------
    list of dict

    Raises
    ------
    s3prl_sb.files.FileError
        With the keys that there are.
    """
    found, rows = differences(runs), [_row(run) for run in runs]
    values = {name: [row[name] for row in rows] for name in rows[0] if name != "test"}
    values["time"] = [run["seconds"] for run in runs]
    for name in {key: None for run in runs for key in run["metrics"]}:
        values[name] = [run["metrics"].get(name) for run in runs]
    for name in {k: None for run in runs for k in run.get("settings") or ()}:
        values.setdefault(name, [_setting(run, name, runs) for run in runs])
    values.update(found)
    if key in ("metric", "test"):
        places = [(run["task"] or "", _goodness(run)) for run in runs]
    elif key in values:
        places = [_place(value) for value in values[key]]
    else:
        raise FileError(f"--sort: {unknown('key', key, ['metric', *values])}")
    return [runs[i] for i in sorted(range(len(runs)), key=places.__getitem__)]


def _setting(run, name, runs):
    """The value of a recipe's key."""
    if name in (run.get("settings") or {}):
        return run["settings"][name]
    for other in runs:
        if other["task"] == run["task"] and name in (other.get("defaults") or {}):
            return other["defaults"][name]
    return None


def _goodness(run):
    name, value, *_ = measured(run)[0]
    known = TASKS.get((run["task"] or "").removeprefix(SUITE), ())
    highest = {metric.key: metric.higher for metric in known}
    higher = highest.get(name, run["chosen_by"]["highest"])
    return -value if higher else value


def _place(value):
    """Numbers by their size, then texts, then what is not known."""
    if value is None or value == "":
        return (2, 0, "")
    if isinstance(value, (bool, int, float)):
        return (0, value, "")
    return (1, 0, _text(value))
