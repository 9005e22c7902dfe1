"""``s3prl-sb export``: a finished run as a folder that loads elsewhere.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("run", help="its output folder")
    parser.add_argument("destination", help="folder to make")
    parser.add_argument(
        "--force", action="store_true", help="replace an earlier export"
    )


def main(arguments):
    """Exports a run."""
    from s3prl_sb import inference

    run, destination = arguments.run, arguments.destination
    print(inference.export(run, destination, force=arguments.force))
