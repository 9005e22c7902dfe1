"""Parts of messages: similar names, short lists, exceptions, frequent warnings.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import logging

COMPUTES = False


def near(name, choices, prefix=""):
    """Returns a sentence with similar names, or with all valid names.

    Arguments
    ---------
    name : str
        Unknown name.
    choices : list of str
        Valid names.
    prefix : str
        Prefix of each name in the sentence.

    Returns
    -------
    str

    Example
    -------
    >>> near("lable", ["label", "id"]), near("xyz", ["label", "id"])
    ('Did you mean label?', 'There are: label, id.')
    """
    similar = difflib.get_close_matches(name, choices, n=3)
    if similar:
        return f"Did you mean {' or '.join(prefix + name for name in similar)}?"
    choices = [f"{prefix}{choice}" for choice in choices]
    if not choices:
        return "There are none."
    more = f", and {len(choices) - 12} more" if len(choices) > 12 else ""
    return f"There are: {', '.join(choices[:12])}{more}."


def few(names, most=10):
    """Returns the first of many names, and the number of the others.

    Arguments
    ---------
    names : iterable of str
        Names, in the order of the message.
    most : int
        Maximum number of names.

    Returns
    -------
    str

    Example
    -------
    >>> few("abc", 2), few("")
    ('a, b and 1 more', 'none')
    """
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more or "none"


def excerpt(text, most=60):
    """Returns a text from a file in quotes, if it is long its beginning.

    Arguments
    ---------
    text : object
        Text, or a value of JSON.
    most : int
        Maximum number of characters.

    Returns
    -------
    str

    Example
    -------
    >>> print(excerpt("a b"), excerpt(7 * "abc", 4), excerpt(["x", 1]))
    'a b' 'abca…' ['x', 1]
    """
    if isinstance(text, str):
        return repr(text if len(text) <= most else f"{text[:most]}…")
    shown = repr(text)
    return shown if len(shown) <= most else f"{shown[:most]}…"


def setting(value, most=80):
    """Returns the value of a setting as YAML has it, if it is long its beginning.

    Arguments
    ---------
    value : object
        Value of a key.
    most : int
        Maximum number of characters.

    Returns
    -------
    str

    Example
    -------
    >>> setting(None), setting(0.5), setting("abcdef", 2)
    ('null', '0.5', 'ab…')
    """
    text = "null" if value is None else str(value)
    return text if len(text) <= most else f"{text[:most]}…"


def reason(error):
    """Returns the message of an exception in one line.

    Arguments
    ---------
    error : Exception
        Any exception.

    Returns
    -------
    str
        The message without a full stop.

    Example
    -------
    >>> reason(ValueError("two\\n  lines."))
    'two lines'
    """
    args = error.args
    if len(args) > 1 and str(args[0]).startswith("Invalid argument to"):  # HyperPyYAML
        args = [f"{str(args[0]).rsplit(' ', 1)[1]}: {args[1]}"]
    elif isinstance(error, OSError) and error.strerror:
        args = [": ".join(filter(None, [error.filename, error.strerror]))]
    elif getattr(error, "problem_mark", None) is not None:  # a YAML error
        args = [error.problem]
    text = " ".join(" ".join(map(str, args)).split()).rstrip(".")
    if isinstance(error, KeyError):
        text = f"there is no {text}"
    text = text or type(error).__name__
    return text if len(text) <= 500 else f"{text[:500]}…"


class Counted:
    """Warning of a frequent event, logged for the first, tenth, hundredth, … time.

    Each process counts for itself, and counts a thing only once.

    Arguments
    ---------
    name : str
        Name of the logger.
    text : str
        Message with ``%s`` for each argument of :meth:`warn`, and ``%d`` for the
        number of things at the end.

    Example
    -------
    >>> often = Counted("example", "%s is odd. Such files: %d")
    >>> [often.warn(f"{number % 20}.wav") for number in range(40)].count(True)
    2
    """

    def __init__(self, name, text):
        self.logger, self.text = logging.getLogger(name), text
        self.seen = set()

    def warn(self, thing, *details):
        """Counts a thing, and logs the warning if the number is a power of ten.

        Arguments
        ---------
        thing : str
            Subject of the warning, such as a file.
        *details : object
            Further arguments of the text.

        Returns
        -------
        bool
            True if the warning was logged.
        """
        before = len(self.seen)
        self.seen.add(hash(thing))
        count = len(self.seen)
        is_logged = count > before and str(count).strip("0") == "1"
        if is_logged:
            self.logger.warning(self.text, thing, *details, count)
        return is_logged
