"""Formatting of the table of the benchmark: text cells, blocks, Markdown, notes.

Authors
 * The s3prl_sb developers, 2026
"""

import textwrap

from s3prl_sb.runs.tasks import TASKS
from s3prl_sb.superb.curves import of_table as curves_of
from s3prl_sb.superb.row_names import PART
from s3prl_sb.terminal import columns

PUBLISHED = "  published"
DOUBTFUL = "  published, not comparable"
VERSUS = "and"  # between two settings
RANKINGS = (
    "Spearman's rho between the rankings of n upstreams in two settings; overall: of "
    "their mean ranks"
)
REMARK = "*"  # after a published number with a remark
NOTES = {
    "published": "published: as reported; the address of each is in table.json",
    "unverified": "~: reported, but transcribed from memory: unverified",
    "spread": "mean ± standard deviation over seeds",
    "rate": "@: the learning rate that was chosen on the validation set",
    "versions": "of several versions of s3prl_sb, {}: table.json has that of each run",
    "parts": "card, version: with another card, recipe or code than the last runs; see "
    "superb.json in their folders, which are in table.json",
    "doubtful": "{}: not comparable: {}",
    "refused": "–: no {} with {}: {}",
    "without": "{}: not of {}, which ran without it",
    "remark": REMARK + ": {}, {}: {}",
}


def grid(table, published=False):
    """Returns the table as text cells.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.superb.table.gather`.
    published : bool
        Whether to show published numbers also for runs that do not compare with them.

    Returns
    -------
    list of list of str
        A header and a line for each row. Published numbers have a separate line below
        runs of the full protocol on the real corpus; the others, if requested, have a
        line that says that they are not comparable.
    """
    shown = [(task, metric) for task in table["tasks"] for metric in TASKS[task]]
    shown = [c for c in shown if c[1].key != "wer_lm" or _any(table, *c)]
    header = ["upstream"]
    header += [f"{t} {m.title} {'↑' if m.higher else '↓'}" for t, m in shown]
    lines = [header]
    for row in table["rows"]:
        name = columns.visible(row["upstream"])
        line, public, doubtful = [name], [PUBLISHED], [DOUBTFUL]
        for task, metric in shown:
            cell = row["cells"].get(task)
            is_first = metric == TASKS[task][0]
            line.append(_cell(cell, metric, row["lr_searched"] and is_first))
            number = _public(row, task, metric)
            comparable = _is_comparable(cell)
            public.append(number if comparable else "")
            doubtful.append(number if published and not comparable else "")
        lines.append(line)
        lines += [extra for extra in (public, doubtful) if any(extra[1:])]
    return lines


def _public(row, task, metric):
    number = row["published"].get(task, {}).get(metric.key)
    if not number:
        return ""
    text = ("" if number["verified"] else "~") + _number(number["value"], metric)
    return text + (REMARK if number.get("remark") else "")


def _is_comparable(cell):
    """Returns whether a cell has the full protocol on the real corpus."""
    is_done = cell is not None and cell["state"] == "done"
    return is_done and not cell.get("not_comparable")


def _any(table, task, metric):
    return any(
        (row["cells"].get(task, {}).get("metrics") or {}).get(metric.key)
        for row in table["rows"]
    )


def _cell(cell, metric, with_rate=False):
    if cell is None or cell["state"] in ("missing", "refused"):
        return "–"
    if cell["state"] != "done":
        return cell["state"]
    summary = cell["metrics"].get(metric.key)
    text = _summary(summary, metric)
    if summary and with_rate and cell.get("lr"):
        text += " @" + "/".join(f"{rate:g}" for rate in cell["lr"])
    return text


def _number(value, metric):
    small = value and abs(value) < 0.5 * 10**-metric.digits
    return f"{value:.1e}" if small else f"{value:.{metric.digits}f}"


def as_text(table, width=None, published=False):
    """Formats the table for a terminal, in several blocks if it is too wide.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.superb.table.gather`.
    width : int, optional
        Characters in a line; default: all columns in one block.
    published : bool
        See :func:`grid`.

    Returns
    -------
    str
    """
    text = in_blocks(grid(table, published), width)
    for title, lines in sections(table):
        text += [*textwrap.wrap(title, width or 1000), *in_blocks(lines, width)]
    return "\n".join(text + notes(table, published))


