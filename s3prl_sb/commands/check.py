"""``s3prl-sb check``: whether an upstream keeps the contract.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "card", help="name of a card, your own card.yaml, or owner/name on the hub"
    )
    parser.add_argument(
        "--random",
        action="store_true",
        help="with random weights, without its checkpoint",
    )


def main(arguments):
    """Prints the findings of check_upstream."""
    from s3prl_sb.lobes.cards.check import check_upstream
    from s3prl_sb.lobes.cards.fusing import without_sources
    from s3prl_sb.lobes.upstreams import card, load

    overrides = without_sources(card(arguments.card)) if arguments.random else {}
    for line in check_upstream(load(arguments.card, **overrides)):
        print(f"ok  {line}")
