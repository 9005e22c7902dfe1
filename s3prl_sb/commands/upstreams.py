"""``s3prl-sb upstreams``: the cards that there are.

Authors
 * The s3prl_sb developers, 2026
"""

import shutil
import sys


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("pattern", nargs="?", default="*", help="such as 'hubert*'")
    parser.add_argument(
        "--free",
        action="store_true",
        help="only weights whose licence is stated and lets everyone use them for "
        "everything",
    )
    form = parser.add_mutually_exclusive_group()
    for name, text in (
        ("names", "names alone"),
        ("table", "the table, in a pipe with all columns"),
        ("markdown", "all columns as a table in Markdown"),
        ("json", "exact sizes, addresses and all"),
    ):
        form.add_argument(
            f"--{name}", dest="form", action="store_const", const=name, help=text
        )


def main(arguments):
    """Prints the names of cards, or a table of them."""
    from s3prl_sb.lobes.upstreams import names

    cards, terminal = names(arguments.pattern), sys.stdout.isatty()
    if arguments.free:
        from s3prl_sb.lobes.cards.catalogue import about, is_free

        cards = [name for name in cards if is_free(about(name)["licence"])]
    if not cards:
        free = ", of those that are free" if arguments.free else ""
        raise ValueError(f"no upstream is called '{arguments.pattern}'{free}")
    form = arguments.form or ("table" if terminal else "names")
    if form == "names":
        print("\n".join(cards))
        return
    from s3prl_sb.lobes.cards import catalogue

    rows = [catalogue.facts(name) for name in cards]
    if form == "table":
        width = shutil.get_terminal_size().columns if terminal else None
        print(catalogue.as_text(rows, width))
    else:
        print(getattr(catalogue, f"as_{form}")(rows))
