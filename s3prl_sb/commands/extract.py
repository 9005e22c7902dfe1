"""``s3prl-sb extract``: features of audio, written to files.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.commands import extract_jobs, extract_parts
from s3prl_sb.engines import options

#: The formats; the modules that write them are heavy to import.
FORMATS = ("cache", "npy", "pt", "hdf5", "kaldi")
POOLINGS = ("mean", "std", "mean_std", "min", "max")


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "audio",
        nargs="?",
        help="a folder of audio, an audio file, a table (CSV, TSV, JSON), or a data "
        "folder of Kaldi",
    )
    parser.add_argument("--manifest", help="the same as AUDIO")
    parser.add_argument(
        "--output",
        required=True,
        help="folder to make or complete. Of files, not of a cache, it needs twice the "
        "room until all are written: features are kept in .features there meanwhile",
    )
    model = parser.add_argument_group("model")
    model.add_argument("--upstream", help="a card's name or file")
    model.add_argument("--source", help="a checkpoint, instead of the card's")
    model.add_argument(
        "--upstream_model", help='changes of the card, such as "{size: 13}"'
    )
    model.add_argument(
        "--posteriors",
        metavar="RUN",
        help="instead of an upstream: log posteriors of the frame classifier of a run "
        "or an export",
    )
    model.add_argument(
        "--priors",
        metavar="FILE",
        help="subtract the log of the labels' shares in FILE from the posteriors: "
        "lines of a label and its count of frames",
    )
    what = parser.add_argument_group("features")
    what.add_argument("--layers", type=int, nargs="+", help="hidden states (all)")
    what.add_argument(
        "--deltas", type=int, choices=(0, 1, 2), default=0, help="orders to append (0)"
    )
    what.add_argument(
        "--cmvn",
        choices=("utterance", "speaker", "global"),
        help="normalize mean and variance, after the deltas",
    )
    what.add_argument(
        "--cmvn_stats",
        metavar="FILE",
        help="apply the cmvn_stats.npz of an earlier extraction, instead of measuring",
    )
    what.add_argument(
        "--pooling", choices=POOLINGS, help="a statistic over time instead of frames"
    )
    what.add_argument(
        "--kind",
        choices=("frames", "pooled"),
        default="frames",
        help="pooled is --pooling mean",
    )
    _add_outputs(parser)


def _add_outputs(parser):
    """Adds the arguments about files and processes."""
    files = parser.add_argument_group("files")
    files.add_argument(
        "--format",
        choices=FORMATS,
        default="cache",
        help="npy and pt: a file each, in the folders of the audio; hdf5: features.h5; "
        "kaldi: arks and feats.scp (default: cache, our feature cache)",
    )
    files.add_argument(
        "--dtype",
        choices=("float16", "float32", "int8"),
        help="of the numbers on the disk (float16 in a cache, float32 in files); int8, "
        "with a scale for each frame and layer, is for a cache",
    )
    work = parser.add_argument_group("work")
    work.add_argument(
        "--plan",
        action="store_true",
        help="write nothing: say how much audio there is, how long its features take "
        "here, from a measurement of seconds, and how large they are",
    )
    work.add_argument(
        "--device", default="auto", help="cpu, cuda, … (default: a GPU if there is one)"
    )
    work.add_argument(
        "--processes", type=int, default=1, help="on this machine (default: 1)"
    )
    work.add_argument(
        "--part",
        default="0/1",
        help="i/n: the i-th of n parts, for n machines that fill one cache (0/1)",
    )
    work.add_argument(
        "--jobs",
        type=int,
        help="with --engine slurm: parts, each a job; with --engine ray: actors "
        "(default: one for each GPU of the cluster, or for each CPU)",
    )
    options.add_arguments(parser)


def main(arguments):
    """Writes features."""
    from s3prl_sb.errors import UserError

    part = _part(arguments.part)
    sources = [s for s in (arguments.audio, arguments.manifest) if s]
    if len(sources) != 1:
        raise UserError("Give the audio once: s3prl-sb extract AUDIO --output DIR …")
    if bool(arguments.upstream) == bool(arguments.posteriors):
        raise UserError("Give --upstream NAME or --posteriors RUN.")
    if arguments.posteriors and (arguments.source or arguments.upstream_model):
        raise UserError("--source and --upstream_model belong to --upstream.")
    if arguments.priors and not arguments.posteriors:
        raise UserError("--priors belongs to --posteriors.")
    if arguments.kind == "pooled":
        arguments.pooling = arguments.pooling or "mean"
    options.check(arguments)
    if arguments.engine != "local" and not arguments.plan:
        return extract_jobs.run(sources[0], arguments)
    if arguments.jobs is not None and arguments.engine == "local":
        raise UserError("--jobs is for --engine slurm and ray; here --processes N.")
    upstream = extract_parts.model(arguments)
    if arguments.plan:
        _plan(upstream, sources[0], arguments)
    elif arguments.format == "cache":
        cache = extract_parts.filler(upstream, sources[0], arguments)(part)
        size = f"{cache.bytes() / 1e6:.1f} MB"
        print(f"{len(cache)} utterances, {size} in {cache.folder}")
    elif part != (0, 1):
        raise UserError(
            "--part is for --format cache: machines share a cache, not a file."
        )
    else:
        _write_files(upstream, sources[0], arguments)


def _part(text):
    try:
        part = tuple(map(int, text.split("/")))
        valid = len(part) == 2 and 0 <= part[0] < part[1]
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"--part is i/n with 0 <= i < n, not '{text}'")
    return part


def _plan(upstream, source, arguments):
    """Prints what an extraction would take."""
    from s3prl_sb.dataio.dataset import ManifestDataset
    from s3prl_sb.dataio.description import estimate
    from s3prl_sb.dataio.encoding_speed import encoding_speed
    from s3prl_sb.dataio.pipes import LoadAudio
    from s3prl_sb.feature_files.sources import records_of
    from s3prl_sb.startup import devices
    from s3prl_sb.terminal import quantities

    records = records_of(source, upstream.input_size)
    dataset = ManifestDataset(records, [LoadAudio(upstream.sample_rate)])
    is_cache, pooled = arguments.format == "cache", arguments.pooling is not None
    dtype = arguments.dtype or ("float16" if is_cache else "float32")
    kind = "pooled" if pooled else "frames"
    size = estimate(upstream, dataset, kind, arguments.layers, dtype)
    device = devices.chosen(arguments.device)
    speed, gflop = encoding_speed(upstream, dataset, device, kind, arguments.layers)
    seconds = sum(record["duration"] for record in records.values())
    print(
        f"{len(records)} utterances, {quantities.audio(seconds)} of audio; features of "
        f"{quantities.count(size * (1 + arguments.deltas), 'B')}, {kind} in {dtype}\n"
        f"{gflop:.3g} GFLOP a second of audio, {speed:.3g} times real time: about "
        f"{quantities.duration(seconds / speed)} in one process"
    )


def _write_files(upstream, source, arguments):
    from s3prl_sb.errors import UserError
    from s3prl_sb.feature_files.sources import records_of
    from s3prl_sb.feature_files.writing import Processing, write_features
    from s3prl_sb.startup import devices

    cmvn = arguments.cmvn
    if arguments.cmvn_stats and cmvn not in ("speaker", "global"):
        raise UserError("--cmvn_stats needs --cmvn global or --cmvn speaker.")
    total, computed = write_features(
        upstream,
        records_of(source, upstream.input_size),
        arguments.output,
        arguments.format,
        arguments.layers,
        arguments.dtype or "float32",
        Processing(arguments.deltas, cmvn, arguments.cmvn_stats, arguments.pooling),
        device=devices.chosen(arguments.device),
        num_processes=arguments.processes,
    )
    print(f"{total} utterances in {arguments.output}, of which {computed} are new")
