"""Command line of ``s3prl-sb bench``, and of ``s3prl-sb superb``.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.engines import options


def add_arguments(parser):
    """Adds the arguments of ``bench``.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of the verb.
    """
    parser.add_argument(
        "suite", nargs="*", help="such as superb or hear, or your own suite.yaml"
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="only say what suites there are, with their tasks and budgets",
    )
    _add_common(
        parser,
        "such as KS SID; all: those of the suites (default); a suite: its own",
        "full (the benchmark's protocol), one of the suite's own such as mini (a "
        "laptop's), or a YAML file of keys of the recipes by task (default: full)",
    )


def add_superb_arguments(parser):
    """Adds the arguments of ``superb``, which names its suite.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of the verb.
    """
    parser.set_defaults(suite=["superb"], list=False)
    _add_common(
        parser,
        "such as KS SID; all: SUPERB's ten (default), sg: SUPERB-SG's five",
        "full (the benchmark's protocol), mini (a laptop's), or a YAML file of keys "
        "of the recipes by task (default: full)",
    )


def _add_common(parser, tasks, budget):
    parser.add_argument(
        "--upstream",
        nargs="+",
        action="extend",
        help="names from `s3prl-sb upstreams`, or your own card.yaml",
    )
    parser.add_argument(
        "--tasks",
        nargs="+",
        default=["all"],
        help=tasks,
    )
    parser.add_argument(
        "--data",
        help="a YAML file: for each task keys of its recipe, `KS: {data_folder: DIR}`; "
        "or `toy`, for small corpora made on the spot",
    )
    parser.add_argument("--output", type=Path, help="folder to make or complete")
    parser.add_argument(
        "--budget",
        default="full",
        help=budget,
    )
    parser.add_argument(
        "--lr_search",
        nargs="*",
        type=float,
        metavar="LR",
        help="choose the learning rate on the validation set, from 1e-1, 1e-2, … "
        "1e-5 unless others are given",
    )
    parser.add_argument(
        "--seeds", type=int, default=1, help="runs of each task (default: 1)"
    )
    parser.add_argument(
        "--seed", type=int, default=1986, help="the first of them (default: 1986)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        help="at a time (default: the number of GPUs, or of cores, up to 4; in a "
        "cluster, no limit)",
    )
    _add_plan(parser)
    _add_changes(parser.add_argument_group("one thing changed for all tasks"))
    options.add_arguments(parser)
    _add_output(parser.add_argument_group("output"))


def _add_plan(parser):
    parser.add_argument(
        "--plan",
        action="store_true",
        help="run nothing: say what the upstreams would encode, the caches and the "
        "hours, from a measurement of seconds on this machine for each task",
    )
    parser.add_argument(
        "--plan_as",
        nargs="+",
        metavar="KEY=VALUE",
        help="with --plan: figures of another machine. speed=2500: seconds of audio "
        "that its upstream encodes a second; updates=10: it trains heads 10 times as "
        "fast as this one",
    )


def _add_changes(group):
    group.add_argument(
        "--set",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
        help="keys of all recipes that have them, such as noise.snr=[0,15] "
        "scheduler=cosine, or of one: KS.lr=0.01",
    )
    group.add_argument(
        "--heads",
        nargs="+",
        metavar="HEAD",
        help="a row for each: names from `s3prl-sb heads`, your own FILE.py:CLASS, or "
        "default, the head of each recipe",
    )
    amounts = {
        "train_hours": (float, "HOURS", "this many hours of the training set"),
        "train_fraction": (float, "SHARE", "this share of it, such as 0.1"),
        "train_per_class": (int, "NUMBER", "this many utterances of each class"),
    }
    for name, (kind, metavar, what) in amounts.items():
        group.add_argument(
            f"--{name}", nargs="+", type=kind, metavar=metavar, help=f"a row for {what}"
        )
    group.add_argument(
        "--test_snr",
        nargs="+",
        type=float,
        metavar="DB",
        help="test each run also in noise, at these signal-to-noise ratios: 20 10 5 0",
    )
    group.add_argument(
        "--test_noise_folder",
        type=Path,
        metavar="DIR",
        help="recordings of the noise (default: white noise)",
    )


def _add_output(group):
    group.add_argument(
        "--table",
        metavar="OUTPUT",
        type=Path,
        help="only print the table of all that was run there",
    )
    group.add_argument(
        "--format",
        choices=("text", "markdown", "json"),
        default="text",
        help="of the table that is printed (default: text)",
    )
    group.add_argument(
        "--intervals",
        action="store_true",
        help="show the 95 %% intervals of the metrics in text, too; markdown and json "
        "have them",
    )
    group.add_argument(
        "--published",
        action="store_true",
        help="show published numbers also beside runs that do not compare with them: "
        "of another protocol, or of toys",
    )
