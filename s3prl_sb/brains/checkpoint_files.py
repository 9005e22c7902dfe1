"""Files of a checkpoint, and the check that they are undamaged.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from speechbrain.utils.checkpoints import (
    CKPT_PREFIX,
    METAFNAME,
    PARAMFILE_EXT,
    Checkpoint,
)

from s3prl_sb.lobes.checkpoints import archives
from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import FileError, naming, read_yaml


def is_checkpoint(path):
    """Returns whether a folder has the name of a checkpoint, whatever is in it.

    Arguments
    ---------
    path : pathlib.Path
        Any path.

    Returns
    -------
    bool
    """
    return path.name.startswith(CKPT_PREFIX) and path.is_dir()


def age(path):
    """Returns the time of a checkpoint according to its name.

    Arguments
    ---------
    path : pathlib.Path
        Folder of the checkpoint.

    Returns
    -------
    (str, int) or None
        Second, and number within the second; None for a custom name.

    Example
    -------
    >>> from pathlib import Path
    >>> age(Path("save/CKPT+2026-11-28+21-44-24+01"))
    ('2026-11-28+21-44-24', 1)
    """
    name = re.escape(CKPT_PREFIX) + r"\+(\d+-\d+-\d+\+\d+-\d+-\d+)\+(\d+)"
    match = re.fullmatch(name, path.name)
    return match and (match[1], int(match[2]))


def in_order(paths):
    """Sorts checkpoints by age, the oldest first.

    Arguments
    ---------
    paths : list of pathlib.Path
        Folders of checkpoints.

    Returns
    -------
    list of pathlib.Path
        Sorted by the times in their descriptions; if one is damaged, by their names.
        Older versions, which wrote no checksums, reused names: a damaged checkpoint
        of theirs counts as the oldest.
    """
    times = {}
    for path in paths:
        try:
            times[path] = described(path).meta["unixtime"]
        except FileError:
            times[path] = float("-inf")
    named = all(age(path) and (path / checksums.FILE).exists() for path in paths)
    by_name = named and float("-inf") in times.values()
    return sorted(paths, key=age if by_name else times.get)


def described(path):
    """Reads the description of a checkpoint, but none of its other files.

    Arguments
    ---------
    path : pathlib.Path
        Folder of the checkpoint.

    Returns
    -------
    Checkpoint

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If the description is unreadable or incomplete.
    """
    file, what = path / METAFNAME, "the description of a checkpoint"
    meta = read_yaml(file, what, kind=dict, typ="safe")
    with naming(file, what):
        for key in ("unixtime", "end-of-epoch"):  # SpeechBrain needs them
            if key not in meta:
                raise KeyError(key)
        for key, value in meta.items():
            if not isinstance(value, (bool, int, float)):
                raise ValueError(f"{key} is {value!r}, which is no number")
    return Checkpoint(path, meta, {f.stem: f for f in path.glob("*" + PARAMFILE_EXT)})


def verified(path, required=()):
    """Returns a checkpoint after checking that its files are undamaged.

    Arguments
    ---------
    path : pathlib.Path
        Folder of the checkpoint. If an older version wrote it, without checksums, the
        checksums inside torch's files are checked, and no file may be empty.
    required : iterable of str
        Names of objects that the checkpoint must have files of.

    Returns
    -------
    Checkpoint

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If a file is damaged or missing; names it.
    """
    checkpoint = described(path)
    listed = checksums.verify(path)
    for name in required:
        if name not in checkpoint.paramfiles:
            raise FileError(f"'{path / (name + PARAMFILE_EXT)}' is missing.")
    for file in checkpoint.paramfiles.values() if listed is None else ():
        with naming(file, "whole"):
            with open(file, "rb") as opened:
                head = opened.read(2)
            if not head:
                raise ValueError("it is empty")
            if head == b"PK":
                archives.members(file)
    return checkpoint
