"""Published results of suites, with their sources.

A suite has tables of them: a row for each card of this package (``numbers``), and for
each model without one (``models``), the columns being ``TASK.metric``.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

from s3prl_sb.benchmark.budgets import names_of
from s3prl_sb.runs import suites
from s3prl_sb.runs.suite_tasks import matching, task_of

#: Keys of a table.
KEYS = "source budget columns numbers models verified remarks aliases".split()
#: Those whose entries are lists or mappings.
ROWS = {"numbers": list, "models": list, "verified": dict, "remarks": dict}


class Number(NamedTuple):
    """A published number: ``value`` in the benchmark's unit; ``source``, the address
    where it was verified, or None; ``remark``, a note for comparisons, or None."""

    value: float
    source: str | None
    remark: str | None


def read(names=None, budget=None):
    """Reads the numbers of suites for the cards of this package.

    Arguments
    ---------
    names : list of str, optional
        Names of suites; default: SUPERB and SUPERB-SG.
    budget : str, optional
        Name of a budget; numbers for it come before those for the protocol.

    Returns
    -------
    dict
        Card to task to metric to :class:`Number`.

    Raises
    ------
    s3prl_sb.runs.suites.SuiteError
        For a table that is wrong.

    Example
    -------
    >>> number = read()["hubert_base"]["SID"]["accuracy"]
    >>> number.value, number.source.startswith("https://"), number.remark
    (81.42, True, None)
    """
    names = suites.SUPERB if names is None else names
    numbers, aliases = _read(names, budget, "numbers"), {}
    for name in names:
        for table in suites.suite(name).published:
            aliases |= table.get("aliases") or {}
    for alias, card in aliases.items():
        if card in numbers:
            numbers[alias] = numbers[card]
    return numbers


def models(names):
    """Reads the numbers of suites for models without a card in this package.

    Arguments
    ---------
    names : list of str
        Names of suites.

    Returns
    -------
    dict
        Model to task to metric to :class:`Number`. The name of a model with numbers
        for a budget has that of the budget, after a comma.

    Example
    -------
    >>> models(["superb"])
    {}
    """
    found = _read(names, None, "models", only=True)
    for budget in names_of(names):
        for model, numbers in _read(names, budget, "models", only=True).items():
            found[f"{model}, {budget}"] = numbers
    return found


def _read(names, budget, kind, only=False):
    """Returns the numbers for a budget, and before them those for the protocol unless
    ``only`` the budget is wanted."""
    found = {}
    for name in names:
        suite = suites.suite(name)
        for wanted in dict.fromkeys((budget,) if only else (None, budget)):
            for number, table in enumerate(suite.published, 1):
                where = f"{suite.file}: published {number}"
                _check(table, where)
                if table.get("budget") == wanted:
                    _add(table, kind, list(suite.tasks), found, where)
    return found


def _check(table, where):
    """Checks the kinds of all entries of a table."""
    if not isinstance(table, dict) or not isinstance(table.get("columns"), list):
        raise suites.SuiteError(
            f"{where}: write columns: [TASK, TASK.metric], numbers: {{CARD: [90, 80]}}."
        )
    for key in table:
        if key not in KEYS:
            raise suites.SuiteError(f"{where}: {suites.unknown('key', key, KEYS)}")
    for key in ("numbers", "models", "verified", "remarks", "aliases"):
        rows, inner = table.get(key) or {}, ROWS.get(key)
        if not isinstance(rows, dict):
            raise suites.SuiteError(f"{where}: {key} is a mapping.")
        for name, row in rows.items():
            if inner and not isinstance(row, inner):
                kind = "list" if inner is list else "mapping"
                raise suites.SuiteError(f"{where}: {key}: {name} is no {kind}.")


def _add(table, kind, tasks, found, where):
    """Adds the numbers of one table."""
    columns = [_column(name, tasks, where) for name in table["columns"]]
    for model, row in (table.get(kind) or {}).items():
        if len(row) != len(columns):
            raise suites.SuiteError(
                f"{where}: {model} has {len(row)} of {len(columns)} numbers"
            )
        sources = (table.get("verified") or {}).get(model, {})
        remarks = (table.get("remarks") or {}).get(model, {})
        for name, (task, metric), value in zip(table["columns"], columns, row):
            if isinstance(value, (str, bool, list, dict)):
                raise suites.SuiteError(
                    f"{where}: {model}: {name}: {value!r} is no number"
                )
            if value is not None:
                source = sources.get(name, table.get("source"))
                remark = remarks.get(name, remarks.get("all"))
                cell = found.setdefault(str(model), {}).setdefault(task, {})
                cell[metric] = Number(value, source, remark)


def _column(name, tasks, where):
    """Returns the task and the metric of a column; the first metric has no name."""
    task, _, metric = str(name).partition(".")
    meant = matching(task, tasks)
    if not meant:
        choices = [other.rpartition("/")[2] for other in tasks]
        raise suites.SuiteError(f"{where}: {suites.unknown('task', task, choices)}")
    keys = [each.key for each in task_of(meant[0]).metrics]
    if metric and metric not in keys:
        raise suites.SuiteError(f"{where}: {suites.unknown('metric', metric, keys)}")
    return meant[0], metric or keys[0]
