"""Suites: benchmarks as tables of tasks, in ``hparams/suites`` or a user's own file.

A task is known by an id: its name in SUPERB and SUPERB-SG, ``hear/ESC-50`` in all other
suites, so that several suites may have tasks of the same name. What a file says is in
``docs/suites.md``.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import re
from pathlib import Path
from typing import NamedTuple

from s3prl_sb import resources
from s3prl_sb.errors import UserError
from s3prl_sb.runs.tasks import Metric, Task, unknown
from s3prl_sb.storage.files import naming, read_text, read_yaml
from s3prl_sb.storage.yaml_texts import own_yaml_of

#: Results do not depend on this module, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
#: Suites whose tasks have plain ids; they come first in tables.
SUPERB = ("superb", "superb_sg")
SUFFIXES = (".yaml", ".yml")
WHAT, FIX = "a suite", "See docs/suites.md."
#: Keys of a suite to what they are.
KEYS = {
    "title": str,
    "short": str,  # another name, for --tasks
    "about": str,
    "paper": str,
    "tasks": dict,
    "budgets": dict,
    "published": (dict, list),
}
NEEDED = ("title", "tasks")
#: Mappings of a task to the kind of their values.
KINDS = {"keys": None, "toy": None, "parts": list, "needs": list, "utterances": int}
NAME = re.compile(r"[^\s/.,:]+")  # of a task, and of a user's suite
RESERVED = ("all", "sg")  # groups of tasks
#: A block of a file, with the names in it.
BLOCK = r"^{}:[^\n]*\n((?:[ #][^\n]*\n|\n)*)"
_own: dict[str, Path] = {}  # names of the user's suites to their files


class SuiteError(UserError, ValueError):
    """A suite that is not there, or that is wrong."""


class Suite(NamedTuple):
    """A benchmark.

    ``tasks`` has :class:`~s3prl_sb.runs.tasks.Task` by id; ``budgets`` keys of recipes
    by name and task; ``published`` tables of published numbers.
    """

    name: str
    file: Path
    title: str
    short: str
    about: str
    paper: str
    tasks: dict
    budgets: dict
    published: list


def names():
    """Returns the names of all suites: SUPERB's, the other installed ones, the user's.

    Returns
    -------
    list of str

    Example
    -------
    >>> names()[:2]
    ['superb', 'superb_sg']
    """
    installed = _installed_names()
    others = [name for name in installed if name not in SUPERB]
    return [*SUPERB, *others, *(name for name in _own if name not in installed)]


def _installed_names():
    files = (resources.folder("hparams") / "suites").glob("*.yaml")
    return sorted(file.stem for file in files)


def _plain(name):
    """Returns a name as it is compared with others."""
    return str(name).lower().replace("-", "_")


def add(file):
    """Makes the suite of a user's file known in this process.

    Arguments
    ---------
    file : str or pathlib.Path
        YAML file.

    Returns
    -------
    str
        Name of the suite, that of the file.

    Raises
    ------
    SuiteError
        If an installed suite has this name, or the file is wrong.
    """
    file = Path(file).expanduser().resolve()
    same = [name for name in _installed_names() if _plain(name) == _plain(file.stem)]
    if same and _installed(same[0]).resolve() != file:
        raise SuiteError(f"{file}: a suite has this name already: rename the file.")
    if not NAME.fullmatch(file.stem) or _plain(file.stem) in RESERVED:
        raise SuiteError(
            f"{file}: the name of a suite has no spaces, dots or commas, and is not "
            f"{' or '.join(RESERVED)}: rename the file."
        )
    if not same:
        _own[file.stem] = file
    suite.cache_clear()
    try:
        return suite(file.stem).name
    except UserError:
        _own.pop(file.stem, None)
        raise


def is_own(name):
    """Returns whether a suite is of a user's file.

    Arguments
    ---------
    name : str
        Name of a suite.

    Returns
    -------
    bool

    Example
    -------
    >>> is_own("superb")
    False
    """
    return name in _own


def _installed(name):
    return resources.folder("hparams") / "suites" / f"{name}.yaml"


def find(name):
    """Returns the name of a suite that a command names.

    Arguments
    ---------
    name : str
        Name, in upper or lower case, or a YAML file.

    Returns
    -------
    str

    Raises
    ------
    SuiteError
        If there is none; names similar ones.

    Example
    -------
    >>> find("SUPERB-SG")
    'superb_sg'
    """
    if str(name).endswith(SUFFIXES):
        return add(name)
    for known in names():
        if _plain(known) == _plain(name):
            return known
    raise SuiteError(f"{unknown('suite', name, names())} Or give a YAML file.")


@functools.lru_cache(maxsize=None)
def suite(name):
    """Reads a suite.

    Arguments
    ---------
    name : str
        One of :func:`names`.

    Returns
    -------
    Suite

    Raises
    ------
    SuiteError
        If a key is unknown or wrong.
    s3prl_sb.storage.files.FileError
        If the file is no valid YAML.

    Example
    -------
    >>> suite("superb").title, list(suite("superb").tasks)[:2]
    ('SUPERB', ['PR', 'KS'])
    """
    file = _own.get(name) or _installed(name)
    if name in _own:  # which may be anybody's
        content = read_yaml(file, WHAT, FIX, kind=dict, typ="safe")
    else:
        text = read_text(file, WHAT)
        with naming(file, WHAT):
            content = own_yaml_of(text)
    for key, value in content.items():
        if key not in KEYS:
            raise SuiteError(f"{file}: {unknown('key', key, KEYS)}")
        if not isinstance(value, KEYS[key]):
            raise SuiteError(f"{file}: {key} is of another kind. {FIX}")
    for key in NEEDED:
        if not content.get(key):
            raise SuiteError(f"{file}: {key} is missing. {FIX}")
    prefix = "" if name in SUPERB else f"{name}/"
    tables = content.get("published") or []
    return Suite(
        name=name,
        file=file,
        title=content["title"],
        short=content.get("short", name),
        about=content.get("about", ""),
        paper=content.get("paper", ""),
        tasks={
            f"{prefix}{key}": _task(file, key, entry)
            for key, entry in content["tasks"].items()
        },
        budgets=content.get("budgets") or {},
        published=tables if isinstance(tables, list) else [tables],
    )


def _task(file, name, entry):
    """Returns a task of a file."""
    where = f"{file}: {name}: "
    if not NAME.fullmatch(str(name)):
        raise SuiteError(f"{where}a task's name has no spaces, dots, commas or /.")
    if not isinstance(entry, dict):
        raise SuiteError(f"{where}it is no mapping. Write recipe: NAME, metrics: […].")
    for key in entry:
        if key not in Task._fields or key == "name":
            raise SuiteError(f"{where}{unknown('key', key, Task._fields[1:])}")
    if not isinstance(entry.get("recipe"), str):
        raise SuiteError(f"{where}recipe is missing, such as SUPERB/KS.")
    for key, kind in KINDS.items():
        inner = entry.get(key) or {}
        if not isinstance(inner, dict):
            raise SuiteError(f"{where}{key} is a mapping.")
        if kind and not all(isinstance(value, kind) for value in inner.values()):
            raise SuiteError(f"{where}{key}: its values are of another kind. {FIX}")
    if entry.get("toy") and not isinstance(entry["toy"].get("corpus"), str):
        raise SuiteError(f"{where}toy: corpus is missing: a name from s3prl-sb toy.")
    metrics = entry.get("metrics")
    try:
        metrics = [_metric(**metric) for metric in metrics]
        if not metrics or len({each.key for each in metrics}) < len(metrics):
            raise ValueError("each has a key of its own")
    except (TypeError, ValueError) as error:
        raise SuiteError(
            f"{where}metrics is a list such as [{{key: accuracy, title: Acc, higher: "
            f"True}}] ({error})."
        ) from None
    given = {key: value for key, value in entry.items() if value is not None}
    return Task(str(name), **{**given, "metrics": metrics})


def _metric(**entry):
    """Returns a metric whose values have their kinds."""
    metric = Metric(**entry)
    for key in ("key", "title", "unit"):
        if not isinstance(getattr(metric, key), str):
            raise ValueError(f"{key} is a text")
    if not isinstance(metric.higher, bool) or not isinstance(metric.digits, int):
        raise ValueError("higher is True or False, digits is a number")
    return metric._replace(scale=float(metric.scale))


def names_in(block, name):
    """Returns the names of a suite's tasks or budgets without parsing its file.

    Arguments
    ---------
    block : str
        "tasks" or "budgets".
    name : str
        Name of an installed suite, or of a file.

    Returns
    -------
    list of str
        Empty if it cannot be read.

    Example
    -------
    >>> names_in("tasks", "superb_sg")
    ['ST', 'OOD-ASR', 'VC', 'SS', 'SE']
    """
    file = Path(name) if str(name).endswith(SUFFIXES) else _installed(name)
    try:
        found = re.search(BLOCK.format(block), file.read_text("utf-8"), re.M)
    except (OSError, UnicodeDecodeError):
        return []
    inside = found[1] if found else ""
    indent = re.search(r"^( +)[^\s#]", inside, re.M)
    return re.findall(rf"^{indent[1]}([^\s#][^:]*):", inside, re.M) if indent else []
