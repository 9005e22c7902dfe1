"""Where the corpora are, how much is trained: two small YAML files.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.arguments import is_path
from s3prl_sb.files import read_text, yaml_of
from s3prl_sb.superb.jobs import Job
from s3prl_sb.superb.keys import RESERVED, check_keys, settings
from s3prl_sb.superb.tasks import TASKS, unknown

TOY = "toy"
ALL = "all"  # a section of a budget for all tasks


def read_data(source, output, tasks):
    """Where the corpora of tasks are.

    Arguments
    ---------
    source : str
        A YAML file: for each task keys of its recipe, such as ``KS:
        {data_folder: DIR}``, or "toy". Or "toy" itself: toys for all. Relative
        paths start at the folder of the file; else at the current one.
    output : pathlib.Path
        Toys are made in its folder ``toys``.
    tasks : list of str
        Which matter.

    Returns
    -------
    data : dict
        Task to keys of its recipe; tasks that the file leaves out are not there.
    before : dict
        Task to a :class:`~s3prl_sb.superb.jobs.Job` that makes its toy.

    Raises
    ------
    ValueError
        For what is unknown, with what is near.
    """
    if source == TOY:
        entries = dict.fromkeys(TASKS, TOY)
    else:
        entries = _read(source)
    data, before, made = {}, {}, {}
    for task, keys in entries.items():
        if task not in TASKS:
            raise ValueError(f"{source}: {unknown('task', task, TASKS)}")
        if task not in tasks or keys is None:
            continue
        if keys == TOY:
            keys, job = _toy(task, Path(output) / "toys", made)
            before[task] = job
        if not isinstance(keys, dict):
            raise ValueError(
                f"{source}: {task}: {keys!r} are no keys of its recipe. Write "
                f"{task}: {{data_folder: DIR}}, or {task}: toy."
            )
        check_keys(task, keys, source)
        data[task] = _absolute(keys, Path(source).parent.resolve())
    return data, before


def read_budget(source):
    """How much is trained.

    Arguments
    ---------
    source : str
        "full" (SUPERB's protocol), "mini" (a laptop's), or a YAML file: for each
        task keys of its recipe. Keys under ``all`` are for all tasks that have
        them.

    Returns
    -------
    dict
        Task to keys.

    Raises
    ------
    ValueError
        For what is unknown, with what is near.
    """
    if source == "full":
        return {}
    profiles = {"mini": resources.folder("hparams") / "superb" / "mini.yaml"}
    if source not in profiles and not Path(source).is_file():
        names = ["full", *profiles]
        raise ValueError(f"{unknown('budget', source, names)} Or give a YAML file.")
    file = Path(profiles.get(source, source))
    entries = _read(file)
    for task, keys in entries.items():
        if keys is not None and not isinstance(keys, dict):
            raise ValueError(
                f"{source}: {task}: {keys!r} is no mapping. Write "
                f"{task}: {{total_steps: 1000}}."
            )
    common = entries.pop(ALL, None) or {}
    known = {key for task in TASKS for key in settings(task) if key[:2] != "__"}
    for key in common:
        if key in RESERVED:
            raise ValueError(f"{source}: {ALL}: '{key}' is set by the command itself")
        if key not in known:
            raise ValueError(f"{source}: {ALL}: {unknown('key', key, sorted(known))}")
    budget = {}
    for task in entries:
        if task not in TASKS:
            raise ValueError(f"{source}: {unknown('task', task, [*TASKS, ALL])}")
        check_keys(task, entries[task] or {}, source)
    for task in TASKS:
        keys = settings(task) if common else {}
        shared = {key: value for key, value in common.items() if key in keys}
        check_keys(task, shared, source)
        keys = {**shared, **(entries.get(task) or {})}
        budget[task] = _absolute(keys, file.parent.resolve())
    return budget


def _toy(task, folder, made):
    """Keys of a recipe for a toy corpus, and the job that makes it."""
    entry = dict(_read(resources.folder("hparams") / "superb" / "toys.yaml")[task])
    corpus = entry.pop("corpus")
    place = folder / corpus
    if corpus not in made:
        made[corpus] = Job(
            name=f"toy {corpus}",
            folder=folder / "logs" / corpus,
            command=lambda: [
                sys.executable,
                "-m",
                "s3prl_sb.cli",
                "toy",
                corpus,
                place,
            ],
            is_done=lambda: (place / "toy.json").is_file(),
        )
    keys = {key: str(value).format(folder=place) for key, value in entry.items()}
    return keys, made[corpus]


def _read(path):
    import ruamel.yaml

    text = read_text(path)
    try:
        content = yaml_of(text, "safe")
    except ruamel.yaml.constructor.DuplicateKeyError as fault:
        line = fault.problem_mark.line + 1
        raise ValueError(f"{path}:{line}: a key for the second time") from fault
    except (ruamel.yaml.YAMLError, ValueError, RecursionError) as fault:
        raise ValueError(f"{path}: {fault}") from fault
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: a mapping is wanted, such as KS: {{data_folder: DIR}}"
        )
    return content


def _absolute(values, folder):
    """A mapping whose paths stay valid wherever the command is started again."""

    def absolute(key, value):
        if isinstance(value, dict):
            return _absolute(value, folder)
        if isinstance(value, list):
            return [absolute(key, item) for item in value]
        if not isinstance(value, str) or not is_path(key):
            return value
        beside, here = (
            place / Path(value).expanduser() for place in (folder, Path.cwd())
        )
        found = here if here.exists() and not beside.exists() else beside
        return str(found.resolve())

    return {key: absolute(key, value) for key, value in values.items()}
