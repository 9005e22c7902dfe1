"""``s3prl-sb compare``: the differences of two runs, with intervals, and the utterances
where they differ most.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

TOP = 10


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    for name in ("A", "B"):
        parser.add_argument(
            name,
            help="folder of a run or an export, or of the runs of several seeds; an "
            "export shows texts if it was made with --predictions",
        )
    parser.add_argument(
        "--task", help="such as KS, where the folders have runs of several tasks"
    )
    parser.add_argument(
        "--metric",
        nargs="+",
        help="names in results.json (default: all that have measures)",
    )
    parser.add_argument(
        "--common",
        action="store_true",
        help="compare on the utterances that both have tested; otherwise different "
        "test sets are an error",
    )
    parser.add_argument(
        "--top",
        type=int,
        default=TOP,
        metavar="N",
        help="how many utterances to show where they differ most (default: 10)",
    )
    parser.add_argument(
        "--level",
        type=float,
        default=0.95,
        help="share of the draws in the intervals (default: 0.95)",
    )
    parser.add_argument(
        "--resamples",
        type=int,
        default=2000,
        help="draws of the bootstrap (default: 2000)",
    )
    parser.add_argument(
        "--format",
        choices=("text", "markdown", "csv", "json"),
        default="text",
        help="csv: the metrics alone; json: everything, as in results.json (default: "
        "text)",
    )


def main(arguments):
    """Prints the comparison.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :func:`add_arguments`.

    Returns
    -------
    int

    Raises
    ------
    s3prl_sb.errors.UserError
        If the folders cannot be compared; says why.
    """
    from s3prl_sb.commands import comparison_texts as texts
    from s3prl_sb.runs.comparing import compare
    from s3prl_sb.runs.sides import SideError, side_of
    from s3prl_sb.storage.csv_files import csv_text
    from s3prl_sb.storage.files import json_text

    if not 0 < arguments.level < 1 or arguments.resamples < 1 or arguments.top < 0:
        raise SideError(
            f"--level {arguments.level:g} --resamples {arguments.resamples} --top "
            f"{arguments.top}: a level is between 0 and 1, such as 0.95; there are 1 "
            "resamples or more, and 0 utterances or more."
        )
    sides = [side_of(Path(each), arguments.task) for each in (arguments.A, arguments.B)]
    one, other = sides
    if one.task != other.task:
        raise SideError(
            f"'{one.name}' is of {one.task or 'no task'}, '{other.name}' of "
            f"{other.task or 'no task'}: only runs of the same task can be compared."
        )
    comparison = compare(
        one.measures,
        other.measures,
        texts.in_order(one, arguments.metric),
        arguments.common,
        arguments.level,
        arguments.resamples,
    )
    shown = texts.Shown(one, other, comparison, arguments.top)
    if arguments.format == "json":
        print(json_text(shown.as_json()))
    elif arguments.format == "csv":
        header, *rows = shown.numbers()
        print(csv_text(header, rows), end="")
    else:
        print(
            shown.as_markdown() if arguments.format == "markdown" else shown.as_text()
        )
    return 0
