"""Kinds of values that a key of a recipe may have, and what they are called.

A kind is written as a declaration has it (``recipes/keys.yaml``): ``number``, ``list
of text``, ``text or whole``. Values come from YAML or from a command line, where
``1e-4`` may be a text, and ``no`` is one.

Authors
 * The s3prl_sb developers, 2026
"""

import datetime
import math

#: How YAML 1.1 and people write the two values of a flag.
FLAGS = {"true": True, "yes": True, "on": True}
FLAGS |= {"false": False, "no": False, "off": False}
#: Kinds that are taken from a command line as they are written.
LITERAL = ("text", "folder", "file", "place")
READ = ("folder", "file")
PATHS = (*READ, "place")
#: Kinds that are made by a constructor, and how a YAML file names it.
MADE = {"built": "!new:", "class": "!name:"}
WORDS = {
    "flag": "True or False",
    "count": "a whole number",
    "whole": "a whole number",
    "number": "a number",
    "text": "a text",
    "folder": "a folder",
    "place": "a folder",
    "file": "a file",
    "mapping": "a mapping",
    "built": "an object made by !new:",
    "class": "a class or a function named by !name:",
    "any": "anything",
}
PLURALS = {
    "count": "whole numbers",
    "whole": "whole numbers",
    "flag": "flags",
    "built": "objects made by !new:",
    "class": "classes or functions named by !name:",
}


class WrongKind(ValueError):
    """A value of another kind."""


def split(kind):
    """The alternatives of a kind.

    Arguments
    ---------
    kind : str
        Such as "text or list of whole".

    Returns
    -------
    list of tuple
        Of a name from :data:`WORDS` and whether it is a list of them.

    Raises
    ------
    WrongKind
        For a name that no kind has.

    Example
    -------
    >>> split("text or list of whole")
    [('text', False), ('whole', True)]
    """
    found = []
    for part in str(kind).split(" or "):
        name = part.removeprefix("list of ")
        if name not in WORDS:
            raise WrongKind(f"'{name}' is no kind. There are: {', '.join(WORDS)}")
        found.append((name, name != part))
    return found


def is_flag(text):
    """Whether a text is one of the ways to write a flag.

    Example
    -------
    >>> is_flag("off"), is_flag("No"), is_flag("0")
    (True, True, False)
    """
    return isinstance(text, str) and text.lower() in FLAGS


def flag(value, name="the flag"):
    """A flag as it is meant.

    Arguments
    ---------
    value : bool or str
        True, False, or a text such as "no" or "off", as YAML 1.2 and the command
        line give them; any text would count as true.
    name : str
        Its name, for the error.

    Returns
    -------
    bool

    Raises
    ------
    WrongKind
        For anything else.

    Example
    -------
    >>> flag("no"), flag(True), flag("On")
    (False, True, True)
    """
    if isinstance(value, bool):
        return value
    if is_flag(value):
        return FLAGS[value.lower()]
    raise WrongKind(f"{name} is True or False, not {value!r}")


def convert(value, name):
    """A value as one of a kind.

    Arguments
    ---------
    value : object
        As YAML gives it.
    name : str
        From :data:`WORDS`.

    Returns
    -------
    object

    Raises
    ------
    WrongKind
        If it is none; its message is empty.

    Example
    -------
    >>> convert("1e-4", "number"), convert(1e3, "count"), convert(17, "text")
    (0.0001, 1000, '17')
    """
    if name == "any":
        return value
    if name == "flag":
        return flag(value)
    if name in ("number", "count", "whole"):
        return _number(
            value, whole=name != "number", least=1 if name == "count" else None
        )
    if name in LITERAL and isinstance(value, (str, int, float, datetime.date)):
        # YAML reads the names 17 and 2024-01-01 otherwise; flags are mistakes
        if not isinstance(value, bool) and value != "":
            return value if isinstance(value, str) else str(value)
    if name == "mapping" and isinstance(value, dict):
        return value
    raise WrongKind


def _number(value, whole, least):
    if isinstance(value, str):
        try:
            value = float(value) if set(value) & set(".eE") else int(value)
        except ValueError:
            raise WrongKind from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongKind
    if not math.isfinite(value):
        raise WrongKind
    if isinstance(value, float):  # not ruamel's own, which is written as it was
        value = float(value)
    else:
        value = int(value)
    if whole:
        if value != int(value) or (least is not None and value < least):
            raise WrongKind
        return int(value)
    return value


def described(kind, choices=(), low=None, above=None, high=None, optional=False):
    """What a kind is called in a message and in the help.

    Arguments
    ---------
    kind : str
        The kind; None where the choices say it.
    choices : sequence
        The texts, or without a kind the values, that it may be.
    low, above, high : float, optional
        The range of a number.
    optional : bool
        Whether it may be null.

    Returns
    -------
    str

    Example
    -------
    >>> described("number", above=0, high=1, optional=True)
    'a number above 0, up to 1, or null'
    >>> described("text or list of whole", choices=["all", "last"])
    'all, last or a list of whole numbers'
    """
    words = []
    for name, is_list in split(kind) if kind else ():
        if name == "text" and choices and not is_list:
            words += choices
            continue
        if name == "count" and low is None and above is None:
            limit = " from 1 on"
        else:
            limit = _range(low, above, high)
        if is_list:
            plural = PLURALS.get(name) or f"{WORDS[name].removeprefix('a ')}s"
            words.append(f"a list of {plural}{limit}")
        else:
            words.append(WORDS[name] + (limit if "number" in WORDS[name] else ""))
    words += choices if not kind else ()
    words = [str(word) for word in words]
    if optional:
        last = ", or null" if "," in words[-1] else " or null"
        return (
            listed(words, " or ") + last
            if len(words) == 1
            else listed([*words, "null"])
        )
    return listed(words)


def listed(words, last=" or "):
    """Words as one says them: a, b or c.

    Example
    -------
    >>> listed(["a", "b", "c"])
    'a, b or c'
    """
    words = list(map(str, words))
    return last.join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def _range(low, above, high):
    if low is not None and high is not None:
        return f" from {low:g} to {high:.10g}"
    text = f" from {low:g} on" if low is not None else ""
    text = f" above {above:g}" if above is not None else text
    if high is not None:
        text += f"{',' if text else ''} up to {high:.10g}"
    return text