def in_blocks(lines, width=None):
    """Aligns columns, in several blocks if they are too wide.

    Arguments
    ---------
    lines : list of list of str
        A header, and lines whose first cell is a name. A name that begins with two
        spaces belongs to the line above, and is left out of blocks without cells. A
        name alone is a heading of the lines below.
    width : int, optional
        Characters in a line; default: all columns in one block.

    Returns
    -------
    list of str
        An empty text after each block.
    """
    heads = [not any(line[1:]) for line in lines]  # a name above its lines
    rooms = [width if is_head or not width else width // 2 for is_head in heads]
    names = [_folded(line[0], room) for line, room in zip(lines, rooms)]
    parts = [part for n, is_head in zip(names, heads) if not is_head for part in n]
    first = max(map(columns.printed, parts))
    widths = [first] + [
        max(columns.printed(line[i]) for line in lines) for i in range(1, len(lines[0]))
    ]
    blocks, room = [[]], first
    for i in range(1, len(widths)):
        if width and blocks[-1] and room + 2 + widths[i] > width:
            blocks.append([])
            room = first
        blocks[-1].append(i)
        room += 2 + widths[i]
    text = []
    for block in blocks:
        for line, is_head, (name, *rest) in zip(lines, heads, names):
            if line[0].startswith("  ") and not any(line[i] for i in block):
                continue
            if is_head:
                text += [name, *rest]
                continue
            cells = [columns.padded(name, first)]
            cells += [columns.padded(line[i], widths[i], right=True) for i in block]
            text += ["  ".join(cells).rstrip(), *rest]
        text.append("")
    return text


def _folded(name, room):
    """Returns the lines of the name of a row, at most ``room`` wide if possible."""
    first, *parts = name.split(PART)
    lines = [first]
    for part in parts:
        longer = f"{lines[-1]}{PART}{part}"
        if room is None or columns.printed(longer) <= room:
            lines[-1] = longer
        else:
            lines.append(f" {PART}{part}")
    return lines


def as_markdown(table, published=False):
    """Formats the table in Markdown.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.superb.table.gather`.
    published : bool
        See :func:`grid`.

    Returns
    -------
    str
    """
    text = [_markdown(grid(table, published)), ""]
    for title, lines in sections(table):
        text += [f"### {columns.visible(title)}", "", _markdown(lines), ""]
    below = (f"{note}  " for note in notes(table, published))
    return "\n".join([*text, *below])


def _markdown(lines):
    return columns.as_markdown(lines, right=range(1, len(lines[0])))


def sections(table):
    """Returns the tables below the main one: curves, and rankings.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.superb.table.gather`.

    Returns
    -------
    list of tuple
        Title, and lines of text cells with a header.
    """
    tables = []
    for curves in curves_of(table):
        header = ["", *map(curves.point_name, curves.points)]
        lines = [header]
        for name, panels in curves.lines.items():
            lines.append([columns.visible(name)] + [""] * len(curves.points))
            for task, metric in curves.panels:
                points = panels.get((task, metric.key))
                if points:
                    title = f"  {task} {metric.title} {'↑' if metric.higher else '↓'}"
                    cells = [_summary(points.get(p), metric) for p in curves.points]
                    lines.append([title, *cells])
        tables.append((f"{curves.title}: {curves.axis}", lines))
    if table.get("rankings"):
        tables.append((RANKINGS, _rankings(table)))
    return tables


def _rankings(table):
    """Returns a heading and a line for each pair of settings."""
    tasks = [
        task
        for task in table["tasks"]
        if any(task in pair["tasks"] for pair in table["rankings"])
    ]
    lines = [["", *tasks, "overall"]]
    for pair in table["rankings"]:
        found = [*map(pair["tasks"].get, tasks), pair["overall"]]
        name = columns.visible(f" {VERSUS} ".join(pair["settings"]))
        lines.append([name] + [""] * len(found))
        lines.append(["  rho (n)", *map(_rho, found)])
    return lines


def _rho(found):
    if not found:
        return "–"
    rho = "undefined" if found["rho"] is None else f"{found['rho']:.2f}"
    return f"{rho} ({found['n']})"


def _summary(summary, metric):
    """Returns mean and spread of a metric."""
    if summary is None:
        return "–"
    text = _number(summary["mean"], metric)
    if summary["spread"] is not None:
        text += f" ± {summary['spread']:.{metric.digits}f}"
    return text


def notes(table, published=False):
    """Returns explanations of the marks that occur in a table.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.superb.table.gather`.
    published : bool
        See :func:`grid`.

    Returns
    -------
    list of str
    """
    lines = grid(table, published)
    reported = [cell for line in lines if line[0][0] == " " for cell in line[1:]]
    cells = [cell for line in lines[1:] for cell in line[1:]]
    texts = []
    if any("±" in cell for cell in cells):
        texts.append(NOTES["spread"])
    if any("@" in cell for cell in cells):
        texts.append(NOTES["rate"])
    if any(cell and cell[0] != "~" for cell in reported):
        texts.append(NOTES["published"])
    if any(cell[:1] == "~" for cell in reported):
        texts.append(NOTES["unverified"])
    for row in table["rows"]:
        for remark, tasks in _remarks(table, row, published).items():
            names = row["upstream"], ", ".join(tasks)
            texts.append(NOTES["remark"].format(*names, remark))
        reasons = _reasons(row)
        if reasons:
            texts.append(NOTES["doubtful"].format(row["upstream"], reasons))
    texts += notes_on_changes(_of_changes(table))
    if any(row["version"] for row in table["rows"]):
        texts.append(NOTES["parts"])
    runs = [
        run
        for row in table["rows"]
        for cell in row["cells"].values()
        for run in cell["runs"]
    ]
    texts += dict.fromkeys(run["error"] for run in runs if "error" in run)
    versions = {
        run.get("s3prl_sb") or "unknown" for run in runs if run["state"] == "done"
    }
    if len(versions) > 1:
        texts.append(NOTES["versions"].format(", ".join(sorted(versions))))
    return [columns.visible(text) for text in texts]


def notes_on_changes(changes):
    """Returns notes on tasks that a change of all tasks does not fit, or lacks.

    Arguments
    ---------
    changes : iterable of tuple
        Name of a setting; task to the reason why it has no run; key to tasks without
        it.

    Returns
    -------
    list of str
    """
    refused, without = {}, {}
    for setting, reasons, lacking in changes:
        for task, reason in reasons.items():
            key = setting, " ".join(reason.split())
            refused.setdefault(key, []).append(task)
        for key, tasks in lacking.items():
            without.setdefault(key, {}).update(dict.fromkeys(tasks))
    settings = {}
    for (setting, reason), tasks in refused.items():
        settings.setdefault((", ".join(tasks), reason), []).append(setting)
    texts = []
    for (tasks, reason), names in settings.items():
        more = f" and {len(names) - 1} more" if names[1:] else ""
        texts.append(NOTES["refused"].format(tasks, names[0] + more, reason))
    return texts + [
        NOTES["without"].format(key, ", ".join(tasks))
        for key, tasks in without.items()
        if tasks
    ]


def _of_changes(table):
    """Returns the changes of the rows of a table, each setting once."""
    reasons, lacking = {}, {}
    for row in table["rows"]:
        setting = (row.get("about") or {}).get("setting", row["upstream"])
        lacking.setdefault(setting, {}).update(row.get("without") or {})
        for task, cell in row["cells"].items():
            if cell["state"] == "refused":
                reasons.setdefault(setting, {})[task] = cell["reason"]
    return [(name, reasons.get(name, {}), keys) for name, keys in lacking.items()]


def _remarks(table, row, published):
    """Returns the remarks about the published numbers in a row, with their tasks."""
    remarks = {}
    for task in table["tasks"]:
        if published or _is_comparable(row["cells"].get(task)):
            for metric in TASKS[task]:
                number = row["published"].get(task, {}).get(metric.key) or {}
                if number.get("remark"):
                    remarks.setdefault(number["remark"], {})[task] = None
    return remarks


def _reasons(row):
    """Describes why a row does not compare with published numbers, if there are any."""
    reasons = {}
    for task, cell in row["cells"].items():
        if row["published"].get(task):
            reasons.update(dict.fromkeys(cell.get("not_comparable") or ()))
    few = list(reasons)[:4]
    return ", ".join(few + ["…"] * (len(reasons) > len(few)))
