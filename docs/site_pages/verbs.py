"""Pages of the command line: a page for each verb, from its parser.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import os

from s3prl_sb import cli
from site_pages.markup import heading, literal, marked, toctree


def parsers():
    """Returns the parsers of all verbs.

    Returns
    -------
    dict
        Names to parsers, in the order of ``s3prl-sb --help``.
    """
    return _below(cli.parser())


def _below(parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def pages():
    """Makes a page for each verb.

    Returns
    -------
    dict
        File names below ``docs/reference`` to texts in reStructuredText.
    """
    found = parsers()
    helps = {name: verb.help for name, verb in cli.VERBS.items()}
    made = {f"commands/{name}.rst": _page(name, found[name]) for name in found}
    rows = [f":doc:`{name}`\n    {marked(helps.get(name, ''))}" for name in found]
    made["commands/index.rst"] = "\n\n".join(
        [
            heading("Command line").rstrip(),
            "``s3prl-sb VERB …``; ``s3prl-sb VERB --help`` prints the same.",
            *rows,
            toctree(found, ":hidden:"),
        ]
    )
    return made


def _page(name, parser, line="="):
    """Describes a parser, and those below it."""
    title = f"s3prl-sb {name}"
    parts = [heading(title, line).rstrip()]
    parts += [marked(parser.description)] if parser.description else []
    parts.append(literal(_usage(parser)))
    for group in parser._action_groups:
        rows = [_option(parser, action) for action in group._group_actions]
        rows = [row for row in rows if row]
        if rows:
            parts += [f".. rubric:: {group.title}"]
            parts += [marked(group.description)] if group.description else []
            parts += rows
    parts += [literal(parser.epilog)] if parser.epilog else []
    for below, inner in _below(parser).items():
        parts.append(_page(f"{name} {below}", inner, "-"))
    return "\n\n".join(parts) + "\n"


def _usage(parser):
    """Returns the usage in the width of a page, wherever the site is built."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "88"
    try:
        return parser.format_usage().removeprefix("usage: ").strip()
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _option(parser, action):
    """Describes an option or a positional argument; "" where the help leaves it out."""
    if action.help == argparse.SUPPRESS or isinstance(
        action, (argparse._HelpAction, argparse._SubParsersAction)
    ):
        return ""
    formatter = parser._get_formatter()
    names = formatter._format_action_invocation(action)
    text = formatter._expand_help(action) if action.help else ""
    return f"``{names}``\n    {marked(' '.join(text.split())) or '…'}"
