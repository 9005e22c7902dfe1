"""Formatting of the table of the benchmark: blocks of aligned text, Markdown.

Authors
 * The s3prl_sb developers, 2026
"""

import textwrap

from s3prl_sb.benchmark import notes
from s3prl_sb.benchmark.curves import of_table as curves_of
from s3prl_sb.benchmark.grid import blocks, summary
from s3prl_sb.benchmark.row_names import PART
from s3prl_sb.terminal import columns

VERSUS = "and"  # between two settings
RANKINGS = (
    "Spearman's rho between the rankings of n upstreams in two settings; overall: of "
    "their mean ranks"
)


def as_text(table, width=None, published=False, intervals=False):
    """Formats the table for a terminal, in several blocks if it is too wide.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.benchmark.table.gather`.
    width : int, optional
        Characters in a line; default: all columns in one block.
    published, intervals : bool
        See :func:`s3prl_sb.benchmark.grid.blocks`.

    Returns
    -------
    str
    """
    shown = blocks(table, published, intervals)
    text = [n for block in shown for n in in_blocks(block, width)]
    for title, lines in sections(table):
        text += [*textwrap.wrap(title, width or 1000), *in_blocks(lines, width)]
    return "\n".join(text + notes.of_table(table, published, intervals))


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


def as_markdown(table, published=False, intervals=True):
    """Formats the table in Markdown.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.benchmark.table.gather`.
    published, intervals : bool
        See :func:`s3prl_sb.benchmark.grid.blocks`.

    Returns
    -------
    str
    """
    shown = blocks(table, published, intervals)
    text = [part for block in shown for part in (_markdown(block), "")]
    for title, lines in sections(table):
        text += [f"### {columns.visible(title)}", "", _markdown(lines), ""]
    below = (f"{note}  " for note in notes.of_table(table, published, intervals))
    return "\n".join([*text, *below])


def _markdown(lines):
    return columns.as_markdown(lines, right=range(1, len(lines[0])))


def sections(table):
    """Returns the tables below the main one: curves, and rankings.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.benchmark.table.gather`.

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
                    title = f"  {task} {metric.heading}"
                    cells = [summary(points.get(p), metric) for p in curves.points]
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
