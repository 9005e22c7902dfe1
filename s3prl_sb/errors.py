"""Mistakes that whoever runs the program can mend.

Authors
 * The s3prl_sb developers, 2026
"""


class UserError(Exception):
    """Base of errors whose message names the place and the way out.

    A recipe prints the message alone; with ``S3PRL_SB_TRACEBACK=1`` also where it
    comes from.
    """


class MissingExtra(UserError, ImportError):
    """A library that comes with an extra, and is not here.

    Its message ends with what installs it.
    """


def printable(text):
    r"""A text of somebody else's that can do nothing to a terminal, nor begin a line.

    Arguments
    ---------
    text : str
        Whatever a file says.

    Returns
    -------
    str

    Example
    -------
    >>> printable("a\x1b[2K\nb")
    'a?[2K?b'
    """
    return "".join(c if c.isprintable() else "?" for c in str(text))
