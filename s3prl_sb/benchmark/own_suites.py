"""Copies of the user's suites in the folder of a benchmark, whose table needs them.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.runs import suites
from s3prl_sb.storage.files import read_text, write_text

FOLDER = "suites"


def keep(output, names):
    """Copies the files of suites, unless they are of this package.

    Arguments
    ---------
    output : pathlib.Path
        Folder of the benchmark.
    names : list of str
        Names of suites.
    """
    for name in names:
        file, copy = suites.suite(name).file, Path(output) / FOLDER / f"{name}.yaml"
        if suites.is_own(name) and file != copy.resolve():
            write_text(copy, read_text(file, suites.WHAT))


def recall(output):
    """Makes the suites of earlier commands known, unless there are newer ones.

    Arguments
    ---------
    output : pathlib.Path
        Folder of the benchmark.
    """
    for copy in sorted((Path(output) / FOLDER).glob("*.yaml")):
        if copy.stem not in suites.names():
            suites.add(copy)
