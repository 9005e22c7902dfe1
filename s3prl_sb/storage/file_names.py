"""Names of files for utterances, whose ids may be paths.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.identity import digest

LONGEST = 160  # bytes


def file_stem(name: str) -> str:
    """Returns the beginning of the name of a file; no two ids share it.

    Arguments
    ---------
    name : str
        Id of an utterance.

    Returns
    -------
    str
        The id with "--" for each slash. An id that has "--" itself, or is very long,
        becomes a digest and its end.

    Example
    -------
    >>> file_stem("ann/1"), file_stem("ann--1") == file_stem("ann/1")
    ('ann--1', False)
    """
    stem = name.replace("/", "--")
    if "--" in name or len(stem.encode()) > LONGEST:  # another id may have this name
        stem = f"{digest(name)[:8]}-{stem[-LONGEST // 4 :]}"
    return stem
