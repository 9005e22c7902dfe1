"""Keys for all tasks at once: which tasks have them, and which they fit.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.benchmark.keys import (
    VARIANT,
    PlanError,
    check_combination,
    check_keys,
    schema,
    settings,
    variant_of,
    variants,
)
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import line_of
from s3prl_sb.runs.tasks import unknown

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


def choosing(variant, tasks, where):
    """Returns which tasks have a variant that is chosen for all of them.

    Arguments
    ---------
    variant : str or None
        Name of another YAML of recipes; None: none is chosen.
    tasks : iterable of str
        The tasks.
    where : str
        The file or option that chooses it, for messages.

    Returns
    -------
    chosen : dict
        Task to the key of the variant, or to nothing.
    refused : dict
        Task without it to the reason why it gets no run.

    Raises
    ------
    PlanError
        If no task has it.

    Example
    -------
    >>> choosing("vcc2016", ["SD", "VC"], "--set")[1]
    {'SD': "its recipe has no variant 'vcc2016'"}
    """
    if variant is None:
        return {task: {} for task in tasks}, {}
    known = {task: variants(task) for task in tasks}
    if not any(variant in names for names in known.values()):
        every = dict.fromkeys(name for names in known.values() for name in names)
        raise PlanError(f"{where}: {unknown(VARIANT, variant, every)}")
    chosen, refused = {}, {}
    for task, names in known.items():
        chosen[task] = {VARIANT: variant} if variant in names else {}
        if not chosen[task]:
            refused[task] = f"its recipe has no variant '{variant}'"
    return chosen, refused


def check_names(keys, tasks, where, lines=None):
    """Checks that keys for all tasks exist, and are left to the user.

    Arguments
    ---------
    keys : iterable of str
        Keys.
    tasks : dict
        Task to its other keys, which may choose a variant of the recipe.
    where : str
        Their file or option, for messages.
    lines : dict, optional
        The mapping of ruamel.yaml that has the lines.

    Raises
    ------
    PlanError
        If a recipe does not have the key, or the command itself sets it.
    """
    used = [schema(task, variant_of(others)) for task, others in tasks.items()]
    names = sorted({key for declared in used for key in declared})
    for key in keys:
        line = line_of(lines, key) if lines else None
        place = f"{where}:{line}: {ALL}" if line else where
        if any(key in declared and declared[key].by for declared in used):
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
            rest = others.get(task) or {}
            checked = check_keys(task, keys, where, lines, variant_of(rest, keys))
            before = settings(task, variant_of(rest, checked))
            check_combination(task, {**before, **rest, **checked})
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
