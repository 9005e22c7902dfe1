"""``s3prl-sb extract --engine slurm|ray``: parts of a cache, in a cluster.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from pathlib import Path

from s3prl_sb.engines import options
from s3prl_sb.errors import UserError

FOLDER = ".jobs"  # in the output, with the logs
PARTS = 4  # for each actor: a free one takes the next part
#: Arguments that a part does not take over.
MINE = {"audio", "manifest", "engine", "slurm", "ray", "address", "dry_run", "jobs"}
MINE |= {"part", "plan", "verb", "rest"}


def run(source, arguments):
    """Extracts features in a cluster.

    Arguments
    ---------
    source : str
        The audio.
    arguments : argparse.Namespace
        Values of the arguments of ``s3prl-sb extract``.

    Returns
    -------
    int
        1 if a part has failed.
    """
    if arguments.format != "cache":
        raise UserError(
            f"--engine {arguments.engine} is for --format cache: jobs share a cache, "
            "not a file."
        )
    if arguments.part != "0/1":
        raise UserError("--part belongs to --engine local; here --jobs N.")
    if arguments.jobs is not None and arguments.jobs < 1:
        raise UserError(f"--jobs {arguments.jobs}: give 1 or more.")
    if arguments.engine == "ray":
        return _on_actors(source, arguments)
    if arguments.jobs is None:
        raise UserError("--engine slurm needs --jobs N, the number of parts.")
    return _as_array(source, arguments)


def _as_array(source, arguments):
    """Runs the parts as jobs."""
    from s3prl_sb.engines.jobs import Job
    from s3prl_sb.identity import digest
    from s3prl_sb.storage.locks import Lock

    words, count = command(source, arguments), arguments.jobs
    folder = Path(arguments.output).expanduser().resolve() / FOLDER
    place = folder / digest(words)[:8]  # of this extraction alone
    jobs = [
        Job(
            name=f"part {number}/{count}",
            folder=place / f"{number}-{count}",
            command=lambda number=number: [*words, "--part", f"{number}/{count}"],
        )
        for number in range(count)
    ]
    engine = options.cluster(arguments, folder)
    if arguments.dry_run:
        return engine.run(jobs)
    lock = Lock(place / "extract.lock")
    if not lock.acquire(wait=False):
        raise UserError(f"The same extraction is at work already: {lock.holder()}.")
    try:
        engine.run(jobs)
    finally:
        lock.release()
    failed = [job for job in jobs if job.state != "done"]
    if not failed:
        print(f"all {count} parts are in {arguments.output}")
    return 1 if failed else 0


def command(source, arguments):
    """Returns the command that extracts the same features on one machine.

    Arguments
    ---------
    source : str
        The audio.
    arguments : argparse.Namespace
        Values of the arguments of ``s3prl-sb extract``.

    Returns
    -------
    list of str

    Example
    -------
    >>> import argparse
    >>> given = argparse.Namespace(upstream="mel", layers=[1, 2], trust=True, jobs=3)
    >>> " ".join(command("wavs", given)[3:])
    'extract --manifest=wavs --upstream=mel --layers 1 2 --trust'
    """
    words = [sys.executable, "-m", "s3prl_sb.cli", "extract", f"--manifest={source}"]
    for name, value in vars(arguments).items():
        if name in MINE or value is None or value is False:
            continue
        if value is True:
            words.append(f"--{name}")
        elif isinstance(value, list):
            words += [f"--{name}", *map(str, value)]
        else:
            words.append(f"--{name}={value}")
    return words


def _on_actors(source, arguments):
    """Lets actors pull the parts."""
    from s3prl_sb.engines.actors import pull
    from s3prl_sb.engines.ray import Connection
    from s3prl_sb.terminal import progress

    arguments.verb = None  # a function, and the rest of the command line
    with Connection(arguments.address) as ray:
        there, given = ray.cluster_resources(), options.values(arguments.ray)
        count = arguments.jobs or int(there.get("GPU", 0) or there.get("CPU", 1))
        total = PARTS * count
        parts = [f"part {number}/{total}" for number in range(total)]
        with progress.bar(desc="Extracting", total=total, unit="part") as bar:
            pull(
                _part_of,
                (source, arguments),
                parts,
                count,
                given,
                ended=lambda *_: bar.update(1),
            )
    print(f"the features are in {arguments.output}")
    return 0


def _part_of(source, arguments):
    """Returns the function of a part; an actor of Ray holds it, and the upstream."""
    from s3prl_sb.commands import extract_parts
    from s3prl_sb.foreign import trust

    with trust.trusting(getattr(arguments, "trust", False)):
        upstream = extract_parts.model(arguments)
        fill = extract_parts.filler(upstream, source, arguments)
    opened = {}

    def work(name):
        number, total = map(int, name.split()[1].split("/"))
        return len(fill((number, total), progressbar=False, opened=opened))

    return work
