"""``s3prl-sb cka``: similarity of the hidden states of one or two upstreams.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("--upstream", required=True, help="a card's name or file")
    parser.add_argument("--source", help="a checkpoint, instead of the card's")
    parser.add_argument(
        "--layers", type=int, nargs="+", help="hidden states (default: all)"
    )
    parser.add_argument(
        "--with",
        dest="other",
        metavar="UPSTREAM",
        help="another upstream, for the columns (default: the same)",
    )
    parser.add_argument("--with_source", help="its checkpoint, instead of the card's")
    parser.add_argument(
        "--with_layers", type=int, nargs="+", help="its hidden states (default: all)"
    )
    add_audio(parser)
    parser.add_argument(
        "--debiased",
        action="store_true",
        help="unbiased estimate, which few frames do not make too large",
    )
    parser.add_argument(
        "--memory",
        type=float,
        default=4.0,
        metavar="GB",
        help="of products of hidden states at once; less memory means more passes over "
        "the cached features (default: 4)",
    )


def add_audio(parser):
    """Adds the arguments of an analysis: audio, output, cache and device."""
    parser.add_argument(
        "--manifest",
        required=True,
        metavar="PATH",
        help="a folder of audio files, or CSV, TSV or JSON: id, wav, …",
    )
    parser.add_argument("--output", required=True, help="folder to make")
    parser.add_argument(
        "--cache_folder",
        help="folder of the features, which recipes and other analyses may share "
        "(default: OUTPUT/features)",
    )
    parser.add_argument(
        "--dtype",
        choices=("float16", "float32"),
        default="float16",
        help="of the features on the disk (default: float16)",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, … (default: a GPU if there is one)"
    )


def states_of(arguments, name, source, layers, records, device):
    """Returns the hidden states of an upstream, see `analysis.utterances`."""
    import os
    from pathlib import Path

    from s3prl_sb.analysis.utterances import hidden_states
    from s3prl_sb.lobes.upstreams import load

    upstream = load(name, freeze=True, **({"source": source} if source else {}))
    folder = arguments.cache_folder or os.path.join(arguments.output, "features")
    options = {"layers": layers, "dtype": arguments.dtype, "device": device}
    title = Path(name).stem if os.path.isfile(name) else name
    return hidden_states(upstream, records, folder, title, **options)


def main(arguments):
    """Compares hidden states, and writes a table, a figure and JSON."""
    from s3prl_sb.analysis.cka import similarity
    from s3prl_sb.analysis.errors import AnalysisError
    from s3prl_sb.analysis.utterances import read_records
    from s3prl_sb.startup import devices
    from s3prl_sb.storage.files import make_folder

    if not arguments.other and (arguments.with_source or arguments.with_layers):
        raise AnalysisError(
            "--with_source and --with_layers belong to --with UPSTREAM."
        )
    if not arguments.memory > 0:  # NaN too
        raise AnalysisError(f"--memory {arguments.memory} is not positive.")
    output = make_folder(arguments.output, "Choose another --output.")
    device = devices.chosen(arguments.device)
    records = read_records(arguments.manifest)
    first = states_of(
        arguments,
        arguments.upstream,
        arguments.source,
        arguments.layers,
        records,
        device,
    )
    second = arguments.other and states_of(
        arguments,
        arguments.other,
        arguments.with_source,
        arguments.with_layers,
        records,
        device,
    )
    values = similarity(
        first, second or None, arguments.debiased, arguments.memory, device
    )
    _write(output, values, (first, second or first), arguments.debiased)


def _write(output, values, upstreams, debiased):
    """Writes and prints the similarities of two upstreams' hidden states."""
    import sys

    from s3prl_sb.analysis import figures
    from s3prl_sb.storage.csv_files import write_csv
    from s3prl_sb.storage.files import write_json
    from s3prl_sb.terminal import columns

    first, second = upstreams
    header = ["hidden state", *map(str, second.layers)]
    rows = [
        [str(layer), *(f"{value:.4f}" for value in row)]
        for layer, row in zip(first.layers, values.tolist())
    ]
    write_csv(output / "cka.csv", header, rows)
    write_json(
        output / "cka.json",
        {
            "upstreams": [first.name, second.name],
            "layers": [first.layers, second.layers],
            "debiased": debiased,
            "utterances": len(first),
            "cka": values.tolist(),
        },
    )
    kind = "debiased linear CKA" if debiased else "linear CKA"
    names = (first.name, second.name)
    title = f"{kind} · {' and '.join(dict.fromkeys(names))}"
    figures.similarities(
        output / "cka.png", values, first.layers, second.layers, names, title
    )
    print(columns.as_text([header, *rows], columns.terminal_width(sys.stdout)))
    print(f"{len(first):,} utterances; cka.csv, cka.json and cka.png in {output}")
