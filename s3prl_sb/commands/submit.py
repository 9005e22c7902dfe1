"""``s3prl-sb submit``: the files of a submission to SUPERB's leaderboard.

Authors
 * The s3prl_sb developers, 2026
"""

import sys


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "folder", nargs="+", help="output folder of a benchmark or a run"
    )
    parser.add_argument("destination", help="folder to make")
    parser.add_argument(
        "--upstream", metavar="NAME", help="whose runs, if there are those of several"
    )
    parser.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="which run of each task (default: the best in validation)",
    )


def main(arguments):
    """Writes the files, and prints what they are made of.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :func:`add_arguments`.

    Returns
    -------
    int
        0 if every task with a run was written and can be submitted; 1 if one could not
        be written, the leaderboard would refuse one, or a run could not be read. The
        files of the others are there in both cases.
    """
    from s3prl_sb.submission.writing import ZIP, result, submit
    from s3prl_sb.terminal import columns

    unread = []

    def failed(error):
        unread.append(error)
        print(f"s3prl-sb: {columns.visible(str(error))}", file=sys.stderr)

    places = arguments.folder, arguments.destination
    made = submit(*places, arguments.upstream, arguments.seed, failed)
    rows = [["task", "ids", "measured", "run"]]
    for each in made.written:
        count = f"{each.ids:,} of {each.entry.size:,}"
        rows.append([each.entry.name, count, result(each), str(each.choice.folder)])
    print(columns.as_text(rows))
    notes = [(each.entry.name, text) for each in made.written for text in each.notes]
    reasons = [(name, f"not in it: {text}") for name, text in made.missing.items()]
    faults = [(name, f"not in it: {text}") for name, text in made.failed.items()]
    faults += [(each.entry.name, text) for each in made.written for text in each.faults]
    for line in _together([*notes, *reasons]):
        print(line)
    for line in _together(faults):
        print(f"s3prl-sb: {line}", file=sys.stderr)
    print(f"{arguments.destination}/{ZIP}")
    return 1 if faults or unread else 0


def _together(remarks):
    """Returns a line for each text, after the names of all tasks that it is about."""
    from s3prl_sb.terminal import columns

    named = {}
    for name, text in remarks:
        named.setdefault(text, []).append(name)
    return [columns.visible(f"{', '.join(n)}: {text}") for text, n in named.items()]
