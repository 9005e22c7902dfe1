"""Names of several upstreams as one: ``wavlm_base+mel``.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import Path


def summands(name: str) -> list[str]:
    """Returns the names of the upstreams in a sum of them.

    Arguments
    ---------
    name : str
        Name of an upstream, as the user writes it.

    Returns
    -------
    list of str
        Empty for any other name: of one upstream, of an existing file or folder, or an
        address.

    Example
    -------
    >>> summands("wavlm_base+mel"), summands("wavlm_base"), summands("https://a.org/+b")
    (['wavlm_base', 'mel'], [], [])
    """
    names = [part.strip() for part in str(name).split("+")]
    if len(names) < 2 or not all(names) or "://" in str(name):
        return []
    return [] if Path(without_entry(str(name))).expanduser().exists() else names


def without_entry(name: str) -> str:
    """Returns the file in the name of an entry of a card file; other names as they are.

    Arguments
    ---------
    name : str
        Name of an upstream, as the user writes it.

    Returns
    -------
    str

    Example
    -------
    >>> without_entry("cards/mine.yaml:big"), without_entry("wavlm_base")
    ('cards/mine.yaml', 'wavlm_base')
    """
    return re.sub(r"(\.ya?ml):\w+$", r"\1", name)
