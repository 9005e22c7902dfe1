"""``--name``: a second setting beside the default folder of a recipe.

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
    """A name that no folder can have."""


def taken(argv):
    """A command line without ``--name``, and the name.

    In a recipe of one's own that has a key ``name``, it is that key.

    Arguments
    ---------
    argv : list of str
        The command line.

    Returns
    -------
    argv : list of str
    name : str or None

    Raises
    ------
    PlaceError
        If it is no name, or there are two.

    Example
    -------
    >>> taken(["train.yaml", "--name", "long", "--lr", "0.1"])
    (['train.yaml', '--lr', '0.1'], 'long')
    """
    if _is_key(argv):
        return list(argv), None
    kept, found, waits = [], [], False
    for argument in argv:
        if waits:
            found.append(argument)
            waits = False
        elif argument == FLAG:
            waits = True
        elif argument.startswith(f"{FLAG}="):
            found.append(argument.partition("=")[2])
        else:
            kept.append(argument)
    if waits:
        raise PlaceError("--name has no value. It is a name, such as --name long.")
    if len(found) > 1:
        raise PlaceError("--name is given twice: keep one.")
    for name in found:
        if not _ALLOWED.fullmatch(name):
            raise PlaceError(
                f"--name {name!r}: it becomes part of a folder's name. Give letters, "
                "digits, and . + = , @ _ - between them."
            )
    return kept, found[0] if found else None


def _is_key(argv):
    """Whether the YAML that the command line begins with has a key ``name``."""
    file = Path(argv[0]) if argv else None
    if file is None or file.suffix not in (".yaml", ".yml") or not file.is_file():
        return False
    return re.search(rb"^name\s*:", file.read_bytes(), re.M) is not None


def folder(name, tree, changes):
    """The value of ``output_folder`` under a name.

    Arguments
    ---------
    name : str
        From :func:`taken`.
    tree : dict
        The recipe, as ruamel.yaml reads it.
    changes : dict
        What the command line gives.

    Returns
    -------
    object
        As the recipe has it, references included, with ``-name`` at its end:
        ``results/KS/<upstream_name>/<seed>-long``.

    Raises
    ------
    PlaceError
        If the command line gives a folder too, or the recipe has none.
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
