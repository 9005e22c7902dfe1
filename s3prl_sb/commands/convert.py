"""``s3prl-sb convert``: a checkpoint as safetensors with a card, or in S3PRL's layout.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.errors import UserError


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "checkpoint",
        help="a file, folder, address, Hugging Face id, a card's name, or the folder "
        "of a run of pre-training",
    )
    parser.add_argument(
        "destination", help="folder to make; the file, with --layout s3prl"
    )
    parser.add_argument(
        "--upstream",
        help="a card of its family (default: the first that can read it)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace an earlier conversion"
    )
    parser.add_argument(
        "--layout",
        choices=("safetensors", "s3prl"),
        default="safetensors",
        help="format to write: ours (default), or the checkpoint that S3PRL's tools "
        "read, for the families of its pre-training",
    )
    parser.add_argument(
        "--random-head",
        action="store_true",
        help="with --layout s3prl: random values for what only pre-training uses, "
        "where the card has none",
    )


def main(arguments):
    """Converts a checkpoint, and prints the sizes of the upstream."""
    if arguments.layout == "s3prl":
        return write_s3prl(arguments)
    if arguments.random_head:
        raise UserError("--random-head is for --layout s3prl; ours has no such head.")
    from s3prl_sb import own
    from s3prl_sb.lobes.cards import conversion

    path, upstream = conversion.convert(
        arguments.checkpoint,
        arguments.destination,
        upstream=arguments.upstream,
        force=arguments.force,
    )
    count = sum(weight.numel() for weight in upstream.network.state_dict().values())
    sizes = ", ".join(map(str, dict.fromkeys(upstream.output_sizes)))
    size = (path.parent / conversion.MODEL).stat().st_size
    print(f"{path}: {own.plain_name(type(upstream))}")
    print(
        f"{upstream.num_layers} hidden states of {sizes}, every {upstream.stride} "
        f"samples; {count / 1e6:.1f} M weights, {size / 1e6:.1f} MB"
    )
    print("features of noise: equal to the original's")
    return None


def write_s3prl(arguments):
    """Writes S3PRL's layout, and prints what is in it."""
    if arguments.upstream is not None:
        raise UserError(
            "--upstream is for the safetensors layout. Convert the checkpoint to it "
            "first, then the folder with --layout s3prl."
        )
    from s3prl_sb.lobes.s3prl_writing import writing

    path, upstream, random_names = writing.write_s3prl(
        arguments.checkpoint,
        arguments.destination,
        random_head=arguments.random_head,
        force=arguments.force,
    )
    size = path.stat().st_size / 1e6
    print(f"{path}: {type(upstream).__name__} in S3PRL's layout, {size:.1f} MB")
    if random_names:
        print(f"random, as pre-training alone uses them: {', '.join(random_names)}")
    print("features of noise, read again: equal to the original's")
