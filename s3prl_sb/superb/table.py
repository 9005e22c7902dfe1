"""The table of SUPERB: means and spreads over seeds, beside published numbers.

Authors
 * The s3prl_sb developers, 2026
"""

import re
import shutil
import statistics
import unicodedata
from pathlib import Path

from s3prl_sb.files import read_json, write_json, write_text
from s3prl_sb.superb import published
from s3prl_sb.superb.plan import RESULTS, STAMP, digest, read_stamp
from s3prl_sb.superb.tasks import TASKS

TABLE = "table.json"
NOTES = {
    "published": "published: as reported; the address of each is in table.json",
    "unverified": "~: reported, but transcribed from memory: unverified",
    "spread": "mean ± standard deviation over seeds",
    "settings": "(2), (3), …: with other settings; see superb.json in its folders, "
    "which are in table.json",
    "versions": "of several versions of s3prl_sb, {}: table.json has that of each run",
}
SEARCHED = ("lr_search", "lr_searched_by")  # in a configuration


def gather(runs, tasks, missing=(), output=None):
    """What has come out of runs, as JSON values.

    Arguments
    ---------
    runs : list of s3prl_sb.superb.plan.Run
        Done or not.
    tasks : list of str
        The columns.
    missing : list of str
        Those without data.
    output : pathlib.Path, optional
        Of a benchmark: all that earlier commands have finished there comes too.
        What was run with other settings gets rows of its own.

    Returns
    -------
    dict
        ``tasks`` and ``rows``: of each upstream a name, ``cells`` by task, and
        ``published`` numbers.
    """
    found = [_planned(run) for run in runs]
    if output is not None:
        planned = {entry["run"]["folder"] for entry in found}
        found += [e for e in finished(output) if e["run"]["folder"] not in planned]
        tasks = [t for t in TASKS if t in tasks or any(e["task"] == t for e in found)]
    known = published.read()
    rows, places = {}, {}
    for entry in found:
        title, task = entry["title"], entry["task"]
        # Runs of a cell differ in nothing but the seed.
        others = places.setdefault((title, task), [])
        if entry["settings"] not in others:
            others.append(entry["settings"])
        number = others.index(entry["settings"]) + 1
        row = rows.setdefault(
            (title, number),
            {
                "upstream": title if number == 1 else f"{title} ({number})",
                "cells": {},
                "published": _public(entry, known) if number == 1 else {},
            },
        )
        cell = row["cells"].setdefault(task, {"state": "done", "runs": []})
        cell["runs"].append(entry["run"])
    for (_, number), row in rows.items():
        for task in missing if number == 1 else ():
            row["cells"].setdefault(task, {"state": "no data", "runs": []})
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
    titles = list(dict.fromkeys(title for title, _ in rows))
    order = sorted(rows, key=lambda place: (titles.index(place[0]), place[1]))
    return {"tasks": list(tasks), "rows": [rows[place] for place in order]}


def finished(output):
    """The finished runs in the folder of a benchmark, whatever command they are of.

    Arguments
    ---------
    output : pathlib.Path
        The folder.

    Returns
    -------
    list of dict
        The last one first.
    """
    found = []
    for path in Path(output).glob(f"*/*/*/{STAMP}"):
        folder = path.parent
        configuration, about = read_stamp(folder)
        if not configuration or configuration.get("task") not in TASKS:
            continue
        if not (folder / RESULTS).is_file():
            continue
        title = folder.parents[1].name
        found.append(
            {
                "title": title,
                "upstream": about.get("upstream", title),
                "task": configuration["task"],
                "settings": _settings(configuration),
                "run": _told(folder, configuration.get("seed"), "done"),
                "time": (folder / RESULTS).stat().st_mtime,
            }
        )
    return sorted(found, key=lambda entry: -entry["time"])


def _planned(run):
    state = "done" if run.is_done() else "missing"
    if (
        state != "done"
        and run.job is not None
        and run.job.state in ("failed", "skipped")
    ):
        state = run.job.state
    return {
        "title": run.title,
        "upstream": run.upstream,
        "task": run.task,
        "settings": _settings(run.configuration),
        "run": _told(run.folder, run.seed, state),
    }


def _settings(configuration):
    """What runs of one cell have in common, as a digest."""
    kept = {k: v for k, v in configuration.items() if k not in ("seed", *SEARCHED)}
    search = configuration.get("lr_searched_by")
    if configuration.get("lr_search"):  # by itself
        search = digest(configuration)
    return digest({**kept, "search": search})


def _told(folder, seed, state):
    told = {"seed": seed, "state": state, "folder": str(folder)}
    if state == "done":
        again = "Delete it, and run the benchmark again."
        results = read_json(folder / RESULTS, "the results of a run", again, dict)
        told.update({k: results.get(k) for k in ("metrics", "valid", "seconds")})
        told["s3prl_sb"] = read_stamp(folder)[1].get("s3prl_sb")
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


def _public(entry, known):
    if entry["upstream"] not in known:
        return {}
    return {
        task: {
            key: {"value": value, "source": source, "verified": source is not None}
            for key, (value, source) in metrics.items()
        }
        for task, metrics in known[entry["upstream"]].items()
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
    if any(re.search(r" \(\d+\)$", row["upstream"]) for row in table["rows"]):
        found.append(NOTES["settings"])
    versions = {
        run.get("s3prl_sb") or "unknown"
        for row in table["rows"]
        for cell in row["cells"].values()
        for run in cell["runs"]
        if run["state"] == "done"
    }
    if len(versions) > 1:
        found.append(NOTES["versions"].format(", ".join(sorted(versions))))
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
    """The table of all finished runs, which the command has left.

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
        raise ValueError(f"{path} is not there: no s3prl-sb superb has run here")
    return read_json(path, "the table of a benchmark", kind=dict)


def terminal_width(stream):
    """Characters a line of a terminal; None where it is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text, width, right=False):
    space = " " * (width - _width(text))
    return space + text if right else text + space
