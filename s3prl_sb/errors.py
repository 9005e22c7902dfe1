"""Errors that the user can fix.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re

#: What PyTorch writes before the message of an error in a worker of a DataLoader.
IN_WORKER = re.compile(r"Caught (\w+) in .*\nOriginal Traceback .*\n[\w.]*\1: ", re.S)
#: Log-in of a URL, and the values of parameters that grant access, such as signatures.
LOGIN = re.compile(r"(?<=://)[^/\s'\"?#]+@")
SECRET = re.compile(
    r"([?&][^=&\s]*(?:signature|token|secret|passw|credential|key|auth|\bsig\b)"
    r"[^=&\s]*=)(?:[^&\s'\"#:]|:(?!\s|$|\d+:\d))+",  # not the bytes of a member
    re.I,
)


class UserError(Exception):
    """Base class of errors that the user can fix.

    Its message names the place and the way out, without the secrets of URLs. A recipe
    prints the message alone; with ``S3PRL_SB_TRACEBACK=1`` it prints the traceback too.
    """

    def __str__(self):
        text = super().__str__()
        if not os.environ.get("S3PRL_SB_TRACEBACK"):
            text = IN_WORKER.sub("", text).rstrip()
        return without_secrets(text)


class MissingExtra(UserError, ImportError):
    """Missing library of an optional extra.

    Its message ends with the command that installs it.
    """


class ManifestError(UserError, ValueError):
    """A fault in a manifest or its audio; the message names the place and the fix."""

    SHOWN = 5  #: faults in one message

    @classmethod
    def listing(cls, faults, way_out, total=None):
        """Returns an error that shows the first faults, their number and the fix.

        Arguments
        ---------
        faults : list of str
            One line each.
        way_out : str
            The fix, as a sentence.
        total : int, optional
            Number of records that were checked.

        Returns
        -------
        ManifestError
        """
        lines = faults[: cls.SHOWN]
        if len(faults) > cls.SHOWN:
            lines.append(f"... and {len(faults) - cls.SHOWN} more")
        count = f"{len(faults)} of {total}. " if total and len(faults) > 1 else ""
        return cls("\n".join([*lines, count + way_out]))


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


def without_secrets(text: str) -> str:
    """Replaces log-ins and signatures of URLs in a text.

    Arguments
    ---------
    text : str
        Any text, such as a message.

    Returns
    -------
    str

    Example
    -------
    >>> without_secrets("https://me:s@cret@host/a.wav?id=3&X-Amz-Signature=12: gone")
    'https://***@host/a.wav?id=3&X-Amz-Signature=***: gone'
    >>> without_secrets("https://host/a.tar?sig=1:b:512:44")
    'https://host/a.tar?sig=***:512:44'
    """
    if "://" not in text:
        return text
    return SECRET.sub(r"\1***", LOGIN.sub("***@", text))
