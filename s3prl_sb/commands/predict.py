"""``s3prl-sb predict``: labels of audio files.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.errors import UserError

#: Formats of timelines, those of :data:`s3prl_sb.dataio.timeline.FORMATS`.
FORMATS = ("text", "jsonl", "rttm", "seglst", "audacity", "tsv")


class PredictError(UserError, ValueError):
    """Arguments that do not go together."""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument(
        "model",
        help="an export, the output folder of a run, or owner/name on the hub, "
        "optionally with @REVISION",
    )
    parser.add_argument("wav", nargs="+", help="wav, flac, ogg or mp3")
    parser.add_argument("--json", action="store_true", help="a line of JSON a file")
    parser.add_argument(
        "--output", help="folder to make: predictions.csv and .json, hyp.txt, hyp.rttm"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="of models that predict when something is heard: how to print it",
    )
    parser.add_argument(
        "--plot", metavar="PNG", help="of such models: a picture of one file to write"
    )
    parser.add_argument(
        "--html", metavar="HTML", help="of such models: a page with a player to write"
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, … (default: a GPU if there is one)"
    )


def main(arguments):
    """Prints the predictions of a model; returns the exit status."""
    from s3prl_sb.inference.predicting import predict

    if arguments.json and arguments.format:
        raise PredictError("--json prints all that is predicted; leave out --format.")
    if arguments.format == "audacity" and len(arguments.wav) > 1:
        raise PredictError(
            "--format audacity: its labels do not say which file they are of. Give one "
            "file, or --output, which writes a file for each."
        )
    options = arguments.device, arguments.json, arguments.output, arguments.format
    draw = _draw(arguments)
    return 1 if predict(arguments.model, arguments.wav, *options, draw) else 0


def _draw(arguments):
    """Returns a function of a timeline that draws it, or None. What cannot be drawn is
    an error before the model is loaded."""
    names = {".png": arguments.plot, ".html": arguments.html}
    names = {ending: Path(name) for ending, name in names.items() if name}
    if not names:
        return None
    if len(arguments.wav) > 1:
        raise PredictError("--plot and --html draw one file: give one.")
    from s3prl_sb.plotting.picture import Picture
    from s3prl_sb.plotting.timeline_page import write_timeline_page
    from s3prl_sb.storage.files import make_folder

    (wav,) = arguments.wav
    for ending, name in names.items():
        if name.suffix.lower() != ending:
            option = "--plot" if ending == ".png" else "--html"
            raise PredictError(f"{option} '{name}' has to end with {ending}.")
        make_folder(name.parent, "Choose another file.")
    if ".png" in names:
        Picture(wav).check(names[".png"])

    def draw(items):
        if ".png" in names:
            Picture(wav, timeline=items).save(names[".png"])
        if ".html" in names:
            write_timeline_page(names[".html"], wav, items)

    return draw
