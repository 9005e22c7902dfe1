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
    parser.add_argument(
        "--predictions",
        action="store_true",
        help="with the predictions of the test, which s3prl-sb compare shows; they "
        "have labels or texts of the corpus, and push leaves them out",
    )


def main(arguments):
    """Exports a run."""
    from s3prl_sb import inference

    run, destination = arguments.run, arguments.destination
    options = {"force": arguments.force, "predictions": arguments.predictions}
    print(inference.export(run, destination, **options))
