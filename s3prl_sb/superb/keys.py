"""Checks of the recipe keys of a benchmark, before anything runs.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

from s3prl_sb import resources
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import line_of, plain, tag
from s3prl_sb.runs.tasks import TASKS, recipe, unknown
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.schema.constructors import CALLS, flags, located, parameters, takes
from s3prl_sb.schema.keys import KeysError, Schema
from s3prl_sb.schema.named_heads import node

HEAD, LABELS = "head", "__labels"
ALL = "all"  # a section of a budget for all tasks


class PlanError(UserError, ValueError):
    """A benchmark that cannot be run as requested."""


@functools.lru_cache(maxsize=None)
def schema(task):
    """Returns the schema of a task's recipe.

    Arguments
    ---------
    task : str
        Name such as "KS".

    Returns
    -------
    s3prl_sb.schema.keys.Schema
    """
    if recipe(task) not in resources.recipes():
        raise PlanError(f"there is no recipe for {task} in this installation")
    return Schema.of_recipe(recipe(task))


def settings(task):
    """Returns the keys of a task's recipe, with unresolved references.

    Arguments
    ---------
    task : str
        Name such as "KS".

    Returns
    -------
    dict
    """
    declared = schema(task)
    return {key: declared.tree[key] for key in declared}


def is_trained(task):
    """Returns whether a task trains, so that the learning rate matters.

    Example
    -------
    >>> is_trained("KS"), is_trained("QbE")
    (True, False)
    """
    return "total_steps" in schema(task)


def is_reserved(key):
    """Returns whether the command itself sets a key, in any recipe.

    Arguments
    ---------
    key : str
        Key of a recipe.

    Returns
    -------
    bool

    Example
    -------
    >>> is_reserved("seed"), is_reserved("fold"), is_reserved("lr")
    (True, True, False)
    """
    return any(key in schema(task) and schema(task)[key].by for task in TASKS)


def check_keys(task, overrides, where, lines=None):
    """Checks that a recipe has these keys, and that their values are valid.

    Arguments
    ---------
    task : str
        Name such as "KS".
    overrides : dict
        Keys and values.
    where : str
        Their file, for messages.
    lines : dict, optional
        The mapping of ruamel.yaml that has the lines, if it is not ``overrides``.

    Returns
    -------
    dict
        Keys to converted values.

    Raises
    ------
    PlanError, s3prl_sb.schema.keys.KeysError
        For an unknown key or an invalid value; names similar keys or valid values.
    """
    declared, values = schema(task), {}
    for key, value in overrides.items():
        line = line_of(overrides if lines is None else lines, key)
        place = f"{where}:{line}: {task}: " if line else f"{where}: {task}: "
        if key not in declared:
            raise PlanError(f"{place}{unknown('key', key, list(declared))}")
        if declared[key].by:
            more = ", which runs all folds" if key == "fold" else ""
            raise PlanError(f"{place}'{key}' is set by the command itself{more}")
        if tag(value):
            raise PlanError(
                f"{place}{key}: {tag(value)} belongs into a recipe's YAML. Give the "
                "arguments alone, such as {hidden_size: 8}."
            )
        if key == HEAD and is_named(value):
            _check_head(task, value, place)
            values[key] = plain(value)
            continue
        if isinstance(value, dict):
            _check_inside(declared.tree[key], value, place, f"{key}.")
        values[key] = plain(declared.check(key, value, place))
    return values


def is_named(value):
    """Returns whether a value names a class, instead of changing the recipe's own.

    Arguments
    ---------
    value : object
        Value of a key such as ``head``.

    Returns
    -------
    bool

    Example
    -------
    >>> is_named("ecapa"), is_named({"name": "mlp"}), is_named({"hidden_size": 8})
    (True, True, False)
    """
    return isinstance(value, str) or isinstance(value, dict) and "name" in value


def head_class(task, value):
    """Returns the class of a head that is given by name.

    Arguments
    ---------
    task : str
        Name such as "KS".
    value : str or dict
        Name, or a mapping with ``name`` and arguments.

    Returns
    -------
    str
        Dotted name, or ``FILE.py:Class``.

    Raises
    ------
    s3prl_sb.schema.keys.KeysError
        If there is no such head, or it does not fit the task; names those that do.
    """
    name = value if isinstance(value, str) else value["name"]
    labels = (schema(task).tree.get(LABELS) or {}).get("are")
    return name if "." in name else node(name, labels)[0]


def _check_head(task, value, place):
    try:
        head_class(task, value)
    except KeysError as error:
        raise PlanError(f"{place}{error}") from error


def merged(keys, changes):
    """Returns keys with changes, inside of mappings too.

    Arguments
    ---------
    keys, changes : dict
        Keys and values. A mapping is merged, unless the change names another class.

    Returns
    -------
    dict

    Example
    -------
    >>> merged({"noise": {"snr": 5}, "lr": 1}, {"noise": {"draws": 4}})
    {'noise': {'snr': 5, 'draws': 4}, 'lr': 1}
    >>> merged({"head": {"hidden_size": 8}}, {"head": {"name": "mlp"}})
    {'head': {'name': 'mlp'}}
    """
    values = dict(keys)
    for key, value in changes.items():
        before = values.get(key)
        inside = isinstance(before, dict) and isinstance(value, dict)
        replaces = not inside or is_named(value)
        values[key] = value if replaces else merged(before, value)
    return values


def check_names(keys, where, lines=None):
    """Checks that keys for all tasks exist, and are left to the user.

    Arguments
    ---------
    keys : iterable of str
        Keys.
    where : str
        Their file or option, for messages.
    lines : dict, optional
        The mapping of ruamel.yaml that has the lines.

    Raises
    ------
    PlanError
        If a recipe does not have the key, or the command itself sets it.
    """
    names = sorted({key for task in TASKS for key in schema(task)})
    for key in keys:
        place = f"{where}:{line_of(lines, key)}: {ALL}" if lines else where
        if is_reserved(key):
            raise PlanError(f"{place}: '{key}' is set by the command itself")
        if key not in names:
            raise PlanError(f"{place}: {unknown('key', key, names)}")


def fitting(chosen, others, where, lines=None):
    """Selects the tasks that keys for all tasks fit.

    Arguments
    ---------
    chosen : dict
        Task to those of the keys that its recipe has, with their values.
    others : dict
        Task to its other keys.
    where, lines
        See :func:`check_keys`.

    Returns
    -------
    applied : dict
        Task to the checked keys, possibly none.
    refused : dict
        Task to the reason why the keys do not fit it.

    Raises
    ------
    PlanError, s3prl_sb.schema.keys.KeysError
        If the keys fit no task.
    """
    applied, refused, first = {}, {}, None
    for task, keys in chosen.items():
        try:
            checked = check_keys(task, keys, where, lines)
            together = {**settings(task), **(others.get(task) or {}), **checked}
            check_combination(task, together)
        except UserError as error:
            if not keys:  # the others are wrong by themselves
                raise
            first = first or error
            refused[task] = str(error).partition(f"{task}: ")[2] or str(error)
        else:
            applied[task] = checked
    if first and not any(applied.values()):
        raise first
    return applied, refused


def check_combination(task, keys):
    """Checks that keys of a recipe are consistent.

    Arguments
    ---------
    task : str
        Name such as "KS".
    keys : dict
        All keys of its recipe, with the overrides.

    Raises
    ------
    PlanError
        If they are not; names valid values.
    """
    try:
        check_together({key: value for key, value in keys.items() if not tag(value)})
    except KeysError as error:
        raise PlanError(f"{task}: {error}") from error


def _check_inside(node, values, where, prefix):
    """Checks that a mapping of a recipe, or the object it declares, has these keys."""
    if not isinstance(node, dict):
        return  # the recipe itself reports the error
    keys = set(map(str, node))
    if tag(node):
        called = tag(node).startswith(CALLS)
        made = located(tag(node).partition(":")[2]) if called else None
        flags(parameters(made), values, f"{where}{prefix}")
        more = takes(made) if called else None
        if more is None:
            return  # it takes anything, or the recipe itself reports the error
        keys |= set(more)
    names = [prefix + name for name in sorted(keys)]
    for key, value in values.items():
        if str(key) not in keys:
            raise PlanError(f"{where}{unknown('key', f'{prefix}{key}', names)}")
        if isinstance(value, dict) and key in node:
            _check_inside(node[key], value, where, f"{prefix}{key}.")
