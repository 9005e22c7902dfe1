"""Small corpora of synthetic speech, in the folder layout of the real ones.

A toy has the folders, names and lists of the original, so that the original's parser
reads it, and many synthetic voices. Every recipe can be tried without a download.
Scores on a toy show that things work, nothing about the real corpus.

Each file depends on the seed and its name only: the same parameters give the same
bytes. Each toy is a module in this folder with a function of its name.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib
from pathlib import Path

#: Names for ``s3prl-sb toy NAME DESTINATION``.
TOYS = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in ("__init__", "making")
)


def make(name, destination, **parameters):
    """Makes a toy corpus, or returns at once if it exists.

    Arguments
    ---------
    name : str
        Name in ``TOYS``.
    destination : str
        Folder to make.
    **parameters
        Arguments of its function, such as ``speakers`` and ``seed``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ValueError
        If there is no such toy.
    FileExistsError
        If anything else is at the destination.

    Example
    -------
    >>> make("switchboard", "corpora/switchboard")
    Traceback (most recent call last):
    ...
    ValueError: no toy of 'switchboard'. There are: ..., timit, voxceleb1
    """
    if name not in TOYS:
        raise ValueError(f"no toy of '{name}'. There are: {', '.join(TOYS)}")
    module = importlib.import_module(f"{__name__}.{name}")
    return getattr(module, name)(destination, **parameters)
