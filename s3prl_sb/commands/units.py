"""``s3prl-sb units``: k-means units of speech: fit, apply, and measure them.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.foreign import trust


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    fit = actions.add_parser(
        "fit",
        help="cluster the frames of one hidden state",
        description="Makes a folder with the centres of k-means. Killed and run "
        "again, it continues, and ends with the same centres.",
    )
    _add_upstream(fit, required=True)
    fit.add_argument(
        "--layer", type=int, help="hidden state, from 0 (default: the only one)"
    )
    fit.add_argument("--clusters", type=int, required=True, help="number of units")
    _add_audio(fit)
    _add_kmeans(fit)
    _add_device(fit)
    fit.set_defaults(action=_fit)
    apply = actions.add_parser(
        "apply",
        help="write the units of every utterance",
        description="Makes an index of units, which opens at once however large it "
        "is: s3prl_sb.units.index.UnitsIndex(FOLDER).of(NAME). Killed and run again, "
        "it continues.",
    )
    apply.add_argument("model", help="folder made by `s3prl-sb units fit`")
    _add_upstream(apply, required=False)
    _add_audio(apply)
    apply.add_argument(
        "--text",
        action="store_true",
        help="write units.txt too: lines of a name, a tab, and units",
    )
    _add_device(apply)
    apply.set_defaults(action=_apply)
    quality = actions.add_parser(
        "quality",
        help="compare units with phones",
        description="Prints purity, mutual information and use of units over frames "
        "of 10 ms.",
    )
    quality.add_argument(
        "units", nargs="+", help="folders made by `s3prl-sb units apply`"
    )
    quality.add_argument(
        "--alignments",
        required=True,
        help="a folder with TIMIT's .PHN files, folded to 39 phones, or a JSON file: "
        '{"id": {"phones": [[start, stop, phone], …]}} in seconds',
    )
    quality.set_defaults(action=_quality)


def _add_upstream(parser, required):
    default = "" if required else " (default: the one that the units were fitted on)"
    parser.add_argument(
        "--upstream", required=required, help=f"a card's name or file{default}"
    )
    parser.add_argument("--source", help="a checkpoint, instead of the card's")
    parser.add_argument(
        trust.FLAG, action="store_true", help="run the code that comes with a card"
    )


def _add_audio(parser):
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--manifest", help="CSV, TSV or JSON: wav, and optionally id, start, stop, …"
    )
    source.add_argument(
        "--data",
        nargs="+",
        metavar="PATH",
        help="folders, audio files, tar shards or URLs, as in a recipe's train_data",
    )
    parser.add_argument("--output", required=True, help="folder to make or complete")


def _add_kmeans(parser):
    parser.add_argument(
        "--share",
        type=float,
        help="share of the utterances to fit on (default: all, but at most 96 hours)",
    )
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument(
        "--batch_frames",
        type=int,
        default=10_000,
        help="frames in a batch of k-means (default: 10000)",
    )
    parser.add_argument(
        "--n_init",
        type=int,
        default=3,
        help="choices of first centres, of which the best is kept (default: 3)",
    )
    parser.add_argument(
        "--passes",
        type=int,
        default=100,
        help="passes over the frames at most; it ends earlier when 100 batches bring "
        "nothing (default: 100)",
    )


def _add_device(parser):
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, … (default: a GPU if there is one)"
    )


def main(arguments):
    """Runs one of the actions."""
    with trust.trusting(getattr(arguments, "trust", False)):
        arguments.action(arguments)


def _speech(arguments):
    from s3prl_sb.units.speech import from_paths

    if arguments.manifest:
        return from_paths([arguments.manifest], "--manifest")
    return from_paths(arguments.data)


def _load(name, arguments):
    from s3prl_sb.lobes.upstreams import load

    overrides = {"source": arguments.source} if arguments.source else {}
    return load(name, freeze=True, **overrides)


def _fit(arguments):
    from s3prl_sb.startup import devices
    from s3prl_sb.units import fitting

    model = fitting.fit(
        _load(arguments.upstream, arguments),
        _speech(arguments),
        arguments.output,
        clusters=arguments.clusters,
        layer=arguments.layer,
        name=arguments.upstream,
        seed=arguments.seed,
        share=arguments.share,
        batch_frames=arguments.batch_frames,
        n_init=arguments.n_init,
        passes=arguments.passes,
        device=devices.chosen(arguments.device),
    )
    print(fitting.summary(model))


def _apply(arguments):
    from s3prl_sb.startup import devices
    from s3prl_sb.units.applying import apply
    from s3prl_sb.units.model import UnitsModel

    model = UnitsModel.load(arguments.model)
    made = apply(
        model,
        _load(arguments.upstream or model.about["upstream"], arguments),
        _speech(arguments),
        arguments.output,
        device=devices.chosen(arguments.device),
        text=arguments.text,
    )
    about = made.about
    print(
        f"{about['units']:,} units of {len(made):,} utterances: {about['used']} of "
        f"{made.classes} used, perplexity {about['perplexity']:.1f}, in {made.folder}"
    )


def _quality(arguments):
    import sys

    from s3prl_sb.terminal import columns
    from s3prl_sb.units import alignments, quality
    from s3prl_sb.units.index import UnitsIndex

    phones = alignments.read(arguments.alignments)
    rows = [["units", "phone purity", "cluster purity", "PNMI", "perplexity"]]
    rows[0] += ["active", "segment", "phones", "frames", "utterances"]
    for folder in arguments.units:
        made = UnitsIndex(folder)
        result = quality.measure_index(made, phones)
        shares = [result.phone_purity, result.cluster_purity, result.pnmi]
        rows.append([folder, *(f"{share:.3f}" for share in shares)])
        rows[-1] += [f"{result.perplexity:.1f}", f"{result.active} of {made.classes}"]
        rows[-1] += [f"{result.segment_ms:.0f} ms", str(result.phones)]
        rows[-1] += [f"{result.frames:,}", f"{result.utterances:,}"]
    print(columns.as_text(rows, columns.terminal_width(sys.stdout)))
