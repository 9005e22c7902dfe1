"""Defaults of recipes: keys with the same value in most of them, written once.

A recipe names files of ``recipes/defaults``. Their keys follow its own; a key that the
recipe sets replaces the default as a whole::

    __defaults: [run, training]

A variant of a recipe lies beside it, names it, and says only what differs::

    __defaults: [train, run, training]

Authors
 * The s3prl_sb developers, 2026
"""

import functools
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.hyperyaml.nodes import line_of, shown
from s3prl_sb.schema.declarations import KeysError
from s3prl_sb.storage.files import read_yaml
from s3prl_sb.terminal.messages import near

DEFAULTS = "__defaults"


def merged_with_defaults(tree: dict, file: str | Path) -> tuple[dict, dict]:
    """Adds the defaults that a recipe names to its keys.

    Arguments
    ---------
    tree : dict
        Content of the recipe, as ruamel.yaml reads it. The key ``__defaults`` is
        replaced in place by the keys of the files that it names.
    file : str
        File of the recipe, for errors.

    Returns
    -------
    tree : dict
    origins : dict
        Keys that were added, to their file and line.

    Raises
    ------
    KeysError
        If there are no defaults of such a name.

    Example
    -------
    >>> tree = {"cache": "off", "__defaults": "run"}
    >>> tree, origins = merged_with_defaults(tree, "mine.yaml")
    >>> tree["cache"], tree["cache_budget"], "cache" in origins
    ('off', 'auto', False)
    """
    origins = {}
    line = line_of(tree, DEFAULTS)
    names, where = tree.pop(DEFAULTS, ()), f"{shown(file)}, line {line}: "
    for path in default_files(names, where, beside=Path(file)):
        defaults = _read(path)
        for key in defaults:
            if key not in tree and key != DEFAULTS:  # each names all of its own
                tree[key] = defaults[key]
                origins[key] = (path, line_of(defaults, key))
                _copy_comment(key, defaults, tree)
        if path.parent == Path(file).parent:
            _order(tree, defaults)
    return tree, origins


def _order(tree, defaults):
    """Puts the keys of a variant into the order of the recipe that it varies, since a
    made object must come before references to it."""
    first = [key for key in defaults if key in tree]
    for key in [*first, *(key for key in list(tree) if key not in first)]:
        tree[key] = tree.pop(key)


def default_files(
    names: str | list[str], where: str = "", beside: Path | None = None
) -> list[Path]:
    """Returns the files of the defaults that a recipe names.

    Arguments
    ---------
    names : str or list of str
        Value of ``__defaults``.
    where : str
        Beginning of an error.
    beside : pathlib.Path, optional
        File of the recipe. Other YAML files in its folder come before those of
        ``recipes/defaults``, also if their names are the same.

    Returns
    -------
    list of pathlib.Path
        In a fixed order: training.yaml refers to keys of run.yaml.

    Raises
    ------
    KeysError
        If there are none of such a name.

    Example
    -------
    >>> [path.name for path in default_files(["run", "training"])]
    ['run.yaml', 'training.yaml']
    """
    folder = resources.folder("recipes") / "defaults"
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    others = sorted(beside.parent.glob("*.yaml")) if beside is not None else []
    neighbours = {path.stem: path for path in others if path.name != beside.name}
    files = {**neighbours, **{n: p for n, p in files.items() if n not in neighbours}}
    names = list(map(str, names if isinstance(names, (list, tuple)) else [names]))
    for name in names:
        if name not in files:
            raise KeysError(
                f"{where}there are no defaults '{name}'. {near(name, list(files))}"
            )
    return [path for name, path in files.items() if name in names]


@functools.lru_cache(maxsize=None)
def default_values() -> dict:
    """Returns the defaults of all recipes that are plain values.

    Returns
    -------
    dict
        Keys to texts, numbers, flags or None.

    Example
    -------
    >>> default_values()["scheduler"], "checkpointer" in default_values()
    ('constant', False)
    """
    kinds = (str, int, float, type(None))
    values: dict = {}
    for path in default_files(["run", "training"]):
        values |= {str(k): v for k, v in _read(path).items() if isinstance(v, kinds)}
    return values


@functools.lru_cache(maxsize=None)
def _read(path):
    return read_yaml(path, "defaults of recipes", kind=dict)


def _copy_comment(key, source, target):
    """Copies the comment of a key, which a run keeps in its copy of the recipe."""
    if hasattr(target, "ca") and key in source.ca.items:
        target.ca.items[key] = source.ca.items[key]
