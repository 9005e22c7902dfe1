"""Checks of the recipe keys of a benchmark, before anything runs.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

from s3prl_sb import resources
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import line_of, plain, tag, walk
from s3prl_sb.runs.suite_tasks import task_of
from s3prl_sb.runs.tasks import unknown
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.schema.constructors import CALLS, flags, located, parameters, takes
from s3prl_sb.schema.keys import KeysError, Schema
from s3prl_sb.startup import named

#: Beside the keys of a recipe: another YAML in its ``hparams``, by its name.
VARIANT = "variant"


class PlanError(UserError, ValueError):
    """A benchmark that cannot be run as requested."""


def variants(task):
    """Returns the recipes that a task may be, by the names of their YAML files.

    Arguments
    ---------
    task : str
        Id such as "KS".

    Returns
    -------
    dict
        Names to recipes.

    Example
    -------
    >>> variants("VC")["any_to_any"]
    'SUPERB/VC/any_to_any'
    """
    found = _variants(task_of(task).recipe)
    if not found:
        raise PlanError(f"there is no recipe for {task} in this installation")
    return found


@functools.lru_cache(maxsize=None)
def _variants(recipe):
    files = resources.recipe_files()
    beside = files[recipe].parent if recipe in files else None
    return {file.stem: name for name, file in files.items() if file.parent == beside}


def recipe(task, variant=None):
    """Returns the recipe of a task.

    Arguments
    ---------
    task : str
        Id such as "KS".
    variant : str, optional
        Another YAML in the folder of the recipe; default: the one of the task.

    Returns
    -------
    str
        One of :func:`s3prl_sb.resources.recipe_files`.

    Example
    -------
    >>> recipe("KS"), recipe("VC", "vcc2016")
    ('SUPERB/KS', 'SUPERB/VC/vcc2016')
    """
    if variant is None:
        return task_of(task).recipe
    return variants(task)[variant]


def schema(task, variant=None):
    """Returns the schema of a task's recipe.

    Arguments
    ---------
    task, variant
        See :func:`recipe`.

    Returns
    -------
    s3prl_sb.schema.keys.Schema
    """
    variants(task)  # there is a recipe
    return _schema(recipe(task, variant))


@functools.lru_cache(maxsize=None)
def _schema(recipe):
    return Schema.of_recipe(recipe)


def settings(task, variant=None):
    """Returns the keys of a task's recipe, with unresolved references.

    Arguments
    ---------
    task, variant
        See :func:`recipe`.

    Returns
    -------
    dict
    """
    declared = schema(task, variant)
    return {key: declared.tree[key] for key in declared}


def variant_of(*several):
    """Returns the variant of a recipe that keys choose, the last one that does.

    Arguments
    ---------
    *several : dict or None
        Keys and values.

    Returns
    -------
    str or None

    Example
    -------
    >>> variant_of({"lr": 1}, {"variant": "knn"}, None), variant_of({})
    ('knn', None)
    """
    chosen = [keys[VARIANT] for keys in several if keys and VARIANT in keys]
    return chosen[-1] if chosen else None


def own_variant(keys):
    """Returns keys without a variant that is the recipe of the task itself.

    Arguments
    ---------
    keys : dict
        Keys and values.

    Returns
    -------
    dict

    Example
    -------
    >>> own_variant({"variant": None, "lr": 1}), own_variant({"variant": "knn"})
    ({'lr': 1}, {'variant': 'knn'})
    """
    if keys.get(VARIANT, ...) is None:
        return {key: value for key, value in keys.items() if key != VARIANT}
    return keys


def without_lacking(task, keys):
    """Returns keys without those of the suite that a chosen variant lacks.

    Arguments
    ---------
    task : str
        Id such as "KS".
    keys : dict
        Keys and values.

    Returns
    -------
    dict
    """
    if variant_of(keys) is None:
        return keys
    declared = {VARIANT, *schema(task, variant_of(keys))}
    of_suite = task_of(task).keys
    return {k: v for k, v in keys.items() if k in declared or k not in of_suite}


def is_trained(task, variant=None):
    """Returns whether a task trains, so that the learning rate matters.

    Arguments
    ---------
    task, variant
        See :func:`recipe`.

    Returns
    -------
    bool

    Example
    -------
    >>> is_trained("KS"), is_trained("QbE")
    (True, False)
    """
    return "total_steps" in schema(task, variant)


def check_keys(task, overrides, where, lines=None, variant=None):
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
    variant : str, optional
        Variant of the recipe that other keys choose.

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
    places = _Places(task, overrides if lines is None else lines, where)
    values = _checked_variant(task, overrides, places)
    declared = schema(task, values.get(VARIANT, variant))
    for key, value in overrides.items():
        place = places.of(key)
        if key == VARIANT:
            continue
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
    named.check_pooling(values, declared, where, places.of(named.POOLING))
    return values


class _Places:
    """Places of the keys of a task, for messages."""

    def __init__(self, task, lines, where):
        self.task, self.lines, self.where = task, lines, where

    def of(self, key):
        line = line_of(self.lines, key)
        where = f"{self.where}:{line}" if line else self.where
        return f"{where}: {self.task}: "


def _checked_variant(task, overrides, places):
    """Returns the variant among keys, if it is another than the task's own."""
    variant, known = overrides.get(VARIANT), variants(task)
    if VARIANT not in overrides:
        return {}
    if variant not in known:
        raise PlanError(f"{places.of(VARIANT)}{unknown(VARIANT, variant, known)}")
    return {VARIANT: None if recipe(task) == known[variant] else str(variant)}


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
    tree = schema(task, variant_of(keys)).tree
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
