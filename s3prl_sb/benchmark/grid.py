"""Cells of the table of the benchmark as text: a block for each group of tasks.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.runs.shown import bracketed
from s3prl_sb.runs.suite_tasks import suite_of, task_of
from s3prl_sb.runs.suites import SUPERB, suite
from s3prl_sb.terminal import columns

PUBLISHED = "  published"
DOUBTFUL = "  published, not comparable"
OTHER = " (published)"  # after the name of a model that has no card here
REMARK = "*"  # after a published number with a remark


def blocks(table, published=False, intervals=False):
    """Returns the table as text cells, a block for each group of tasks.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.benchmark.table.gather`.
    published : bool
        Whether to show published numbers also for runs that do not compare with them.
    intervals : bool
        Whether to show the intervals of the metrics, where they are known.

    Returns
    -------
    list of list of list of str
        For each suite of the tasks of the table: a header and a line for each row with
        such a task. The header has the title of the suite, unless all are SUPERB's.
        Published numbers have a separate line below runs
        of the full protocol on the real corpus; the others, if requested, have a line
        that says that they are not comparable; other models have a line each.
    """
    by_suite = tasks_by_suite(table)
    plain = set(by_suite) <= set(SUPERB)
    return [
        _block(
            table,
            tasks,
            "upstream" if plain else suite(name).title,
            published,
            intervals,
        )
        for name, tasks in by_suite.items()
    ]


def tasks_by_suite(table):
    """Returns the tasks of a table by suite: those of one block.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.benchmark.table.gather`.

    Returns
    -------
    dict
        Name of the suite to ids of tasks.
    """
    by_suite = {}
    for task in table["tasks"]:
        by_suite.setdefault(suite_of(task), []).append(task)
    return by_suite


def columns_of(table, tasks):
    """Returns the columns of a block.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.benchmark.table.gather`.
    tasks : list of str
        Tasks of the block.

    Returns
    -------
    list of tuple
        Task and :class:`s3prl_sb.runs.tasks.Metric`; optional ones that some row has.
    """
    shown = [(task, metric) for task in tasks for metric in task_of(task).metrics]
    return [c for c in shown if not c[1].optional or _any(table, *c)]


def rows_of(table, tasks):
    """Returns the rows of a block: those with one of its tasks.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.benchmark.table.gather`.
    tasks : list of str
        Tasks of the block.

    Returns
    -------
    list of dict
    """
    return [row for row in table["rows"] if any(t in row["cells"] for t in tasks)]


def _block(table, tasks, title, published, intervals):
    shown = columns_of(table, tasks)
    names = [task.rpartition("/")[2] for task, _ in shown]
    headings = [metric.heading for _, metric in shown]
    lines = [[title, *(f"{name} {text}" for name, text in zip(names, headings))]]
    for row in rows_of(table, tasks):
        name = columns.visible(row["upstream"])
        line, public, doubtful = [name], [PUBLISHED], [DOUBTFUL]
        for task, metric in shown:
            cell = row["cells"].get(task)
            is_first = metric == task_of(task).metrics[0]
            with_rate = row["lr_searched"] and is_first
            line.append(_cell(cell, metric, with_rate, intervals))
            reported = _public(row, task, metric)
            comparable = is_comparable(cell)
            public.append(reported if comparable else "")
            doubtful.append(reported if published and not comparable else "")
        lines.append(line)
        lines += [extra for extra in (public, doubtful) if any(extra[1:])]
    others = (table.get("others") or {}) if published else {}
    for model, numbers in others.items():
        line = [_public({"published": numbers}, task, metric) for task, metric in shown]
        lines += [[columns.visible(model) + OTHER, *line]] if any(line) else []
    return lines


def _public(row, task, metric):
    reported = row["published"].get(task, {}).get(metric.key)
    if not reported:
        return ""
    text = ("" if reported["verified"] else "~") + number(reported["value"], metric)
    return text + (REMARK if reported.get("remark") else "")


def is_comparable(cell):
    """Returns whether a cell has the full protocol on the real corpus.

    Arguments
    ---------
    cell : dict or None
        Cell of a row of the table.

    Returns
    -------
    bool
    """
    is_done = cell is not None and cell["state"] == "done"
    return is_done and not cell.get("not_comparable")


def _any(table, task, metric):
    return any(
        (row["cells"].get(task, {}).get("metrics") or {}).get(metric.key)
        for row in table["rows"]
    )


def _cell(cell, metric, with_rate=False, intervals=False):
    if cell is None or cell["state"] in ("missing", "refused"):
        return "–"
    if cell["state"] != "done":
        return cell["state"]
    values = cell["metrics"].get(metric.key)
    text = summary(values, metric, intervals)
    if values and with_rate and cell.get("lr"):
        text += " @" + "/".join(f"{rate:g}" for rate in cell["lr"])
    return text


def number(value, metric):
    """Formats a value of a metric, one that rounds to zero by its exponent.

    Arguments
    ---------
    value : float
        Value in the metric's unit.
    metric : s3prl_sb.runs.tasks.Metric
        The metric.

    Returns
    -------
    str

    Example
    -------
    >>> accuracy = task_of("KS").metrics[0]
    >>> number(93.9, accuracy), number(8.5e-4, accuracy)
    ('93.90', '8.5e-04')
    """
    small = value and abs(value) < 0.5 * 10**-metric.digits
    return f"{value:.1e}" if small else f"{value:.{metric.digits}f}"


def summary(values, metric, intervals=False):
    """Formats mean, spread and interval of a metric.

    Arguments
    ---------
    values : dict or None
        ``mean``, and ``spread`` or None; tables of this version have ``interval``.
    metric : s3prl_sb.runs.tasks.Metric
        The metric.
    intervals : bool
        Whether to show the interval, if it is known.

    Returns
    -------
    str
    """
    if values is None:
        return "–"
    text = number(values["mean"], metric)
    if values["spread"] is not None:
        text += f" ± {values['spread']:.{metric.digits}f}"
    if intervals and values.get("interval"):
        text += f" {bracketed(values['interval'], metric.digits)}"
    return text
