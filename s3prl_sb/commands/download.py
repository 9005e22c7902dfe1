"""``s3prl-sb download``: a corpus whose licence allows it.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("corpus", help="such as librispeech; an unknown name lists all")
    parser.add_argument("destination", help="folder to make or complete")


def main(arguments):
    """Downloads a corpus."""
    from s3prl_sb.corpora import downloads

    print(downloads.downloader(arguments.corpus)(arguments.destination))
