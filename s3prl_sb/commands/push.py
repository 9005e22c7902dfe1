"""``s3prl-sb push``: an export on the Hugging Face hub, with a model card.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("export", help="an export; or a run, which is exported first")
    parser.add_argument("name", help="owner/name of the repository on the hub")
    parser.add_argument(
        "--dry_run",
        "--dry-run",
        action="store_true",
        help="print the card and the files, and send nothing",
    )
    parser.add_argument(
        "--private", action="store_true", help="if the repository is new: not public"
    )
    parser.add_argument("--revision", help="branch to put it on (default: main)")
    parser.add_argument("--message", help="of the commit")
    parser.add_argument(
        "--card",
        metavar="FILE",
        help="Markdown with text of your own; the facts are added (default: the text "
        "that the card in the repository has)",
    )
    parser.add_argument(
        "--license",
        metavar="ID",
        help="licence of the export, by its name on the hub: apache-2.0, cc-by-4.0, …",
    )
    parser.add_argument(
        "--weights_licence_accepted",
        "--weights-licence-accepted",
        action="store_true",
        help="the licence of the upstream's weights in the export lets you pass them "
        "on, or they are your own",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace files of a repository that are no export",
    )


def main(arguments):
    """Puts an export on the hub, or prints what would go there."""
    from huggingface_hub.utils import disable_progress_bars

    from s3prl_sb.sharing import pushing
    from s3prl_sb.storage import hub
    from s3prl_sb.terminal import progress
    from s3prl_sb.terminal.columns import visible

    place = pushing.named(arguments.name, arguments.revision)
    terms = arguments.license, arguments.weights_licence_accepted
    if arguments.dry_run:
        with pushing.prepared(arguments.export, str(place), *terms) as upload:
            text = pushing.text_of_card(upload, arguments.card)
            print(visible(text, keep="\n"))
            print(upload.listing())
        return
    if not progress.on_terminal():
        disable_progress_bars()  # in a log they are noise
    options = arguments.private, place.revision, arguments.message, arguments.card
    commit = pushing.push(
        arguments.export, place.name, *options, *terms, force=arguments.force
    )
    print(f"{hub.address(place)}, commit {commit}")
    print(f"s3prl-sb predict {place} a.wav")
