"""Errors that the user can fix.

Authors
 * The s3prl_sb developers, 2026
"""


class UserError(Exception):
    """Base class of errors that the user can fix.

    Its message names the place and the way out. A recipe prints the message alone;
    with ``S3PRL_SB_TRACEBACK=1`` it prints the traceback too.
    """


class MissingExtra(UserError, ImportError):
    """Missing library of an optional extra.

    Its message ends with the command that installs it.
    """


def printable(text: object) -> str:
    r"""Replaces the characters of untrusted text that could control a terminal.

    Arguments
    ---------
    text : str
        Text from a file.

    Returns
    -------
    str
        One line, with ``?`` for each character that is not printable.

    Example
    -------
    >>> printable("a\x1b[2K\nb")
    'a?[2K?b'
    """
    return "".join(c if c.isprintable() else "?" for c in str(text))
