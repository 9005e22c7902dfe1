"""``s3prl-sb toy``: a small synthetic corpus.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("corpus", help="such as librispeech; an unknown name lists all")
    parser.add_argument("destination", help="folder to make")
    parser.add_argument(
        "--seed", type=int, default=0, help="another one, another corpus (default: 0)"
    )


def main(arguments):
    """Generates a corpus."""
    from s3prl_sb.corpora import toys

    print(toys.make(arguments.corpus, arguments.destination, seed=arguments.seed))
