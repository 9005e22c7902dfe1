"""``s3prl-sb plot``: pictures of audio files and of runs.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.errors import UserError


class PlotError(UserError, ValueError):
    """Arguments without a picture."""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("what", help="an audio file; or a run, for its learned weights")
    parser.add_argument("--upstream", help="a card's name or file: hidden states")
    parser.add_argument("--source", help="a checkpoint, instead of the card's")
    parser.add_argument("--run", help="a run or an export: its prediction")
    parser.add_argument(
        "--show",
        nargs="+",
        choices=("states", "similarity", "attention"),
        help="of the hidden states: heat maps (default with --upstream), the "
        "similarity of all frames; or the attention",
    )
    parser.add_argument(
        "--layers", type=int, nargs="+", help="hidden states (default: all)"
    )
    parser.add_argument(
        "--heads", type=int, nargs="+", help="of the attention (default: their mean)"
    )
    parser.add_argument(
        "--labels", help="segments to draw: TextGrid, RTTM, CTM, Audacity, PHN, CSV, …"
    )
    parser.add_argument("--tier", help="of a TextGrid with several")
    parser.add_argument("--start", type=float, help="seconds")
    parser.add_argument("--stop", type=float, help="seconds")
    parser.add_argument(
        "--output",
        help="a .png of up to a minute, or an .html of any length, with a player "
        "(default: the name of the file with .png, here)",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, … (default: a GPU if there is one)"
    )


def main(arguments):
    """Draws a picture."""
    source = Path(arguments.what)
    output = Path(arguments.output or f"{source.resolve().stem}.png")
    try:
        if source.is_dir():
            _plot_weights(arguments, output)
        else:
            _plot_audio(arguments, output)
    except UserError:
        raise
    except OSError as error:
        raise PlotError(
            f"'{output}' cannot be written: {error.strerror or error}. Choose another "
            "--output."
        ) from error
    print(output)


def _plot_weights(arguments, output):
    from s3prl_sb import inference
    from s3prl_sb.brains import plots

    names = "upstream source run show layers heads labels tier start stop".split()
    useless = [f"--{name}" for name in names if getattr(arguments, name) is not None]
    if useless:
        raise PlotError(
            f"{', '.join(useless)}: of an audio file. Of a run, '{arguments.what}', "
            "the learned weights are drawn."
        )
    if output.suffix.lower() != ".png":
        raise PlotError(f"'{output}': the weights of a run are drawn as .png.")
    model = inference.load(arguments.what)
    if "featurizer" not in model.mods or len(model.mods.featurizer.layers) == 1:
        raise PlotError(
            f"'{arguments.what}' has no learned weights: it takes one hidden state."
        )
    featurizer = model.mods.featurizer
    weights = featurizer.weights.tolist()
    title = f"{Path(arguments.what)} · learned weights"
    plots.layer_weights(output, featurizer.layers, weights, title)


def _plot_audio(arguments, output):
    from s3prl_sb import inference
    from s3prl_sb.lobes.upstreams import load
    from s3prl_sb.plotting.picture import Picture, read_segments
    from s3prl_sb.startup import devices
    from s3prl_sb.storage.files import make_folder

    wav, upstream, model, segments = arguments.what, None, None, None
    _check_options(arguments)
    if not arguments.output and output.resolve() == Path(wav).resolve():
        raise PlotError(f"'{wav}' is a picture; name an audio file or a run.")
    make_folder(output.parent, "Choose another --output.")
    device = devices.chosen(arguments.device)
    if arguments.labels:
        segments = read_segments(arguments.labels, wav, arguments.tier)
    if arguments.run:
        model = inference.load(arguments.run, run_opts={"device": device})
    if arguments.upstream:
        overrides = {"source": arguments.source} if arguments.source else {}
        upstream = load(arguments.upstream, freeze=True, **overrides).to(device)
    names = [Path(wav).name, arguments.upstream, arguments.run]
    picture = Picture(
        wav,
        upstream,
        model,
        arguments.show or (["states"] if arguments.upstream else []),
        arguments.layers,
        arguments.heads,
        segments,
    )
    title = " · ".join(str(name) for name in names if name)
    picture.save(output, arguments.start, arguments.stop, title)


def _check_options(arguments):
    """Raises PlotError for an option that another one lacks: it would do nothing."""
    shown = arguments.show or ()
    needed = {
        "source": ("--upstream NAME", arguments.upstream),
        "layers": ("--upstream NAME or --show", arguments.upstream or shown),
        "heads": ("--show attention", "attention" in shown),
        "tier": ("--labels FILE", arguments.labels),
    }
    for name, (other, is_there) in needed.items():
        if getattr(arguments, name) is not None and not is_there:
            raise PlotError(f"--{name} needs {other}.")
