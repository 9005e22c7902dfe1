"""Keys for all tasks at once: which tasks have them, and which they fit.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.benchmark.keys import (
    PlanError,
    check_combination,
    check_keys,
    is_reserved,
    schema,
    settings,
)
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import line_of
from s3prl_sb.runs.tasks import TASKS, unknown

ALL = "all"  # a section of a budget for all tasks


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
        replaces = not inside or "name" in value
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
