"""Facts as text of Markdown: they may be from outside, and format nothing.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.errors import printable


def plain(value: object) -> str:
    r"""Returns a value as text without Markdown and HTML.

    Arguments
    ---------
    value : object

    Returns
    -------
    str

    Example
    -------
    >>> print(plain("<b> *x*"))
    \<b\> \*x\*
    """
    return re.sub(r"([\\`*\[\]<>~])", r"\\\1", printable(value))


def code(value: object) -> str:
    """Returns a value in the font of code.

    Arguments
    ---------
    value : object

    Returns
    -------
    str

    Example
    -------
    >>> code("a`b")
    "`a'b`"
    """
    shown = printable(value).replace("`", "'")
    return f"`{shown}`"


def slug(value: object) -> str:
    """Returns a value as a tag of the hub.

    Arguments
    ---------
    value : object

    Returns
    -------
    str

    Example
    -------
    >>> slug("SUPERB/KS"), slug("?")
    ('superb-ks', 'other')
    """
    return re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-") or "other"
