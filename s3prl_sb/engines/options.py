"""Command line of the engines, the same for all verbs that have jobs.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.errors import UserError

ENGINES = ("local", "slurm", "ray")


def add_arguments(parser):
    """Adds the arguments of engines to the parser of a verb.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of the verb.
    """
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--engine",
        choices=ENGINES,
        default="local",
        help="where jobs run: on this machine, or in a cluster (default: local)",
    )
    group.add_argument(
        "--slurm",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
        help="options of sbatch for each job: partition=gpu time=8:00:00 "
        "gpus_per_node=1 cpus_per_task=8 mem=32G account=NAME, any other, and "
        "setup='module load …', array_parallelism=N of submitit",
    )
    group.add_argument(
        "--dry_run",
        action="store_true",
        help="with --engine slurm: print the script of the first jobs, submit nothing",
    )
    group.add_argument(
        "--ray",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
        help="resources of each job: num_gpus=1 num_cpus=8 (default: one CPU, and one "
        "GPU if there are any)",
    )
    group.add_argument(
        "--address",
        help="of a Ray cluster to join: auto, HOST:PORT (default: $RAY_ADDRESS, or a "
        "new one on this machine)",
    )


def check(arguments):
    """Checks that only options of the chosen engine are given.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :func:`add_arguments`.

    Raises
    ------
    UserError
        For an option of another engine.
    """
    owners = {"slurm": "slurm", "dry_run": "slurm", "ray": "ray", "address": "ray"}
    for name, engine in owners.items():
        if getattr(arguments, name) and arguments.engine != engine:
            raise UserError(f"--{name} belongs to --engine {engine}: give that too.")


def values(pairs):
    """Returns the values of ``KEY=VALUE``: numbers, booleans, else texts.

    Arguments
    ---------
    pairs : list of str
        The words of the command line.

    Returns
    -------
    dict
        A key that is given twice has the list of its values if it is ``setup``.

    Raises
    ------
    UserError
        For a word without ``=``.

    Example
    -------
    >>> values(["partition=gpu", "num_gpus=0.5", "exclusive=true", "time=1:00:00"])
    {'partition': 'gpu', 'num_gpus': 0.5, 'exclusive': True, 'time': '1:00:00'}
    """
    found = {}
    for pair in pairs or ():
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise UserError(f"'{pair}' is not KEY=VALUE, such as partition=gpu.")
        if key == "setup":
            found.setdefault(key, []).append(text)
        else:
            found[key] = _value(text)
    return found


def _value(text):
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text:  # a partition may be called 007, or 1e5
            return value
    return text


def cluster(arguments, folder):
    """Returns the engine of a cluster.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :func:`add_arguments`, and ``jobs``.
    folder : pathlib.Path
        Folder for the files of the engine.

    Returns
    -------
    s3prl_sb.engines.engine.Engine
    """
    if arguments.engine == "slurm":
        from s3prl_sb.engines.slurm import Slurm

        options = values(arguments.slurm)
        return Slurm(folder / "slurm", options, arguments.jobs, arguments.dry_run)
    from s3prl_sb.engines.ray import Ray

    return Ray(values(arguments.ray), arguments.address, arguments.jobs)
