"""Descriptions of suites, for ``s3prl-sb bench --list`` and its help.

Authors
 * The s3prl_sb developers, 2026
"""

import textwrap

from s3prl_sb.benchmark.budgets import FULL
from s3prl_sb.errors import UserError
from s3prl_sb.runs import suites

WIDTH, INDENT = 88, "    "
TOGETHER = "\x00"  # a space where no line ends


def text(names):
    """Describes suites: titles, tasks with their recipes, budgets.

    Arguments
    ---------
    names : list of str
        Names of suites.

    Returns
    -------
    str

    Example
    -------
    >>> print(text(["superb_sg"]).splitlines()[0])
    superb_sg: SUPERB-SG, five tasks of meaning and generation over frozen upstreams
    """
    return "\n\n".join(_text(name) for name in names)


def _text(name):
    suite = suites.suite(name)
    about = f", {suite.about}" if suite.about else ""
    lines = _wrapped("", f"{name}: {suite.title}{about}", "")
    lines += [INDENT + suite.paper] if suite.paper else []
    tasks = [f"{task.name} ({task.recipe})" for task in suite.tasks.values()]
    lines += _wrapped(INDENT, "tasks: " + ", ".join(tasks), INDENT)
    budgets = ", ".join([FULL, *map(str, suite.budgets)])
    return "\n".join([*lines, f"{INDENT}budgets: {budgets}"])


def _wrapped(first, words, rest):
    lines = textwrap.wrap(
        words.replace(" (", f"{TOGETHER}("),
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest + INDENT,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [line.replace(TOGETHER, " ") for line in lines]


def for_help(words):
    """Describes the suites that a command names, for its help.

    Arguments
    ---------
    words : list of str
        Words of the command line.

    Returns
    -------
    str
        Without a suite among them, the names of all.

    Example
    -------
    >>> for_help(["superb", "--help"]).startswith("superb: SUPERB, ten tasks")
    True
    """
    named = []
    for word in words:
        try:
            named.append(suites.find(word))
        except UserError:
            continue
    if named:
        return text(named)
    return f"suites: {', '.join(suites.names())}; s3prl-sb bench SUITE --help says more"
