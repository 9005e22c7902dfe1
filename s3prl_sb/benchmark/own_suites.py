"""Copies of the user's suites in the folder of a benchmark, whose table needs them.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.benchmark import published
from s3prl_sb.benchmark.budgets import FULL, names_of
from s3prl_sb.benchmark.parts import ALL
from s3prl_sb.runs import suites
from s3prl_sb.runs.suites import SuiteError
from s3prl_sb.runs.tasks import unknown
from s3prl_sb.storage.files import read_text, write_text

FOLDER = "suites"


def find(words):
    """Returns the names of the suites that a command names.

    Arguments
    ---------
    words : list of str
        Names, or YAML files.

    Returns
    -------
    list of str

    Raises
    ------
    s3prl_sb.runs.suites.SuiteError
        If there is none, two files have one name, or a user's suite is wrong.

    Example
    -------
    >>> find(["SUPERB", "superb-sg", "superb"])
    ['superb', 'superb_sg']
    """
    files: dict[str, Path] = {}
    for word in words:
        name = suites.find(word)
        file = suites.suite(name).file
        if files.setdefault(name, file) != file:
            raise SuiteError(
                f"{files[name]} and {file}: two suites have one name: rename a file."
            )
    for name in filter(suites.is_own, files):
        check(name)
    return list(files)


def check(name):
    """Checks all that a suite says, which tables and later commands read.

    Arguments
    ---------
    name : str
        Name of the suite.

    Raises
    ------
    s3prl_sb.runs.suites.SuiteError
        With the file, the entry and the fix.

    Example
    -------
    >>> check("superb")
    """
    suite, known = suites.suite(name), resources.recipe_files()
    others = [*suites.RESERVED, *(each for each in suites.names() if each != name)]
    if suite.short.lower() in others:
        raise SuiteError(f"{suite.file}: short: '{suite.short}' means other tasks.")
    lower = [task.name.lower() for task in suite.tasks.values()]
    for task in suite.tasks.values():
        where = f"{suite.file}: {task.name}: "
        if task.recipe not in known:
            raise SuiteError(f"{where}{unknown('recipe', task.recipe, known)}")
        if task.name.lower() in (ALL, name.lower(), suite.short.lower()):
            raise SuiteError(f"{where}this name means all tasks: give another one.")
        if lower.count(task.name.lower()) > 1:
            raise SuiteError(f"{where}another task has this name: give another one.")
    for budget, entries in suite.budgets.items():
        where = f"{suite.file}: budgets: {budget}"
        if budget == FULL:
            raise SuiteError(f"{where} is the protocol: give the budget another name.")
        if not isinstance(entries, dict):
            raise SuiteError(f"{where}: write TASK: {{total_steps: 1000}}.")
    published.models([name])
    for budget in (None, *names_of([name])):
        published.read([name], budget)


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
