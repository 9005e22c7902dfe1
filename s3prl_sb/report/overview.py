"""The tables of a page: of benchmarks, and of other runs.

A cell leads to its runs below.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from s3prl_sb.benchmark import grid, layout, notes
from s3prl_sb.benchmark.row_names import PART
from s3prl_sb.report.blocks import Block, Cell, Grid, Prose, Row, Section
from s3prl_sb.report.escaping import brief, shown
from s3prl_sb.report.setups import Setup, Table
from s3prl_sb.runs.results import COLUMN_OF, goodness
from s3prl_sb.runs.suites import suite
from s3prl_sb.runs.table import table as results_table

INTERVALS = (
    "In brackets: the 95 % interval of the number, by bootstrap over what was tested "
    "(utterances; speakers of ASV and SID; recordings of SD). It does not hold what "
    "another training would change."
)
UNKNOWN = "Published numbers come without an interval, and without their spread."
HOW = (
    "A heading sorts by its column. A number leads to its runs, with their settings, "
    "curves and costs. Bold: the best of its column."
)


class Link(NamedTuple):
    """A number of a table, which leads to its runs.

    Arguments
    ---------
    text : str
        The number.
    key : str
        Anchor of the runs; empty if none are at hand.
    small : list of str
        Lines below it.
    is_best : bool
        Whether no other row has a better one.

    Example
    -------
    >>> Link("4.2", "run-a", ["[4, 5]"]).html()
    Markup('<a href="#run-a">4.2</a><span class="small">[4, 5]</span>')
    """

    text: str
    key: str = ""
    small: Sequence[str] = ()
    is_best: bool = False

    def html(self) -> Markup:
        """Returns the link as HTML."""
        text: Any = shown(self.text)
        if self.is_best:
            text = Markup('<b class="best">{}</b>').format(text)
        if self.key:
            text = Markup('<a href="#{}">{}</a>').format(self.key, text)
        small = Markup('<span class="small">{}</span>')
        lines = (small.format(shown(line)) for line in self.small if line)
        return Markup("{}{}").format(text, Markup().join(lines))


class Name(NamedTuple):
    """Name of a row, which may be broken after underscores.

    Arguments
    ---------
    text : str
        The name.
    setting : str
        Line below it.

    Example
    -------
    >>> Name("a_b").html()
    Markup('a_<wbr>b')
    """

    text: str
    setting: str = ""

    def html(self) -> Markup:
        """Returns the name as HTML."""
        parts = (Markup("{}").format(part) for part in brief(self.text).split("_"))
        name = Markup("_<wbr>").join(parts)
        small = Markup('<span class="small">{}</span>').format(brief(self.setting))
        return name + (small if self.setting else "")


class Notes(NamedTuple):
    """Explanations below a table.

    Arguments
    ---------
    lines : list of str
        One each.

    Example
    -------
    >>> Notes(["a"]).html()
    Markup('<ul class="notes"><li>a</li></ul>')
    """

    lines: Sequence[str]

    def html(self) -> Markup:
        """Returns the explanations as a list."""
        line = Markup("<li>{}</li>")
        lines = Markup().join(line.format(shown(text)) for text in self.lines)
        return Markup('<ul class="notes">{}</ul>').format(lines)


def of_benchmark(table: Table, name: str = "", published: bool = False) -> Section:
    """Returns the table of a benchmark, its notes, curves and rankings.

    Arguments
    ---------
    table : Table
        The table.
    name : str
        Name that distinguishes it, if the page has several.
    published : bool
        Whether to show published numbers also for runs that do not compare with them.

    Returns
    -------
    Section
    """
    values = table.values
    found: list[Block] = [Prose(HOW)]
    by_suite = grid.tasks_by_suite(values)
    written = grid.blocks(values, published)
    for lines, (key, tasks) in zip(written, by_suite.items(), strict=True):
        found.append(_block(table, lines, tasks, suite(key).title))
    has_interval = any(
        score.interval for s in table.setups.values() for score in s.scores
    )
    lines = notes.of_table(values, published)
    if has_interval:
        is_any = any(_is_published(line[0]) for rows in written for line in rows[1:])
        lines = [*lines, INTERVALS, *([UNKNOWN] if is_any else [])]
    found.append(Notes(lines))
    for title, lines in layout.sections(values):
        rows = [line for line in lines[1:]]
        numeric = range(1, len(lines[0]))
        found.append(Grid(lines[0], rows, title, numeric, sortable=False))
    title = f"Results: {name}" if name else "Results"
    return Section(title, "results", found)


def _is_published(name):
    """Returns whether a row, by its first cell, has published numbers."""
    return name.startswith("  ") or name.endswith(grid.OTHER)


def _block(table, lines, tasks, title):
    """Returns a block of the table: its own rows, and published ones as they are."""
    header, *rest = lines
    shown_columns = grid.columns_of(table.values, tasks)
    rows = iter(grid.rows_of(table.values, tasks))
    numbers = {id(row): i for i, row in enumerate(table.values["rows"])}
    best = _best(grid.rows_of(table.values, tasks), shown_columns)
    found, upstream = [], None
    for line in rest:
        is_attached = line[0].startswith("  ")
        if _is_published(line[0]):
            of = upstream if is_attached else None
            found.append(Row([line[0].strip(), *line[1:]], is_attached, upstream=of))
            continue
        row = next(rows)
        first, _, setting = row["upstream"].partition(PART)
        cells: list[Any] = [Cell(Name(first, setting), row["upstream"])]
        for (task, metric), text in zip(shown_columns, line[1:], strict=True):
            setup = table.setups.get((numbers[id(row)], task))
            cells.append(_number(setup, metric, text, best.get((task, metric.key))))
        upstream = (row.get("about") or {}).get("upstream") or row["upstream"]
        found.append(Row(cells, upstream=upstream))
    return Grid(header, found, title, range(1, len(header)))


def _best(rows, columns):
    """Returns the best mean of each column that more than one row has."""
    best = {}
    for task, metric in columns:
        means = [
            values["mean"]
            for row in rows
            if (values := _values(row["cells"].get(task), metric)) is not None
        ]
        if len(means) > 1:
            best[task, metric.key] = (max if metric.higher else min)(means)
    return best


def _values(cell, metric):
    """Returns what the table shows of a metric: nothing before all seeds are done."""
    if (cell or {}).get("state") != "done":
        return None
    return (cell.get("metrics") or {}).get(metric.key)


def _number(setup, metric, text, best):
    if setup is None:
        return Cell(text, "")
    values = _values(setup.cell, metric)
    if values is None:
        key = setup.key if setup.runs else ""
        return Cell(Link(text, key), "")
    score = next((s for s in setup.scores if s.name == metric.key), None)
    mean, _, rest = text.partition(" ")
    interval = score.ends() if score else ""
    is_best = values["mean"] == best
    key = setup.key if setup.runs else ""
    return Cell(Link(mean, key, [rest, interval], is_best), values["mean"])


def of_runs(setups: Sequence[Setup], explains: bool = True) -> Section:
    """Returns the table of runs outside benchmarks, as ``s3prl-sb results`` has it.

    Arguments
    ---------
    setups : list of Setup
        Setups of the runs.
    explains : bool
        Whether to say what the reader can do with a table.

    Returns
    -------
    Section
    """
    found: list[Block] = [Prose(HOW)] if explains else []
    tasks = list(dict.fromkeys(setup.task for setup in setups))
    for task in tasks:
        mine = [setup for setup in setups if setup.task == task]
        found.append(_runs_of_task(task, mine))
    runs = [run for setup in setups for run in setup.runs]
    if any(score.interval for run in runs for score in _own(run)):
        found.append(Notes([INTERVALS]))
    return Section("Single runs", "single-runs", found)


def _runs_of_task(task, setups):
    """Returns a table with the columns in which the runs of a task differ."""
    pairs = [(setup, run) for setup in setups for run in setup.runs]
    header, *lines = results_table([run.results for _, run in pairs])
    first = ["upstream", *COLUMN_OF.values(), "seed", "time"]
    names = [n for n in first if n in header]
    names += [n for n in header if n not in (*first, "task", "folder")]
    order = [header.index(name) for name in names]
    best = min(goodness(run.results) for _, run in pairs)
    rows = []
    for (setup, run), line in zip(pairs, lines, strict=True):
        cells: list[Any] = [_typed(line[i]) for i in order]
        for at, i in enumerate(order):
            if header[i] in COLUMN_OF.values() and line[i]:
                ends = [f"{s.name} {s.ends()}" for s in _own(run) if s.interval]
                place = goodness(run.results)
                is_best = len(pairs) > 1 and place == best
                cells[at] = Cell(Link(line[i], setup.key, ends, is_best), place)
            elif header[i] == "time":
                cells[at] = Cell(line[i], run.results["seconds"])
        rows.append(Row(cells, task=setup.task, upstream=setup.upstream))
    return Grid([header[i] for i in order], rows, task or "without a task")


def _own(run):
    return Setup(run.task, run.upstream, run.name, [run]).scores


def _typed(text):
    try:
        return Cell(text, float(text))
    except ValueError:
        return text
