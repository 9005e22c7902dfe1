"""Kinds of values of a recipe's keys, and their descriptions.

A kind is written as in a declaration (``recipes/keys.yaml``): ``number``, ``list of
text``, ``text or whole``. Values come from YAML or from the command line, where
``1e-4`` and ``no`` may be text.

Authors
 * The s3prl_sb developers, 2026
"""

import datetime
import math

#: Spellings of the two values of a flag, as in YAML 1.1.
FLAGS = {"true": True, "yes": True, "on": True}
FLAGS |= {"false": False, "no": False, "off": False}
#: Kinds whose text on the command line is taken literally.
LITERAL = ("text", "folder", "file", "place")
READ = ("folder", "file")
PATHS = (*READ, "place")
#: Kinds that a constructor makes, and its tag in YAML.
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
    """Value of another kind."""


def split(kind):
    """Splits a kind into its alternatives.

    Arguments
    ---------
    kind : str
        Kind such as "text or list of whole".

    Returns
    -------
    list of tuple
        Pairs of a name from :data:`WORDS` and whether it is a list.

    Raises
    ------
    WrongKind
        For an unknown name.

    Example
    -------
    >>> split("text or list of whole")
    [('text', False), ('whole', True)]
    """
    alternatives = []
    for part in str(kind).split(" or "):
        name = part.removeprefix("list of ")
        if name not in WORDS:
            raise WrongKind(f"'{name}' is no kind. There are: {', '.join(WORDS)}")
        alternatives.append((name, name != part))
    return alternatives


def is_flag(text):
    """Returns whether a text is a spelling of a flag.

    Example
    -------
    >>> is_flag("off"), is_flag("No"), is_flag("0")
    (True, True, False)
    """
    return isinstance(text, str) and text.lower() in FLAGS


def flag(value, name="the flag"):
    """Converts a value to a flag.

    Arguments
    ---------
    value : bool or str
        True, False, or text such as "no" or "off" from YAML 1.2 or the command line.
    name : str
        Name of the flag, for the error.

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
    """Converts a value to a kind.

    Arguments
    ---------
    value : object
        Value from YAML.
    name : str
        Name of the kind, from :data:`WORDS`.

    Returns
    -------
    object

    Raises
    ------
    WrongKind
        If it cannot be converted; the message is empty.

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
        return _number(value, name)
    if name in LITERAL and isinstance(value, (str, int, float, datetime.date)):
        # YAML reads the names 17 and 2024-01-01 otherwise; flags are mistakes
        if not isinstance(value, bool) and value != "":
            return value if isinstance(value, str) else str(value)
    if name == "mapping" and isinstance(value, dict):
        return value
    raise WrongKind


def _number(value, name):
    if isinstance(value, str):
        try:
            value = float(value) if set(value) & set(".eE") else int(value)
        except ValueError:
            raise WrongKind from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongKind
    if not math.isfinite(value):
        raise WrongKind
    if name == "number":  # not of ruamel's own types, which keep their format
        return float(value) if isinstance(value, float) else int(value)
    if value != int(value) or (name == "count" and value < 1):
        raise WrongKind
    return int(value)


def described(kind, choices=(), low=None, above=None, high=None, optional=False):
    """Describes a kind for messages and the help.

    Arguments
    ---------
    kind : str
        Kind; None if there are only choices.
    choices : sequence
        Allowed texts, or without a kind allowed values.
    low, above, high : float, optional
        Range of a number.
    optional : bool
        Whether null is allowed.

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
        from_one = name == "count" and low is None and above is None
        limit = " from 1 on" if from_one else _range(low, above, high)
        if is_list:
            plural = PLURALS.get(name) or f"{WORDS[name].removeprefix('a ')}s"
            words.append(f"a list of {plural}{limit}")
        else:
            words.append(WORDS[name] + (limit if "number" in WORDS[name] else ""))
    words += choices if not kind else ()
    if optional and len(words) == 1:
        return f"{words[0]}{', or null' if ',' in str(words[0]) else ' or null'}"
    return listed([*words, "null"] if optional else words)


def listed(words, last=" or "):
    """Joins words to an enumeration: a, b or c.

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
