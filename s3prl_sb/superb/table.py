"""The table of SUPERB: means and spreads over seeds, beside published numbers.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import shutil
import statistics
import unicodedata
from pathlib import Path

from s3prl_sb.files import write_json, write_text
from s3prl_sb.superb import published
from s3prl_sb.superb.plan import RESULTS
from s3prl_sb.superb.tasks import TASKS

TABLE = "table.json"
NOTES = {
    "published": "published: as reported; the address of each is in table.json",
    "unverified": "~: reported, but transcribed from memory: unverified",
    "spread": "mean ± standard deviation over seeds",
}


def gather(runs, tasks, missing=()):
    """What has come out of runs, as JSON values.

    Arguments
    ---------
    runs : list of s3prl_sb.superb.plan.Run
        Done or not.
    tasks : list of str
        The columns.
    missing : list of str
        Those without data.

    Returns
    -------
    dict
        ``tasks`` and ``rows``: of each upstream a name, ``cells`` by task, and
        ``published`` numbers.
    """
    known = published.read()
    rows = {}
    for run in runs:
        row = rows.setdefault(
            run.title,
            {"upstream": run.title, "cells": {}, "published": _public(run, known)},
        )
        cell = row["cells"].setdefault(run.task, {"state": "done", "runs": []})
        cell["runs"].append(_run(run))
    for row in rows.values():
        row["cells"].update(
            {task: {"state": "no data", "runs": []} for task in missing}
        )
        for task, cell in row["cells"].items():
            states = [run["state"] for run in cell["runs"]]
            # The worst: a mean over those that happened to end well is no result.
            for state in ("failed", "skipped", "missing"):
                if state in states:
                    cell["state"] = "failed" if state == "skipped" else state
                    break
            cell["metrics"] = {
                metric.key: _summary(cell["runs"], metric) for metric in TASKS[task]
            }
    return {"tasks": list(tasks), "rows": list(rows.values())}


def _run(run):
    state = "done" if run.is_done() else "missing"
    if (
        state != "done"
        and run.job is not None
        and run.job.state in ("failed", "skipped")
    ):
        state = run.job.state
    told = {"seed": run.seed, "state": state, "folder": str(run.folder)}
    if state == "done":
        text = (run.folder / RESULTS).read_text(encoding="utf-8")
        results = json.loads(text)
        told.update({k: results.get(k) for k in ("metrics", "valid", "seconds")})
    return told


def _summary(runs, metric):
    values = [
        run["metrics"][metric.key] * metric.scale
        for run in runs
        if run["state"] == "done" and metric.key in run["metrics"]
    ]
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "spread": spread, "seeds": len(values)}


def _public(run, known):
    if run.upstream not in known:
        return {}
    return {
        task: {
            key: {"value": value, "source": source, "verified": source is not None}
            for key, (value, source) in metrics.items()
        }
        for task, metrics in known[run.upstream].items()
    }


def grid(table):
    """The table as text cells.

    Arguments
    ---------
    table : dict
        From :func:`gather`.

    Returns
    -------
    list of list of str
        A header and a row for each upstream, with one more for published numbers.
    """
    columns = [(task, metric) for task in table["tasks"] for metric in TASKS[task]]
    columns = [c for c in columns if c[1].key != "wer_lm" or _any(table, *c)]
    header = ["upstream"]
    header += [f"{t} {m.title} {'↑' if m.higher else '↓'}" for t, m in columns]
    lines = [header]
    for row in table["rows"]:
        line, reported = [row["upstream"]], ["  published"]
        for task, metric in columns:
            line.append(_cell(row["cells"].get(task), metric))
            number = row["published"].get(task, {}).get(metric.key)
            mark = "" if number and number["verified"] else "~"
            reported.append(
                f"{mark}{_number(number['value'], metric)}" if number else ""
            )
        lines.append(line)
        if any(reported[1:]):
            lines.append(reported)
    return lines


def _any(table, task, metric):
    return any(
        (row["cells"].get(task, {}).get("metrics") or {}).get(metric.key)
        for row in table["rows"]
    )


def _cell(cell, metric):
    if cell is None or cell["state"] == "missing":
        return "–"
    if cell["state"] != "done":
        return cell["state"]
    summary = cell["metrics"].get(metric.key)
    if summary is None:
        return "–"
    text = _number(summary["mean"], metric)
    if summary["spread"] is not None:
        text += f" ± {summary['spread']:.{metric.digits}f}"
    return text


def _number(value, metric):
    small = value and abs(value) < 0.5 * 10**-metric.digits
    return f"{value:.1e}" if small else f"{value:.{metric.digits}f}"


def as_text(table, width=None):
    """For a terminal: columns that do not fit go into further blocks.

    Arguments
    ---------
    table : dict
        From :func:`gather`.
    width : int, optional
        Characters a line; default: all columns in one block.

    Returns
    -------
    str
    """
    lines = grid(table)
    widths = [max(_width(line[i]) for line in lines) for i in range(len(lines[0]))]
    blocks, room = [[]], 0
    for i in range(1, len(widths)):
        room = room or widths[0]
        if width and blocks[-1] and room + 2 + widths[i] > width:
            blocks.append([])
            room = widths[0]
        blocks[-1].append(i)
        room += 2 + widths[i]
    text = []
    for block in blocks:
        for line in lines:
            if line[0].startswith("  ") and not any(line[i] for i in block):
                continue
            cells = [_padded(line[0], widths[0])]
            cells += [_padded(line[i], widths[i], right=True) for i in block]
            text.append("  ".join(cells).rstrip())
        text.append("")
    return "\n".join(text + notes(table))


def as_markdown(table):
    """The table in Markdown.

    Arguments
    ---------
    table : dict
        From :func:`gather`.

    Returns
    -------
    str
    """
    header, *lines = grid(table)
    rows = [header, ["---"] + ["---:"] * (len(header) - 1), *lines]
    text = ["| " + " | ".join(cell.strip() for cell in row) + " |" for row in rows]
    return "\n".join([*text, "", *(f"{note}  " for note in notes(table))])


def notes(table):
    """What the marks in a table mean, those that occur (list of str)."""
    numbers = [
        number
        for row in table["rows"]
        for metrics in row["published"].values()
        for number in metrics.values()
    ]
    found = []
    if any("±" in cell for line in grid(table) for cell in line):
        found.append(NOTES["spread"])
    if any(number["verified"] for number in numbers):
        found.append(NOTES["published"])
    if any(not number["verified"] for number in numbers):
        found.append(NOTES["unverified"])
    return found


def write(table, output):
    """Writes ``table.json`` and ``table.md``.

    Arguments
    ---------
    table : dict
        From :func:`gather`.
    output : pathlib.Path
        Folder of the benchmark.
    """
    write_json(Path(output) / TABLE, table)
    write_text(Path(output) / "table.md", as_markdown(table) + "\n")


def read(output):
    """The table that the last run of the command has left.

    Arguments
    ---------
    output : pathlib.Path
        Folder of the benchmark.

    Returns
    -------
    dict
    """
    path = Path(output) / TABLE
    if not path.is_file():
        raise ValueError(f"{path} is not there: no s3prl-sb superb has ended here")
    return json.loads(path.read_text(encoding="utf-8"))


def terminal_width(stream):
    """Characters a line of a terminal; None where it is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text, width, right=False):
    space = " " * (width - _width(text))
    return space + text if right else text + space
