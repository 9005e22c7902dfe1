"""Names of the entries of Kaldi's arks: a path, a colon and an offset in bytes.

Authors
 * The s3prl_sb developers, 2026
"""

import re

#: The ending tells such a name from a file whose name has a colon. No file has an
#: offset of more digits.
ENTRY = re.compile(r"(.+\.ark):(\d{1,18})", re.DOTALL)


def split(name: str) -> tuple[str, int | None]:
    """Splits the name of an entry into path and offset.

    Arguments
    ---------
    name : str
        Path of any file, or name of an entry of an ark.

    Returns
    -------
    path : str
        The file.
    offset : int or None
        Bytes; None for a name that is a path.

    Example
    -------
    >>> split("fmllr/feats.1.ark:1234"), split("a:1.wav")
    (('fmllr/feats.1.ark', 1234), ('a:1.wav', None))
    """
    match = ENTRY.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, None)


def is_entry(name: str) -> bool:
    """Returns whether a name is that of an entry of an ark."""
    return split(name)[1] is not None
