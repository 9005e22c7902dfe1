"""``s3prl-sb convert``: a checkpoint as safetensors, with a card.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "checkpoint", help="a file, folder, address, Hugging Face id, or a card's name"
    )
    parser.add_argument("destination", help="folder to make")
    parser.add_argument(
        "--upstream",
        help="a card of its family (default: the first that can read it)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace an earlier conversion"
    )


def main(arguments):
    """Converts a checkpoint, and prints the sizes of the upstream."""
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
