"""The console script ``s3prl-sb``.

Nothing heavy is imported before a verb needs it: ``--help`` is immediate.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import os
import shutil
import sys

from s3prl_sb import __version__, resources
from s3prl_sb.commands import completion, extracting, new
from s3prl_sb.commands.launching import listed, run
from s3prl_sb.foreign import trust
from s3prl_sb.processes import interruption
from s3prl_sb.runs import table as results_table
from s3prl_sb.scoring import command as scoring
from s3prl_sb.superb import command as superb
from s3prl_sb.terminal import columns, logs


def main(argv=None):
    """Runs the script.

    Arguments
    ---------
    argv : list of str, optional
        Default: the command line.

    Returns
    -------
    int
        Exit status.
    """
    columns.show_all(sys.stdout, sys.stderr)
    argv = sys.argv[1:] if argv is None else argv
    apart = ([], ["-h"], ["--help"], ["--list"])
    if argv[:1] == ["run"] and argv[1:2] not in apart:
        return run(argv[1], argv[2:])  # what follows belongs to the recipe
    top = parser()
    if argv[:2] == ["completion", completion.WORDS]:  # which may be any words
        print("\n".join(completion.candidates(argv[2:], top)))
        return 0
    arguments, rest = top.parse_known_args(argv)
    if rest and arguments.verb is not score:
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    logs.to_console("stderr")
    interruption.heed()
    try:
        with trust.given(getattr(arguments, "trust", False)):
            status = arguments.verb(arguments) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader has enough: `s3prl-sb upstreams | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a card's class may raise anything
        if os.environ.get("S3PRL_SB_TRACEBACK"):
            raise
        message = columns.visible(str(error), keep="\n")
        print(f"s3prl-sb: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        command, verb = ["s3prl-sb", *argv], argv[0] if argv else ""
        print(f"\n{interruption.words(error, command, verb)}", file=sys.stderr)
        return interruption.status(error)


def parser():
    """The arguments of all verbs.

    Returns
    -------
    argparse.ArgumentParser
    """
    top = argparse.ArgumentParser(
        prog="s3prl-sb",
        description="Self-supervised speech models and the SUPERB benchmark.",
        epilog="S3PRL_SB_TRACEBACK=1 shows where an error comes from.",
    )
    top.add_argument("--version", action="version", version=__version__)
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True)

    verb = verbs.add_parser(
        "run",
        help="run a recipe: s3prl-sb run SUPERB/KS --upstream NAME --data_folder DIR",
        description="Runs a recipe. What follows its name goes to its train.py: "
        "first a YAML file of your own, if you have one, then --key value for "
        "any key of it, --name NAME for a second setting beside the default folder, "
        "and SpeechBrain's options. s3prl-sb run KS --help prints all keys, and where "
        "their YAML file is.",
        epilog="Recipes: " + ", ".join(resources.recipes()),
    )
    verb.add_argument(
        "recipe", nargs="?", help="its name: SUPERB/KS, KS, ks; or your own folder"
    )
    verb.add_argument("--list", action="store_true", help="say what each recipe is")
    verb.set_defaults(verb=recipes)

    verb = verbs.add_parser(
        "superb",
        help="run the benchmark: all tasks of some upstreams, and its table",
        description="Runs what is missing of the SUPERB benchmark, goes on with what "
        "was interrupted, and prints the table.",
    )
    superb.add_arguments(verb)
    verb.set_defaults(verb=superb.main)

    verb = verbs.add_parser(
        "upstreams",
        help="list the upstreams that have a card",
        description="On a terminal a table with the columns that fit, in a pipe "
        "plain names.",
    )
    verb.add_argument("pattern", nargs="?", default="*", help="such as 'hubert*'")
    form = verb.add_mutually_exclusive_group()
    for name, what in (
        ("names", "names alone"),
        ("table", "the table, in a pipe with all columns"),
        ("markdown", "all columns as a table in Markdown"),
        ("json", "exact sizes, addresses and all"),
    ):
        form.add_argument(
            f"--{name}", dest="form", action="store_const", const=name, help=what
        )
    verb.set_defaults(verb=upstreams)

    verb = verbs.add_parser(
        "trust",
        help="let the code in a folder of your own run",
        description="A card, a run or an export is data: Python files beside it and "
        "what its YAML calls run only if its folder, or one around it, is trusted.",
    )
    trust.add_arguments(verb)
    verb.set_defaults(verb=trust.main)

    verb = verbs.add_parser("check", help="check that an upstream keeps the contract")
    verb.add_argument("card", help="name of a card, or your own card.yaml")
    verb.add_argument(
        "--random",
        action="store_true",
        help="with random weights, without its checkpoint",
    )
    verb.set_defaults(verb=check)

    verb = verbs.add_parser(
        "extract",
        help="write the features of a list of audio files",
        description="Runs a frozen upstream over every utterance of a manifest. "
        "Killed and run again, it goes on where it was. Read the result with "
        "s3prl_sb.dataio.cache.FeatureCache.",
    )
    extracting.add_arguments(verb)
    verb.set_defaults(verb=extracting.main)

    verb = verbs.add_parser(
        "convert",
        help="write a checkpoint as safetensors, with a card",
        description="Makes a folder of model.safetensors and card.yaml, which loads "
        "the same features: --upstream FOLDER/card.yaml.",
    )
    verb.add_argument(
        "checkpoint", help="a file, folder, address, Hugging Face id, or a card's name"
    )
    verb.add_argument("destination", help="folder to make")
    verb.add_argument(
        "--upstream",
        help="a card of its family (default: the first that can read it)",
    )
    verb.add_argument(
        "--force", action="store_true", help="replace an earlier conversion"
    )
    verb.set_defaults(verb=convert)

    verb = verbs.add_parser(
        "export",
        help="make a finished run loadable elsewhere",
        description="Makes a folder with all that inference needs: "
        "s3prl_sb.inference.load(FOLDER), or s3prl-sb predict FOLDER a.wav.",
    )
    verb.add_argument("run", help="its output folder")
    verb.add_argument("destination", help="folder to make")
    verb.add_argument("--force", action="store_true", help="replace an earlier export")
    verb.set_defaults(verb=export)

    verb = verbs.add_parser(
        "predict",
        help="label audio files",
        description="A line a file. Of verification and query by example the first "
        "file is compared with, or searched in, the others. A file that cannot be read "
        "is named, and the others are labelled.",
    )
    verb.add_argument("model", help="an export, or the output folder of a run")
    verb.add_argument("wav", nargs="+", help="wav, flac, ogg or mp3")
    verb.add_argument("--json", action="store_true", help="a line of JSON a file")
    verb.add_argument(
        "--output", help="folder to make: predictions.csv and .json, hyp.txt, hyp.rttm"
    )
    verb.add_argument(
        "--device", default="auto", help="cpu, cuda, … (default: a GPU if there is one)"
    )
    verb.set_defaults(verb=predict)

    verb = verbs.add_parser(
        "score",
        help="measure an export or a run on a new list",
        description="Leaves the metrics, predictions.csv and what else a test leaves "
        "in a folder of their own; results.json there says what was tested. Other "
        "keys of the recipe may follow, such as --test_split or --lm FILE.",
    )
    scoring.add_arguments(verb)
    verb.set_defaults(verb=score)

    verb = verbs.add_parser(
        "results",
        help="a table of finished runs",
        description="A row for each results.json: what the runs differ in, the metric "
        "of the test set, whether the protocol is the recipe's. Files that cannot be "
        "read are named, and the others are listed; the exit status is 1 only if "
        "there are no others.",
    )
    results_table.add_arguments(verb)
    verb.set_defaults(verb=results_table.main)

    verb = verbs.add_parser(
        "download",
        help="fetch a corpus whose licence lets anyone do so",
        description="Broken off and run again, it goes on where it was.",
    )
    verb.add_argument("corpus", help="such as librispeech; an unknown name lists all")
    verb.add_argument("destination", help="folder to make or complete")
    verb.set_defaults(verb=download)

    verb = verbs.add_parser("toy", help="let the machine speak a small corpus")
    verb.add_argument("corpus", help="such as librispeech; an unknown name lists all")
    verb.add_argument("destination", help="folder to make")
    verb.add_argument(
        "--seed", type=int, default=0, help="another one, another corpus (default: 0)"
    )
    verb.set_defaults(verb=toy)

    verb = verbs.add_parser(
        "new",
        help="start an upstream, a corpus or a task of your own",
        description="Makes files that work, and whose tests pass, to be changed into "
        "yours: in a checkout where they belong, elsewhere in a folder.",
    )
    new.add_arguments(verb)
    verb.set_defaults(verb=new.main)

    verb = verbs.add_parser(
        "completion",
        help="let the shell complete verbs, recipes, keys and upstreams",
        description="Prints a script: s3prl-sb completion bash >> ~/.bashrc.",
    )
    verb.add_argument("shell", choices=completion.SHELLS)
    verb.set_defaults(
        verb=lambda arguments: print(completion.script(arguments.shell), end="")
    )
    for name in ("superb", "check", "extract", "convert", "export", "predict", "score"):
        verbs.choices[name].add_argument(
            trust.FLAG, action="store_true", help="run the code that comes with a card"
        )
    return top


def recipes(arguments):
    """Says what each recipe is."""
    if not arguments.list:
        raise ValueError("run needs the name of a recipe; run --list says them all")
    print("\n".join(listed()))


def upstreams(arguments):
    """Prints the names of cards, or what is known of them."""
    from s3prl_sb.lobes.upstreams import names

    found, terminal = names(arguments.pattern), sys.stdout.isatty()
    if not found:
        raise ValueError(f"no upstream is called '{arguments.pattern}'")
    form = arguments.form or ("table" if terminal else "names")
    if form == "names":
        print("\n".join(found))
        return
    from s3prl_sb.lobes.cards import catalogue

    rows = [catalogue.facts(name) for name in found]
    if form == "table":
        width = shutil.get_terminal_size().columns if terminal else None
        print(catalogue.as_text(rows, width))
    else:
        print(getattr(catalogue, f"as_{form}")(rows))


def check(arguments):
    """Prints what check_upstream found."""
    from s3prl_sb.lobes.cards.check import check_upstream
    from s3prl_sb.lobes.upstreams import card, load

    has_source = "source" in card(arguments.card)
    overrides = {"source": None} if arguments.random and has_source else {}
    for line in check_upstream(load(arguments.card, **overrides)):
        print(f"ok  {line}")


def convert(arguments):
    """Converts a checkpoint."""
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


def export(arguments):
    """Exports a run."""
    from s3prl_sb import inference

    run, destination = arguments.run, arguments.destination
    print(inference.export(run, destination, force=arguments.force))


def predict(arguments):
    """Prints what a model says of audio files."""
    from s3prl_sb.inference.predicting import predict

    options = arguments.device, arguments.json, arguments.output
    return 1 if predict(arguments.model, arguments.wav, *options) else 0


def score(arguments):
    """Measures a model on a list."""
    scoring.main(arguments, arguments.rest)


def download(arguments):
    """Fetches a corpus."""
    from s3prl_sb.corpora import downloads

    print(downloads.downloader(arguments.corpus)(arguments.destination))


def toy(arguments):
    """Speaks a corpus."""
    from s3prl_sb.corpora import toys

    print(toys.make(arguments.corpus, arguments.destination, seed=arguments.seed))


if __name__ == "__main__":
    sys.exit(main())
