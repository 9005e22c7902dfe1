"""Reading of ``--data`` and ``--budget``: keys of recipes by task.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.benchmark.keys import PlanError, check_keys, schema
from s3prl_sb.benchmark.shared_keys import ALL, check_names, fitting
from s3prl_sb.engines.jobs import Job
from s3prl_sb.hyperyaml.nodes import line_of, written
from s3prl_sb.runs.tasks import TASKS, unknown
from s3prl_sb.storage.files import read_yaml

TOY = "toy"


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
    entries = dict.fromkeys(TASKS, TOY) if source == TOY else _read(source)
    data, before, made = {}, {}, {}
    for task, keys in entries.items():
        place = f"{source}:{line_of(entries, task)}" if source != TOY else source
        if task not in TASKS:
            raise PlanError(f"{place}: {unknown('task', task, TASKS)}")
        if task not in tasks or keys is None:
            continue
        if keys == TOY:
            keys, job = _toy(task, Path(output) / "toys", made)
            before[task] = job
        if not isinstance(keys, dict):
            raise PlanError(
                f"{place}: {task}: {written(keys)} are no keys of its recipe. Write "
                f"{task}: {{data_folder: DIR}}, or {task}: toy."
            )
        keys = check_keys(task, keys, source)
        data[task] = absolute(task, keys, Path(source).parent.resolve())
    return data, before


def read_budget(source, refused=None):
    """Reads the keys of recipes that say how much is trained.

    Arguments
    ---------
    source : str
        "full" (SUPERB's protocol), "mini" (a laptop's), or a YAML file: for each
        task keys of its recipe. Keys under ``all`` apply to all tasks that have them.
    refused : dict, optional
        Gets the tasks that the keys under ``all`` do not fit, with the reasons.
        Default: that is an error.

    Returns
    -------
    dict
        Task to keys.

    Raises
    ------
    ValueError
        For unknown names; names similar ones.
    """
    if source == "full":
        return {}
    profiles = {"mini": resources.folder("hparams") / "superb" / "mini.yaml"}
    if source not in profiles and not Path(source).is_file():
        names = ["full", *profiles]
        raise PlanError(f"{unknown('budget', source, names)} Or give a YAML file.")
    file = Path(profiles.get(source, source))
    entries = _read(file)
    for task, keys in entries.items():
        place = f"{source}:{line_of(entries, task)}"
        if task not in (*TASKS, ALL):
            raise PlanError(f"{place}: {unknown('task', task, [*TASKS, ALL])}")
        if keys is not None and not isinstance(keys, dict):
            raise PlanError(
                f"{place}: {task}: {written(keys)} is no mapping. Write "
                f"{task}: {{total_steps: 1000}}."
            )
    common = entries.pop(ALL, None) or {}
    check_names(common, source, common)
    specific = {
        task: check_keys(task, entries.get(task) or {}, source) for task in TASKS
    }
    shared = {
        task: {k: common[k] for k in common if k in schema(task) and k not in keys}
        for task, keys in specific.items()
    }
    shared, misfits = fitting(shared, specific, source, common)
    if refused is None:
        for task, why in misfits.items():
            raise PlanError(f"{source}: {ALL}: {task}: {why}")
    else:
        refused.update(misfits)
    folder = file.parent.resolve()
    return {
        task: absolute(task, {**shared.get(task, {}), **specific[task]}, folder)
        for task in TASKS
    }


def _toy(task, folder, made):
    """Returns the keys of a recipe for a toy corpus, and the job that creates it."""
    entry = dict(_read(resources.folder("hparams") / "superb" / "toys.yaml")[task])
    corpus = entry.pop("corpus")
    place, command = folder / corpus, [sys.executable, "-m", "s3prl_sb.cli", "toy"]
    if corpus not in made:
        made[corpus] = Job(
            name=f"toy {corpus}",
            folder=folder / "logs" / corpus,
            command=lambda: [*command, corpus, place],
            is_done=lambda: (place / "toy.json").is_file(),
        )
    keys = {key: str(value).format(folder=place) for key, value in entry.items()}
    return keys, made[corpus]


def _read(path):
    example = "Write such as KS: {data_folder: DIR}."
    return read_yaml(path, "keys of recipes by task", example, kind=dict)


def absolute(task, values, folder):
    """Makes paths absolute, so that they stay valid in another current folder.

    Arguments
    ---------
    task : str
        Name such as "KS".
    values : dict
        Keys of its recipe and values.
    folder : pathlib.Path
        Folder that relative paths start at; else they start at the current one.

    Returns
    -------
    dict
    """
    return _with_paths(values, schema(task).declarations, folder)


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
