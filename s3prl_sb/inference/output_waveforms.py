"""Waveforms that predictions write: they never take the place of their input.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Iterable
from pathlib import Path

from s3prl_sb.errors import UserError


class InputLost(UserError, ValueError):
    """A folder where a predicted waveform would replace one that it is made from."""


def check_inputs_stay(
    folder: str | Path, names: Iterable[str], inputs: Iterable[str | Path]
) -> None:
    """Checks that no file to be written is one of the files to be read.

    Arguments
    ---------
    folder : str or pathlib.Path
        Folder of the output.
    names : iterable of str
        Names of the files in it that are going to be written.
    inputs : iterable of str
        Audio files that are going to be read, by any path to them.

    Raises
    ------
    InputLost
        With the first such file.

    Example
    -------
    >>> check_inputs_stay("enhanced", ["a.wav"], ["noisy/a.wav"])
    """
    files = {_file(path): path for path in inputs}
    files.pop(None, None)
    for name in names:
        if lost := files.get(_file(Path(folder) / name)):
            raise InputLost(
                f"'{lost}' would be replaced by what is made of it: choose another "
                "--output than its folder."
            )


def _file(path):
    """Returns what two paths to one file have in common; None without a file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
