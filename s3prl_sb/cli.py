"""The console script ``s3prl-sb``: its verbs, and how they end.

A verb is a module with ``add_arguments`` and ``main``. None of them imports anything
heavy before its ``main`` is called, so ``--help`` is immediate.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import os
import sys
import types
from typing import NamedTuple

from s3prl_sb import __version__
from s3prl_sb.benchmark import command as bench
from s3prl_sb.benchmark import superb
from s3prl_sb.commands import (
    abx,
    check,
    check_head,
    cka,
    compare,
    completion,
    convert,
    download,
    export,
    extract,
    heads,
    layers,
    mix,
    new,
    pack,
    plot,
    predict,
    push,
    report,
    run,
    submit,
    toy,
    units,
    upstreams,
)
from s3prl_sb.errors import without_secrets
from s3prl_sb.foreign import trust
from s3prl_sb.processes import interruption
from s3prl_sb.runs import table as results
from s3prl_sb.scoring import command as score
from s3prl_sb.terminal import columns, logs


class Verb(NamedTuple):
    """Verb of the console script.

    Arguments
    ---------
    module : module
        Module with ``add_arguments(parser)`` and ``main(arguments)``.
    help : str
        Text in the list of verbs.
    description : str, optional
        First paragraph of the verb's own help.
    has_trust : bool
        Whether it takes ``--trust``.
    """

    module: types.ModuleType
    help: str
    description: str | None = None
    has_trust: bool = False


VERBS = {
    "run": Verb(
        run,
        "run a recipe: s3prl-sb run SUPERB/KS --upstream NAME --data_folder DIR",
        "Runs a recipe. What follows its name goes to its train.py: "
        "first a YAML file of your own, if you have one, then --key value for "
        "any key of it, --name NAME for a second setting beside the default folder, "
        "and SpeechBrain's options. s3prl-sb run KS --help prints all keys, and where "
        "their YAML file is.",
    ),
    "layers": Verb(
        layers,
        "probe every hidden state of an upstream alone, in one training",
        "Trains the probe of a recipe on each hidden state of a frozen upstream, and "
        "on their weighted sum: a table, layers.csv, layers.json and a figure of the "
        "scores beside the weights. Each probe learns what it would in a run of its "
        "own (--featurizer.layers N). Any key of the recipe may follow its name: "
        "s3prl-sb run KS --help prints them. Killed and run again, it goes on where "
        "it was.",
    ),
    "bench": Verb(
        bench,
        "run benchmarks of a suite: its tasks for some upstreams, and their table",
        "Runs what is missing of one or several suites, goes on with what was "
        "interrupted, and prints a table with a block for each. --list says what "
        "suites there are.",
        has_trust=True,
    ),
    "superb": Verb(
        superb,
        "run the benchmark: all tasks of some upstreams, and its table",
        "Runs what is missing of the SUPERB benchmark, goes on with what "
        "was interrupted, and prints the table.",
        has_trust=True,
    ),
    "upstreams": Verb(
        upstreams,
        "list the upstreams that have a card",
        "On a terminal a table with the columns that fit, in a pipe plain names.",
    ),
    "trust": Verb(
        trust,
        "let the code in a folder of your own run",
        "A card, a run or an export is data: Python files beside it and "
        "what its YAML calls run only if its folder, or one around it, is trusted.",
    ),
    "check": Verb(check, "check that an upstream keeps the contract", has_trust=True),
    "heads": Verb(
        heads,
        "list the downstream networks that have a name",
        "For --head NAME of any recipe that they fit, and --pooling NAME.",
    ),
    "check-head": Verb(
        check_head,
        "check that a downstream network keeps the contract",
        "Makes it several times and runs it on a random batch, on the CPU.",
    ),
    "extract": Verb(
        extract,
        "write the features of a list of audio files",
        "Runs a frozen upstream over every utterance of a manifest. "
        "Killed and run again, it goes on where it was. Read the result with "
        "s3prl_sb.dataio.cache.FeatureCache.",
        has_trust=True,
    ),
    "units": Verb(
        units,
        "turn speech into discrete units, by k-means: fit, apply, quality",
        "Units are the targets of HuBERT's pre-training: "
        "s3prl-sb units fit --upstream mfcc_hubert --clusters 100 --data DIR --output "
        "MODEL, then s3prl-sb units apply MODEL --data DIR --output UNITS.",
    ),
    "cka": Verb(
        cka,
        "compare the hidden states of one or two upstreams",
        "Linear centred kernel alignment of every pair of hidden states, over the "
        "frames of a folder or a list of audio.",
        has_trust=True,
    ),
    "abx": Verb(
        abx,
        "measure how well hidden states discriminate phones",
        "The ABX error of every hidden state, within and across speakers: "
        "s3prl-sb abx --upstream NAME --manifest DIR --items FILE --output OUT.",
        has_trust=True,
    ),
    "convert": Verb(
        convert,
        "write a checkpoint as safetensors, with a card",
        "Makes a folder of model.safetensors and card.yaml, which loads "
        "the same features: --upstream FOLDER/card.yaml.",
        has_trust=True,
    ),
    "export": Verb(
        export,
        "make a finished run loadable elsewhere",
        "Makes a folder with all that inference needs: "
        "s3prl_sb.inference.load(FOLDER), or s3prl-sb predict FOLDER a.wav.",
        has_trust=True,
    ),
    "push": Verb(
        push,
        "put an export on the Hugging Face hub, with a model card",
        "Makes the card from results.json and sends the export, without paths of this "
        "machine: s3prl_sb.inference.load(NAME), or s3prl-sb predict NAME a.wav, take "
        "it back. Log in with `hf auth login` first. Killed and run again, it resumes.",
        has_trust=True,
    ),
    "predict": Verb(
        predict,
        "label audio files",
        "A line a file. Of verification and query by example the first "
        "file is compared with, or searched in, the others. A file that cannot be read "
        "is named, and the others are labelled.",
        has_trust=True,
    ),
    "submit": Verb(
        submit,
        "write the files of a submission to SUPERB's leaderboard",
        "From the finished runs of one upstream: predict/ and predict.zip, as S3PRL's "
        "submit.py makes them. Checks names, numbers of lines and measures; tasks "
        "without a run are left out.",
    ),
    "plot": Verb(
        plot,
        "draw audio: its spectrogram, hidden states, attention, prediction",
        "Of an audio file: waveform, spectrogram, with --upstream the hidden states, "
        "with --run the prediction over time. Of a run: the learned weights of the "
        "hidden states.",
        has_trust=True,
    ),
    "score": Verb(
        score,
        "measure an export or a run on a new list",
        "Leaves the metrics, predictions.csv and what else a test leaves "
        "in a folder of their own; results.json there says what was tested. Other "
        "keys of the recipe may follow, such as --test_split or --lm FILE.",
        has_trust=True,
    ),
    "results": Verb(
        results,
        "a table of finished runs",
        "A row for each results.json: what the runs differ in, the metric "
        "of the test set, whether the protocol is the recipe's. Files that cannot be "
        "read are named, and the others are listed; the exit status is 1 only if "
        "there are no others.",
    ),
    "report": Verb(
        report,
        "make one page of runs: tables, curves, worst utterances, differences",
        "Makes a self-contained page of runs, or of the output of a benchmark: it "
        "loads nothing from elsewhere, and can be sent to others. --serve follows a "
        "running benchmark instead.",
    ),
    "compare": Verb(
        compare,
        "compare two runs of a task, or the seeds of two, with intervals",
        "The difference of each metric with its interval by the paired bootstrap over "
        "what the test set is a sample of (utterances, speakers, recordings), the "
        "settings that differ, and the utterances where both differ most. Several "
        "runs in a folder are seeds, whose metrics are averaged.",
    ),
    "pack": Verb(
        pack,
        "copy the audio of manifests into a few tars",
        "A few large files suit the file systems and object stores of many machines. "
        "Utterances stay accessible one by one, and cached features stay valid. "
        "Killed and run again, it goes on where it was.",
    ),
    "download": Verb(
        download,
        "fetch a corpus whose licence lets anyone do so",
        "Broken off and run again, it goes on where it was.",
    ),
    "mix": Verb(
        mix,
        "mix scenes of speakers and sounds, with exact times",
        "Makes a folder of scenes for Scenes/recognition: --data_folder DEST. Speakers "
        "and recordings of sounds are disjoint between the sets. A scene is a function "
        "of the seed, its set and its number. Killed and run again, it continues.",
    ),
    "toy": Verb(toy, "let the machine speak a small corpus"),
    "new": Verb(
        new,
        "start an upstream, a corpus or a task of your own",
        "Makes files that work, and whose tests pass, to be changed into yours: in a "
        "checkout where they belong, elsewhere in a folder.",
    ),
    "completion": Verb(
        completion,
        "let the shell complete verbs, recipes, keys and upstreams",
        "Prints a script: s3prl-sb completion bash >> ~/.bashrc.",
    ),
}


def main(argv: list[str] | None = None) -> int:
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
    if argv[:1] == ["run"] and argv[1:2] not in ([], ["-h"], ["--help"], ["--list"]):
        return run.run_recipe(argv[1], argv[2:])  # the recipe parses the rest
    top = parser()
    if argv[:1] == ["bench"] and {"-h", "--help"} & set(argv):
        print(_help_of_bench(top, argv[1:]))
        return 0
    if argv[:2] == ["completion", completion.WORDS]:  # which may be any words
        print("\n".join(completion.candidates(argv[2:], top)))
        return 0
    arguments, rest = top.parse_known_args(argv)
    if rest and arguments.verb not in (_score, layers.main):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    logs.to_console("stderr")
    interruption.heed()
    try:
        with trust.trusting(getattr(arguments, "trust", False)):
            status = arguments.verb(arguments) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader has enough: `s3prl-sb upstreams | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # a card's class may raise anything
        if os.environ.get("S3PRL_SB_TRACEBACK"):
            raise
        message = columns.visible(without_secrets(str(error)), keep="\n")
        print(f"s3prl-sb: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        command, verb = ["s3prl-sb", *argv], argv[0] if argv else ""
        print(f"\n{interruption.words(error, command, verb)}", file=sys.stderr)
        return interruption.status(error)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of all verbs."""
    top = argparse.ArgumentParser(
        prog="s3prl-sb",
        description="Self-supervised speech models and the SUPERB benchmark.",
        epilog="S3PRL_SB_TRACEBACK=1 shows where an error comes from.",
    )
    top.add_argument("--version", action="version", version=__version__)
    verbs = top.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, verb in VERBS.items():
        sub = verbs.add_parser(name, help=verb.help, description=verb.description)
        verb.module.add_arguments(sub)
        sub.set_defaults(verb=_score if verb.module is score else verb.module.main)
        if verb.has_trust:
            sub.add_argument(
                trust.FLAG,
                action="store_true",
                help="run the code that comes with a card",
            )
    return top


def _help_of_bench(top, words):
    """Returns the help of a verb, with what the suites are that are named."""
    from s3prl_sb.benchmark import listing

    verbs = next(a.choices for a in top._actions if isinstance(a.choices, dict))
    return f"{verbs['bench'].format_help()}\n{listing.for_help(words)}"


def _score(arguments):
    """Passes keys of the recipe on, which this parser does not know."""
    score.main(arguments, arguments.rest)


if __name__ == "__main__":
    sys.exit(main())
