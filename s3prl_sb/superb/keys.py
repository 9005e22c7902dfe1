"""Keys of recipes that a benchmark is given, checked before anything runs.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import inspect
import math
import pydoc

from s3prl_sb import resources
from s3prl_sb.arguments import COUNTS, is_count
from s3prl_sb.files import read_yaml
from s3prl_sb.superb.tasks import recipe, unknown

#: Keys of a recipe that the command itself sets.
RESERVED = ("upstream", "seed", "output_folder", "save_folder", "lr_search", "fold")


@functools.lru_cache(maxsize=None)
def settings(task):
    """The YAML of a task's recipe, not resolved.

    Arguments
    ---------
    task : str
        Such as "KS".

    Returns
    -------
    dict
    """
    place = resources.recipes().get(recipe(task))
    if place is None:
        raise ValueError(f"there is no recipe for {task} in this installation")
    return read_yaml(place / "hparams" / "train.yaml", "a recipe", kind=dict)


def check_keys(task, overrides, where):
    """Makes sure that a recipe has these keys, and numbers where it wants numbers.

    Arguments
    ---------
    task : str
        Such as "KS".
    overrides : dict
        Keys and values.
    where : str
        The file that they stand in, for the message.

    Raises
    ------
    ValueError
        With the nearest keys, or what is wanted.
    """
    defaults = settings(task)
    known = [key for key in defaults if not key.startswith("__")]
    for key, value in overrides.items():
        if key == "fold" and key in known:
            raise ValueError(
                f"{where}: {task}: '{key}' is set by the command itself, which runs "
                "all folds"
            )
        if key in RESERVED:
            raise ValueError(f"{where}: {task}: '{key}' is set by the command itself")
        if key not in known:
            raise ValueError(f"{where}: {task}: {unknown('key', key, known)}")
        wanted = _kind(defaults[key])
        if wanted and value is not None and _kind(value) != wanted:
            raise ValueError(
                f"{where}: {task}: {key} is {wanted}, such as {defaults[key]}, not "
                f"{value!r}"
            )
        if key == "batch_size" and value is None:
            continue  # with batch_seconds
        if key in COUNTS and not is_count(value):
            raise ValueError(
                f"{where}: {task}: {key} is a whole number from 1 on, not {value!r}"
            )
        if isinstance(value, dict):
            _check_inside(defaults[key], value, f"{where}: {task}: ", f"{key}.")


def check_steps(task, keys):
    """Makes sure that epochs are whole.

    Arguments
    ---------
    task : str
        Such as "KS".
    keys : dict
        Of its recipe, those that are overridden too.

    Raises
    ------
    ValueError
        With numbers that would do.
    """
    total, epoch = keys.get("total_steps", 0), keys.get("steps_per_epoch", 1)
    if total % epoch:
        raise ValueError(
            f"{task}: total_steps {total} is no multiple of steps_per_epoch {epoch}: "
            f"give both in the budget, such as {task}: {{total_steps: {total}, "
            f"steps_per_epoch: {math.gcd(total, epoch)}}}"
        )


def _check_inside(node, values, where, prefix):
    """Makes sure that a mapping of a recipe, or what it makes, has these keys."""
    if not isinstance(node, dict):
        return  # the recipe says what is wrong with it
    tag = getattr(node.tag, "value", None) or ""
    known = set(map(str, node)) | _arguments(tag)
    if ... in known:
        return
    names = [prefix + name for name in sorted(known)]
    for key, value in values.items():
        if str(key) not in known:
            raise ValueError(f"{where}{unknown('key', f'{prefix}{key}', names)}")
        if isinstance(value, dict) and key in node:
            _check_inside(node[key], value, where, f"{prefix}{key}.")


def _arguments(tag):
    """What a class or function takes that a tag names; `...` is for anything."""
    if not tag:
        return set()
    kind, _, name = tag.partition(":")
    made = pydoc.locate(name) if kind in ("!new", "!name") else None
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):
        return {...}
    return {... if p.kind is p.VAR_KEYWORD else p.name for p in parameters}


def _kind(value):
    """What a plain value is called, if it is no text and nothing larger."""
    if isinstance(value, bool):
        return "True or False"
    return "a number" if isinstance(value, (int, float)) else None
