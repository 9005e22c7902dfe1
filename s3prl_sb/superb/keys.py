"""Keys of recipes that a benchmark is given, checked before anything runs.

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


class PlanError(UserError, ValueError):
    """A benchmark that cannot be run as it is asked for."""


@functools.lru_cache(maxsize=None)
def schema(task):
    """What the keys of a task's recipe are.

    Arguments
    ---------
    task : str
        Such as "KS".

    Returns
    -------
    s3prl_sb.schema.keys.Schema
    """
    if recipe(task) not in resources.recipes():
        raise PlanError(f"there is no recipe for {task} in this installation")
    return Schema.of_recipe(recipe(task))


def settings(task):
    """The keys of a task's recipe, references not resolved.

    Arguments
    ---------
    task : str
        Such as "KS".

    Returns
    -------
    dict
    """
    found = schema(task)
    return {key: found.tree[key] for key in found}


def is_reserved(key):
    """Whether the command itself sets a key, in any recipe.

    Arguments
    ---------
    key : str
        Of a recipe.

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
    """Makes sure that a recipe has these keys, and that they take these values.

    Arguments
    ---------
    task : str
        Such as "KS".
    overrides : dict
        Keys and values.
    where : str
        The file that they stand in, for the message.
    lines : dict, optional
        The mapping as ruamel.yaml has read it, where it is another.

    Returns
    -------
    dict
        The values as they are meant.

    Raises
    ------
    PlanError, s3prl_sb.schema.keys.KeysError
        With the nearest keys, or what is wanted.
    """
    found, values = schema(task), {}
    for key, value in overrides.items():
        line = line_of(overrides if lines is None else lines, key)
        place = f"{where}:{line}: {task}: " if line else f"{where}: {task}: "
        if key not in found:
            raise PlanError(f"{place}{unknown('key', key, list(found))}")
        if found[key].by:
            more = ", which runs all folds" if key == "fold" else ""
            raise PlanError(f"{place}'{key}' is set by the command itself{more}")
        if tag(value):
            raise PlanError(
                f"{place}{key}: {tag(value)} belongs into a recipe's YAML. Give the "
                "arguments alone, such as {hidden_size: 8}."
            )
        if isinstance(value, dict):
            _check_inside(found.tree[key], value, place, f"{key}.")
        values[key] = plain(found.check(key, value, place))
    return values


def check_combination(task, keys):
    """Makes sure that keys of a recipe fit to each other.

    Arguments
    ---------
    task : str
        Such as "KS".
    keys : dict
        Of its recipe, those that are overridden too.

    Raises
    ------
    PlanError
        With values that would do.
    """
    try:
        check_together({key: value for key, value in keys.items() if not tag(value)})
    except KeysError as error:
        raise PlanError(f"{task}: {error}") from error


def _check_inside(node, values, where, prefix):
    """Makes sure that a mapping of a recipe, or what it makes, has these keys."""
    if not isinstance(node, dict):
        return  # the recipe says what is wrong with it
    known = set(map(str, node))
    if tag(node):
        called = tag(node).startswith(CALLS)
        made = located(tag(node).partition(":")[2]) if called else None
        flags(parameters(made), values, f"{where}{prefix}")
        more = takes(made) if called else None
        if more is None:
            return  # it takes anything, or the recipe says what is wrong with it
        known |= set(more)
    names = [prefix + name for name in sorted(known)]
    for key, value in values.items():
        if str(key) not in known:
            raise PlanError(f"{where}{unknown('key', f'{prefix}{key}', names)}")
        if isinstance(value, dict) and key in node:
            _check_inside(node[key], value, where, f"{prefix}{key}.")
