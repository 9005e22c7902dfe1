"""``s3prl-sb abx``: how well hidden states discriminate phones.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.commands import cka

TASKS = {"within": ["within"], "across": ["across"], "both": ["within", "across"]}


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("--upstream", required=True, help="a card's name or file")
    parser.add_argument("--source", help="a checkpoint, instead of the card's")
    parser.add_argument(
        "--layers", type=int, nargs="+", help="hidden states (default: all)"
    )
    cka.add_audio(parser)
    items = parser.add_mutually_exclusive_group(required=True)
    items.add_argument(
        "--items",
        metavar="FILE",
        help="an .item file of the ZeroSpeech challenges: file, onset, offset, phone, "
        "previous phone, next phone, speaker",
    )
    items.add_argument(
        "--alignments",
        metavar="PATH",
        help="phones to make items of, as for s3prl-sb units quality: a folder with "
        "TIMIT's .PHN files or TextGrids, a CTM, or JSON",
    )
    parser.add_argument(
        "--context",
        choices=("triphone", "none"),
        default="triphone",
        help="whether the phones before and after must be equal; without, items of "
        "--alignments are single phones (default: triphone)",
    )
    parser.add_argument(
        "--speakers",
        choices=tuple(TASKS),
        default="both",
        help="X of the same speaker as A and B, or of another (default: both)",
    )
    parser.add_argument(
        "--speaker",
        metavar="COLUMN",
        help="column with the speaker; or timit or librispeech, for the speakers in "
        "the paths of these corpora (default: speaker, spk, speaker_id or spk_id)",
    )
    parser.add_argument(
        "--distance",
        choices=("angular", "euclidean", "kl"),
        default="angular",
        help="of frames; kl is symmetric, for posteriors (default: angular)",
    )
    parser.add_argument(
        "--most_items",
        type=int,
        default=10,
        help="of a phone, context and speaker, drawn if there are more (default: 10)",
    )
    parser.add_argument(
        "--most_speakers",
        type=int,
        default=5,
        help="other speakers of X, drawn if there are more (default: 5)",
    )
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")


def main(arguments):
    """Measures every hidden state, and writes a table, a figure and JSON."""
    import sys

    from s3prl_sb.analysis import figures
    from s3prl_sb.analysis.abx import errors
    from s3prl_sb.analysis.utterances import read_records
    from s3prl_sb.startup import devices
    from s3prl_sb.storage.csv_files import write_csv
    from s3prl_sb.storage.files import make_folder, write_json
    from s3prl_sb.terminal import columns

    output = make_folder(arguments.output, "Choose another --output.")
    device = devices.chosen(arguments.device)
    records = read_records(arguments.manifest)
    items = _items(arguments, records)  # before the upstream runs: they may be wrong
    states = cka.states_of(
        arguments,
        arguments.upstream,
        arguments.source,
        arguments.layers,
        {name: records[name] for name in dict.fromkeys(i.utterance for i in items)},
        device,
    )
    tasks = TASKS[arguments.speakers]
    results = errors(
        states,
        items,
        tasks,
        by_context=arguments.context == "triphone",
        distance=arguments.distance,
        seed=arguments.seed,
        most_items=arguments.most_items,
        most_speakers=arguments.most_speakers,
        device=device,
    )
    header = ["hidden state", *(f"{task}, %" for task in tasks)]
    rows = [
        [str(layer), *(f"{100 * result[task]:.2f}" for task in tasks)]
        for layer, result in zip(states.layers, results)
    ]
    write_csv(output / "abx.csv", header, rows)
    lines = {task: [result[task] for result in results] for task in tasks}
    options = ("context", "distance", "seed", "most_items", "most_speakers")
    about = {name: getattr(arguments, name) for name in options}
    about |= {"upstream": states.name, "layers": states.layers, "items": len(items)}
    write_json(
        output / "abx.json", {**about, "utterances": len(states), "errors": lines}
    )
    context = "triphones" if arguments.context == "triphone" else "phones"
    title = f"ABX of {context} · {states.name} · {arguments.distance}"
    figures.errors(output / "abx.png", states.layers, lines, title)
    print(columns.as_text([header, *rows], columns.terminal_width(sys.stdout)))
    print(
        f"{len(items):,} items of {len(states):,} utterances; abx.csv, abx.json and "
        f"abx.png in {output}"
    )


def _items(arguments, records):
    from s3prl_sb.analysis.items import aligned_items, read_items
    from s3prl_sb.units import alignments

    if arguments.items:
        return read_items(arguments.items, records)
    triphones = arguments.context == "triphone"
    phones = alignments.read(arguments.alignments)
    return aligned_items(records, phones, triphones, arguments.speaker)
