"""Reading of ``--data``: keys of recipes by task, with the places of corpora.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from pathlib import Path

from s3prl_sb.benchmark.keys import PlanError, check_keys, schema, variant_of
from s3prl_sb.engines.jobs import Job
from s3prl_sb.hyperyaml.nodes import line_of, written
from s3prl_sb.runs import suites
from s3prl_sb.runs.suite_tasks import labels, matching, task_of, tasks_of
from s3prl_sb.runs.tasks import unknown
from s3prl_sb.storage.files import read_yaml

TOY = "toy"
FOLDER = "{folder}"  # of a toy, in the keys of its task


def read_data(source, output, tasks):
    """Reads the keys of recipes that say where the corpora are.

    Arguments
    ---------
    source : str
        A YAML file: for each task keys of its recipe, such as ``KS:
        {data_folder: DIR}``, or "toy". Or "toy" itself: toy corpora for all tasks.
        Relative paths start at the folder of the file, else at the current one.
    output : pathlib.Path
        Folder of the benchmark; toy corpora are created in its folder ``toys``.
    tasks : list of str
        Tasks to read; others are ignored.

    Returns
    -------
    data : dict
        Task to keys of its recipe, for the tasks in the file.
    before : dict
        Task to a :class:`~s3prl_sb.engines.jobs.Job` that creates its toy corpus.

    Raises
    ------
    ValueError
        For unknown names; names similar ones.
    """
    if source == TOY:
        content = {task: TOY for task in tasks if task_of(task).toy is not None}
    else:
        content = read_entries(source)
    data, before, made = {}, {}, {}
    for task, (name, keys) in by_task(content, tasks, source).items():
        line = line_of(content, name)
        place = f"{source}:{line}" if line else source
        if keys is None:
            continue
        if keys == TOY:
            keys, job = _toy(task, Path(output) / "toys", made, place)
            before[task] = job
        if not isinstance(keys, dict):
            raise PlanError(
                f"{place}: {name}: {written(keys)} are no keys of its recipe. Write "
                f"{name}: {{data_folder: DIR}}, or {name}: toy."
            )
        keys = check_keys(task, keys, source)
        folder = Path(source).parent.resolve()
        data[task] = absolute(task, keys, folder, variant_of(keys))
    return data, before


def by_task(entries, tasks, where, more=()):
    """Returns what a file says about tasks, by their ids.

    Arguments
    ---------
    entries : dict
        Names of tasks to anything.
    tasks : list of str
        Ids of the tasks that are meant. Those of other suites are ignored.
    where : str
        The file, for messages.
    more : sequence of str
        Other names that may be in the file.

    Returns
    -------
    dict
        Id to its name in the file and the entry, in the order of the file.

    Raises
    ------
    PlanError
        For an unknown name, and for one that several of the suites have.
    """
    found = {}
    for name, entry in entries.items():
        if name in more:
            continue
        meant, line = matching(name, tasks), line_of(entries, name)
        place = f"{where}:{line}" if line else where
        if len(meant) > 1:
            choices = " or ".join(meant)
            raise PlanError(f"{place}: '{name}' may be {choices}: write all of it.")
        if meant:
            found[meant[0]] = name, entry
        elif not matching(name, tasks_of(suites.names())):
            choices = [*labels(tasks), *more]
            raise PlanError(f"{place}: {unknown('task', name, choices)}")
    return found


def _toy(task, folder, made, place):
    """Returns the keys of a recipe for a toy corpus, and the job that creates it."""
    if task_of(task).toy is None:
        raise PlanError(f"{place}: {task} has no toy corpus: give a data_folder.")
    entry = dict(task_of(task).toy)
    corpus = entry.pop("corpus")
    place, command = folder / corpus, [sys.executable, "-m", "s3prl_sb.cli", "toy"]
    if corpus not in made:
        made[corpus] = Job(
            name=f"toy {corpus}",
            folder=folder / "logs" / corpus,
            command=lambda: [*command, corpus, place],
            is_done=lambda: (place / "toy.json").is_file(),
        )
    keys = {
        key: value.replace(FOLDER, str(place)) if isinstance(value, str) else value
        for key, value in entry.items()
    }
    return keys, made[corpus]


def read_entries(path):
    """Reads a YAML file of keys of recipes by task.

    Arguments
    ---------
    path : str or pathlib.Path
        The file.

    Returns
    -------
    dict
        Nodes of ruamel.yaml, which have lines.
    """
    example = "Write such as KS: {data_folder: DIR}."
    return read_yaml(path, "keys of recipes by task", example, kind=dict)


def absolute(task, values, folder, variant=None):
    """Makes paths absolute, so that they stay valid in another current folder.

    Arguments
    ---------
    task : str
        Name such as "KS".
    values : dict
        Keys of its recipe and values.
    folder : pathlib.Path
        Folder that relative paths start at; else they start at the current one.
    variant : str, optional
        Variant of the recipe.

    Returns
    -------
    dict
    """
    return _with_paths(values, schema(task, variant).declarations, folder)


def _with_paths(values, declared, folder):
    def absolute(declaration, value):
        if isinstance(value, dict):
            return _with_paths(value, getattr(declaration, "inside", {}), folder)
        if isinstance(value, list):
            return [absolute(declaration, item) for item in value]
        if not isinstance(value, str):
            return value
        beside, here = (
            place / Path(value).expanduser() for place in (folder, Path.cwd())
        )
        if declaration is None and not (beside.is_file() or here.is_file()):
            return value  # arguments name files only if these exist
        if declaration is not None and not declaration.is_path:
            return value
        path = here if here.exists() and not beside.exists() else beside
        return str(path.resolve())

    return {key: absolute(declared.get(key), value) for key, value in values.items()}
