"""``s3prl-sb push``: a model on the Hugging Face hub, with a model card.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "source",
        help="an export; a run, which is exported first; or a pre-trained upstream: "
        "the folder of its run, or one of s3prl-sb convert",
    )
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
        help="licence of the model, by its name on the hub: apache-2.0, cc-by-4.0, …",
    )
    parser.add_argument(
        "--weights_licence_accepted",
        "--weights-licence-accepted",
        action="store_true",
        help="the licence of the upstream's weights in it lets you pass them "
        "on, or they are your own",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace files of a repository that holds something else",
    )


def main(arguments):
    """Puts a model on the hub, or prints what would go there."""
    from huggingface_hub.utils import disable_progress_bars

    from s3prl_sb.sharing import pushing
    from s3prl_sb.storage import hub
    from s3prl_sb.terminal import progress
    from s3prl_sb.terminal.columns import visible

    place = pushing.named(arguments.name, arguments.revision)
    options = arguments.license, arguments.weights_licence_accepted, arguments.card
    with pushing.prepared(arguments.source, str(place), *options) as upload:
        if arguments.dry_run:
            print(visible(upload.card(), keep="\n"))
            print(upload.listing())
            return
        if not progress.on_terminal():
            disable_progress_bars()  # in a log they are noise
        options = arguments.private, arguments.message, arguments.force
        commit = pushing.send(upload, place, *options)
        print(f"{hub.address(place)}, commit {commit}")
        print(upload.use)
