"""``s3prl-sb extract``: features of a list of audio files, written to a folder.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("--upstream", required=True, help="a card's name or file")
    parser.add_argument("--source", help="a checkpoint, instead of the card's")
    parser.add_argument("--manifest", required=True, help="CSV or JSON: id, wav, …")
    parser.add_argument("--output", required=True, help="folder to make or complete")
    parser.add_argument(
        "--kind",
        choices=("frames", "pooled"),
        default="frames",
        help="all frames, or their mean over time (default: frames)",
    )
    parser.add_argument(
        "--layers", type=int, nargs="+", help="hidden states (default: all)"
    )
    parser.add_argument(
        "--dtype",
        choices=("float16", "float32"),
        default="float16",
        help="of the numbers on the disk (default: float16)",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, … (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="on this machine (default: 1)"
    )
    parser.add_argument(
        "--part",
        default="0/1",
        help="i/n: the i-th of n parts, for n machines (default: 0/1)",
    )


def main(arguments):
    """Fills a feature cache."""
    from s3prl_sb.dataio.dataset import ManifestDataset
    from s3prl_sb.dataio.extraction import extract
    from s3prl_sb.dataio.pipes import LoadAudio
    from s3prl_sb.dataio.tables import load_table
    from s3prl_sb.lobes.upstreams import load
    from s3prl_sb.startup import devices

    try:
        part = tuple(map(int, arguments.part.split("/")))
        valid = len(part) == 2 and 0 <= part[0] < part[1]
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"--part is i/n with 0 <= i < n, not '{arguments.part}'")
    device = devices.chosen(arguments.device)
    overrides = {"source": arguments.source} if arguments.source else {}
    upstream = load(arguments.upstream, freeze=True, **overrides)
    records = load_table(arguments.manifest)
    dataset = ManifestDataset(records, [LoadAudio(upstream.sample_rate)])
    cache = extract(
        upstream,
        dataset,
        arguments.output,
        kind=arguments.kind,
        layers=arguments.layers,
        dtype=arguments.dtype,
        device=device,
        num_processes=arguments.processes,
        part=part,
    )
    print(f"{len(cache)} utterances, {cache.bytes() / 1e6:.1f} MB in {cache.folder}")
