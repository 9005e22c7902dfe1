"""Checks of the recipe keys of a benchmark, before anything runs.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

from s3prl_sb import resources
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import line_of, plain, tag, walk
from s3prl_sb.runs.tasks import TASKS, recipe, unknown
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.schema.constructors import CALLS, flags, located, parameters, takes
from s3prl_sb.schema.keys import KeysError, Schema
from s3prl_sb.startup import named


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
        Their file, for messages. Code that they name, such as ``head: FILE.py:Class``,
        is only accepted if the file is trusted.
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
    s3prl_sb.foreign.trust.TrustError
        For code in a file that is not trusted.
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
        code = next(filter(None, map(tag, walk(value))), "")
        if code:
            raise PlanError(
                f"{place}{key}: {code} belongs into a recipe's YAML. Give a name or "
                "the arguments alone, such as {hidden_size: 8}; conditions have keys: "
                "noise: {snr: [3, 6]}."
            )
        name = named.check(key, value, declared, where, place)
        if name is not None:
            values[key] = name
            continue
        if isinstance(value, dict):
            inside = declared[key].inside
            _check_inside(declared.tree[key], value, place, f"{key}.", inside)
        values[key] = plain(declared.check(key, value, place))
    line = line_of(overrides if lines is None else lines, named.POOLING)
    place = f"{where}:{line}: {task}: " if line else f"{where}: {task}: "
    named.check_pooling(values, declared, where, place)
    return values


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
    tree = schema(task).tree
    labels = {key: tree[key] for key in (named.LABELS,) if key in tree}
    together = {key: value for key, value in keys.items() if not tag(value)}
    try:
        check_together({**together, **plain(labels)})
    except KeysError as error:
        raise PlanError(f"{task}: {error}") from error


def _check_inside(node, values, where, prefix, inside):
    """Checks that a mapping of a recipe, or the object it declares, has these keys.

    ``inside`` are the declared entries, which a mapping may have beside its own.
    """
    if node is None and inside:
        node = {}
    if not isinstance(node, dict):
        return  # the recipe itself reports the error
    keys = {*map(str, node), *inside}
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
            declared = inside[key].inside if key in inside else {}
            _check_inside(node[key], value, where, f"{prefix}{key}.", declared)
