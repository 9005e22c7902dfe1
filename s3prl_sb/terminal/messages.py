"""Words of messages: names that are near, what an exception says, what occurs often.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import logging

COMPUTES = False


def near(name, known, prefix=""):
    """A sentence with the names that are near, or with all.

    Arguments
    ---------
    name : str
        As given.
    known : list of str
        Those that there are.
    prefix : str
        Comes before each in the sentence.

    Returns
    -------
    str

    Example
    -------
    >>> near("lable", ["label", "id"]), near("xyz", ["label", "id"])
    ('Did you mean label?', 'There are: label, id.')
    """
    found = difflib.get_close_matches(name, known, n=3)
    found, known = ([f"{prefix}{name}" for name in names] for names in (found, known))
    if found:
        return f"Did you mean {' or '.join(found)}?"
    if not known:
        return "There are none."
    more = f", and {len(known) - 12} more" if len(known) > 12 else ""
    return f"There are: {', '.join(known[:12])}{more}."


def few(names, most=10):
    """The first of many names, and how many there are more.

    Arguments
    ---------
    names : iterable of str
        In the order that they are to be said in.
    most : int
        So many are named.

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


def reason(error):
    """What an exception says, in one line.

    Arguments
    ---------
    error : Exception
        Of whatever kind.

    Returns
    -------
    str
        Without a full stop.

    Example
    -------
    >>> reason(ValueError("two\\n  lines."))
    'two lines'
    """
    said = error.args
    if len(said) > 1 and str(said[0]).startswith("Invalid argument to"):  # HyperPyYAML
        said = [f"{str(said[0]).rsplit(' ', 1)[1]}: {said[1]}"]
    elif isinstance(error, OSError) and error.strerror:
        said = [": ".join(filter(None, [error.filename, error.strerror]))]
    elif getattr(error, "problem_mark", None) is not None:  # of YAML
        said = [error.problem]
    text = " ".join(" ".join(map(str, said)).split()).rstrip(".")
    if isinstance(error, KeyError):
        text = f"there is no {text}"
    text = text or type(error).__name__
    return text if len(text) <= 500 else f"{text[:500]}…"


class Counted:
    """A warning of what may occur often: said the first time, the tenth, …

    Each process counts for itself; what has been said of a thing is not counted again.

    Arguments
    ---------
    name : str
        Of the logger.
    text : str
        With ``%`` for what :meth:`warn` is given, and ``%d`` for their number last.

    Example
    -------
    >>> often = Counted("example", "%s is odd. Such files: %d")
    >>> [often.warn(f"{number % 20}.wav") for number in range(40)].count(True)
    2
    """

    def __init__(self, name, text):
        self.logger, self.text = logging.getLogger(name), text
        self.seen = set()

    def warn(self, thing, *about):
        """Counts, and says it if the number is a power of ten.

        Arguments
        ---------
        thing : str
            What it is about.
        *about : object
            More for the text.

        Returns
        -------
        bool
            Whether it was said.
        """
        before = len(self.seen)
        self.seen.add(hash(thing))
        count = len(self.seen)
        is_said = count > before and str(count).strip("0") == "1"
        if is_said:
            self.logger.warning(self.text, thing, *about, count)
        return is_said
