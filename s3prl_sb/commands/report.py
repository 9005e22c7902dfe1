"""``s3prl-sb report``: one page about runs or benchmarks, to open in a browser.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import sys
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.terminal import columns

PORT = 8520
HOST = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the verb.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of the verb.
    """
    parser.add_argument(
        "folder", nargs="+", help="a run or a benchmark; searched at any depth"
    )
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("report.html"),
        help="the page (default: report.html); another file of this name is kept",
    )
    parser.add_argument("--title", help="of the page (default: the folders)")
    parser.add_argument(
        "--audio",
        metavar="N",
        type=int,
        default=0,
        help="utterances of each run with sound and spectrogram (default: 0); the page "
        "may then pass 5 MB",
    )
    parser.add_argument(
        "--audio_root",
        metavar="OLD=NEW",
        action="append",
        default=[],
        help="audio that the manifests of the runs have in the folder OLD is in NEW "
        "now; may be given again",
    )
    parser.add_argument(
        "--worst",
        metavar="N",
        type=int,
        default=10,
        help="worst utterances of each run (default: 10)",
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="show published numbers also where runs do not compare with them",
    )
    parser.add_argument(
        "--serve",
        metavar="PORT",
        type=int,
        nargs="?",
        const=PORT,
        help="write no file, but serve a page that follows the runs, until Ctrl-C "
        f"(default: port {PORT}; 0: any)",
    )
    parser.add_argument(
        "--host",
        default=HOST,
        help=f"address to serve at (default: {HOST}: this machine alone)",
    )
    parser.add_argument(
        "--open", action="store_true", help="open the page in a browser"
    )


def main(arguments: argparse.Namespace) -> None:
    """Writes the page, or serves it.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :func:`add_arguments`.
    """
    from s3prl_sb.report import audio_roots, making
    from s3prl_sb.report.blocks import Options
    from s3prl_sb.storage.files import write_text

    for name in ("audio", "worst"):
        if getattr(arguments, name) < 0:
            raise UserError(f"--{name} {getattr(arguments, name)}: give 0 or more")
    options = Options(
        audio=arguments.audio,
        worst=arguments.worst,
        audio_roots=audio_roots.parsed(arguments.audio_root),
    )
    if arguments.serve is not None:
        from s3prl_sb.report import serving

        serving.serve(
            arguments.folder,
            options,
            arguments.title,
            arguments.published,
            arguments.host,
            arguments.serve,
            arguments.open,
        )
        return
    output = arguments.output.expanduser()
    check_output(output)
    made = making.make(arguments.folder, options, arguments.title, arguments.published)
    for fault in made.faults:
        print(f"s3prl-sb: {columns.visible(fault)}", file=sys.stderr)
    write_text(output, made.html)
    size = len(made.html.encode()) / 1e6
    count = f"{len(made.runs)} run{'s' * (len(made.runs) != 1)}"
    print(columns.visible(f"{output}: {count}, {size:.1f} MB"))
    if arguments.open:
        import webbrowser

        webbrowser.open(output.resolve().as_uri())


def check_output(path: Path) -> None:
    """Checks that a page may be written to a path.

    Arguments
    ---------
    path : Path
        The file.

    Raises
    ------
    UserError
        If something else than a report is there.
    """
    from s3prl_sb.report.page import is_report
    from s3prl_sb.storage.files import FileError

    if path.is_dir():
        raise FileError(f"'{path}' is a folder: give --output {path / 'report.html'}")
    if path.exists() and not (path.is_file() and is_report(path)):  # or a device
        raise FileError(
            f"'{path}' exists, and is no report of s3prl-sb: give another --output, or "
            "delete it."
        )
