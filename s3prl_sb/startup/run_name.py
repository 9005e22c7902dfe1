"""``--name``: another output folder next to the default one of a recipe.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import tag

FLAG = "--name"
FOLDER = "output_folder"
_ALLOWED = re.compile(r"[^\W_][\w.+=,@-]*")


class PlaceError(UserError, ValueError):
    """Invalid name of a run."""


def split_name(argv: list[str]) -> tuple[list[str], str | None]:
    """Splits ``--name`` off a command line.

    In a user-defined recipe that has a key ``name``, ``--name`` is that key.

    Arguments
    ---------
    argv : list of str
        Command line.

    Returns
    -------
    argv : list of str
        Command line without ``--name``.
    name : str or None

    Raises
    ------
    PlaceError
        For a name that is not valid in a folder, or two names.

    Example
    -------
    >>> split_name(["train.yaml", "--name", "long", "--lr", "0.1"])
    (['train.yaml', '--lr', '0.1'], 'long')
    """
    if _is_key(argv):
        return list(argv), None
    others, names, rest = [], [], iter(argv)
    for argument in rest:
        flag, equals, value = argument.partition("=")
        if flag != FLAG:
            others.append(argument)
            continue
        name = value if equals else next(rest, None)
        if name is None:
            raise PlaceError("--name has no value. It is a name, such as --name long.")
        names.append(name)
    if len(names) > 1:
        raise PlaceError("--name is given twice: keep one.")
    for name in names:
        if not _ALLOWED.fullmatch(name):
            raise PlaceError(
                f"--name {name!r}: it becomes part of a folder's name. Give letters, "
                "digits, and . + = , @ _ - between them."
            )
    return others, names[0] if names else None


def _is_key(argv):
    """Returns whether the recipe's YAML has a key ``name``."""
    file = Path(argv[0]) if argv else None
    if file is None or file.suffix not in (".yaml", ".yml") or not file.is_file():
        return False
    return re.search(rb"^name\s*:", file.read_bytes(), re.M) is not None


def named_folder(name: str, tree: dict, changes: dict):
    """Returns the value of ``output_folder`` for a named run.

    Arguments
    ---------
    name : str
        Name from :func:`split_name`.
    tree : dict
        Recipe, as ruamel.yaml reads it.
    changes : dict
        Keys set on the command line, and their values.

    Returns
    -------
    object
        Value in the recipe, references included, followed by ``-name``:
        ``results/KS/<upstream_name>/<seed>-long``.

    Raises
    ------
    PlaceError
        If the command line sets the folder too, or the recipe has none.
    """
    import ruamel.yaml

    if FOLDER in changes or FOLDER not in tree:
        raise PlaceError(
            "--name goes beside the recipe's own output_folder: give one of the two."
        )
    node = tree[FOLDER]
    if tag(node) != "!ref":
        return f"{node}-{name}"
    return ruamel.yaml.comments.TaggedScalar(f"{node.value}-{name}", tag="!ref")
