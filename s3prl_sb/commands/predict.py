"""``s3prl-sb predict``: labels of audio files.

Authors
 * The s3prl_sb developers, 2026
"""


def add_arguments(parser):
    """Adds the arguments of the verb to its parser."""
    parser.add_argument("model", help="an export, or the output folder of a run")
    parser.add_argument("wav", nargs="+", help="wav, flac, ogg or mp3")
    parser.add_argument("--json", action="store_true", help="a line of JSON a file")
    parser.add_argument(
        "--output", help="folder to make: predictions.csv and .json, hyp.txt, hyp.rttm"
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, … (default: a GPU if there is one)"
    )


def main(arguments):
    """Prints the predictions of a model; returns the exit status."""
    from s3prl_sb.inference.predicting import predict

    options = arguments.device, arguments.json, arguments.output
    return 1 if predict(arguments.model, arguments.wav, *options) else 0
