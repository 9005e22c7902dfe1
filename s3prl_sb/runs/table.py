"""``s3prl-sb results``: a row for each finished run, with the differences of runs.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import sys

from s3prl_sb.runs.results import (
    COLUMN_OF,
    RESULTS,
    differences,
    find_runs,
    goodness,
    judged_on,
    main_metrics,
    summary,
)
from s3prl_sb.runs.shown import ends_of
from s3prl_sb.runs.tasks import unknown
from s3prl_sb.storage.csv_files import csv_text
from s3prl_sb.storage.files import FileError, json_text
from s3prl_sb.terminal import columns

#: Columns, the most important first; those of differences come after "upstream".
COLUMNS = [
    "task",
    "upstream",
    *COLUMN_OF.values(),
    "seed",
    "steps",
    "folder",
    "protocol",
    "time",
]


def add_arguments(parser):
    """Adds the arguments of the verb.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of the verb.
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
        "--intervals",
        action="store_true",
        help="show the 95 %% intervals of the metrics in text, too; the other formats "
        "have them",
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
        Values of the arguments of :func:`add_arguments`.

    Returns
    -------
    int
        0 if there is a table, even if some files could not be read: they are named,
        and may belong to other programs. 1 if there is no table.
    """
    failed = []
    runs = find_runs(arguments.folder, failed.append)
    for error in failed:
        print(f"s3prl-sb: {columns.visible(str(error))}", file=sys.stderr)
    if not runs and failed:
        return 1
    if not runs:
        raise FileError(f"no {RESULTS} under {', '.join(map(str, arguments.folder))}")
    if arguments.sort:
        runs = ordered(runs, arguments.sort)
    if arguments.format == "json":
        print(json_text(runs))
        return 0
    header, *rows = table(runs, arguments.intervals or arguments.format == "markdown")
    if arguments.format == "csv":
        print(as_csv(runs), end="")
    elif arguments.format == "markdown":
        right = [header.index(name) for name in COLUMN_OF.values() if name in header]
        print(columns.as_markdown([header, *rows], right=right))
    else:
        width = columns.terminal_width(sys.stdout)
        others = [name for name in header if name not in COLUMNS]
        present = [name for name in COLUMNS if name in header]
        importance = [*present[:2], *others, *present[2:]]
        print(columns.as_text([header, *rows], width, importance if width else None))
    return 0


def table(runs, intervals=False):
    """Returns the table as text cells.

    Arguments
    ---------
    runs : list of dict
        Output of :func:`s3prl_sb.runs.results.find_runs`.
    intervals : bool
        Whether the metrics have their intervals, where they are known.

    Returns
    -------
    list of list of str
        The header, and a row for each run.
    """
    extra, rows = differences(runs), [summary(run, intervals) for run in runs]
    judged = [n for n in COLUMN_OF.values() if any(n in row for row in rows)]
    header = ["task", "upstream", *extra, "seed", "steps", *judged]
    header += [name for name in COLUMNS if name in ("protocol", "time")] + ["folder"]
    lines = [header]
    for i, row in enumerate(rows):
        cells = {**{name: column[i] for name, column in extra.items()}, **row}
        lines.append([_text(cells.get(name)) for name in header])
    return lines


def _text(value):
    if value is None:
        return ""
    return columns.visible(value if isinstance(value, str) else json.dumps(value))


def as_csv(runs):
    """Returns the table as CSV: plain numbers, a column for each metric.

    Arguments
    ---------
    runs : list of dict
        Output of :func:`s3prl_sb.runs.results.find_runs`.

    Returns
    -------
    str
    """
    header, *lines = table(runs)
    rows, metrics = [], {}
    for run, line in zip(runs, lines):
        row = {
            k: v for k, v in zip(header, line) if k not in (*COLUMN_OF.values(), "time")
        }
        for name, value, spread, _, unit in main_metrics(run):
            title = _text(f"{name} [{unit}]" if unit else name)
            if judged_on(run) != "test":
                title = f"{judged_on(run)} {title}"
            row[title] = metrics[title] = value
            if spread is not None:
                row[f"{title} std"] = metrics[f"{title} std"] = spread
            for side, end in zip(("low", "high"), ends_of(run, name) or ()):
                row[f"{title} {side}"] = metrics[f"{title} {side}"] = end
        judged = run.get("protocol") or {}
        if judged.get("followed") is False:
            row["protocol"] = _text(", ".join(judged["differs"]))  # not shortened
        rows.append({**row, "seconds": run["seconds"]})
    shown = (*COLUMN_OF.values(), "time", "folder")
    names = [name for name in header if name not in shown]
    names += [*metrics, "seconds", "folder"]
    return csv_text(names, ([row.get(name, "") for name in names] for row in rows))


def ordered(runs, key):
    """Sorts runs, with a stable order.

    Arguments
    ---------
    runs : list of dict
        Output of :func:`s3prl_sb.runs.results.find_runs`.
    key : str
        A column; a key of the recipes; "metric": by task, the best first; the name of
        a metric; "time".

    Returns
    -------
    list of dict

    Raises
    ------
    s3prl_sb.storage.files.FileError
        For an unknown key; lists the keys.
    """
    rows = [summary(run) for run in runs]
    plain = [name for name in rows[0] if name not in COLUMN_OF.values()]
    values = {name: [row[name] for row in rows] for name in plain}
    values["time"] = [run["seconds"] for run in runs]
    for name in {key: None for run in runs for key in run}:
        column = [run.get(name) for run in runs]
        if not any(isinstance(value, (dict, list)) for value in column):
            values.setdefault(name, column)
    for name in {key: None for run in runs for key in run["metrics"]}:
        values[name] = [run["metrics"].get(name) for run in runs]
    for name in {k: None for run in runs for k in run.get("settings") or ()}:
        values.setdefault(name, [_setting(run, name, runs) for run in runs])
    values.update(differences(runs))
    if key in ("metric", *COLUMN_OF.values()):
        places = [(run["task"] or "", goodness(run)) for run in runs]
    elif key in values:
        places = [_place(value) for value in values[key]]
    else:
        raise FileError(f"--sort: {unknown('key', key, ['metric', *values])}")
    return [runs[i] for i in sorted(range(len(runs)), key=places.__getitem__)]


def _setting(run, name, runs):
    """Returns the value of a recipe's key."""
    if name in (run.get("settings") or {}):
        return run["settings"][name]
    for other in runs:
        if other["task"] == run["task"] and name in (other.get("defaults") or {}):
            return other["defaults"][name]
    return None


def _place(value):
    """Returns a sort key: numbers by size, then texts, then unknown values."""
    if value is None or value == "" or value != value:  # NaN is unknown
        return (2, 0, "")
    if isinstance(value, (bool, int, float)):
        return (0, value, "")
    return (1, 0, _text(value))
