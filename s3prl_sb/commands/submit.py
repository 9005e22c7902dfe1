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
        0 if every task that was written can be submitted; 1 if the leaderboard would
        refuse one. The files are there in both cases.
    """
    from s3prl_sb.submission.writing import ZIP, result, submit
    from s3prl_sb.terminal import columns

    def failed(error):
        print(f"s3prl-sb: {columns.visible(str(error))}", file=sys.stderr)

    places = arguments.folder, arguments.destination
    made = submit(*places, arguments.upstream, arguments.seed, failed)
    rows = [["task", "ids", "measured", "run"]]
    for each in made.written:
        count = f"{each.count:,} of {each.entry.size:,}"
        rows.append([each.entry.name, count, result(each), str(each.choice.folder)])
    print(columns.as_text(rows))
    for each in made.written:
        for text in each.notes:
            print(columns.visible(f"{each.entry.name}: {text}"))
    for reason in dict.fromkeys(made.missing.values()):
        names = [name for name, why in made.missing.items() if why == reason]
        print(columns.visible(f"not in it: {', '.join(names)}: {reason}"))
    faulty = [each for each in made.written if each.faults]
    for each in faulty:
        for text in each.faults:
            line = columns.visible(f"{each.entry.name}: {text}")
            print(f"s3prl-sb: {line}", file=sys.stderr)
    print(f"{arguments.destination}/{ZIP}")
    return 1 if faulty else 0
