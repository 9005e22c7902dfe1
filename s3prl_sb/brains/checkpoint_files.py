"""The files of a checkpoint of ours: whether they are what was written.

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
    """Whether a folder is called as checkpoints are, whatever is in it.

    Arguments
    ---------
    path : pathlib.Path
        Of anything.

    Returns
    -------
    bool
    """
    return path.name.startswith(CKPT_PREFIX) and path.is_dir()


def age(path):
    """When a checkpoint was made, as its name says.

    Arguments
    ---------
    path : pathlib.Path
        Its folder.

    Returns
    -------
    (str, int) or None
        Second, and number in it; None for a name that somebody has given.

    Example
    -------
    >>> from pathlib import Path
    >>> age(Path("save/CKPT+2026-11-28+21-44-24+01"))
    ('2026-11-28+21-44-24', 1)
    """
    name = re.escape(CKPT_PREFIX) + r"\+(\d+-\d+-\d+\+\d+-\d+-\d+)\+(\d+)"
    found = re.fullmatch(name, path.name)
    return found and (found[1], int(found[2]))


def in_order(paths):
    """Sorts checkpoints by age, the oldest first.

    Arguments
    ---------
    paths : list of pathlib.Path
        Their folders.

    Returns
    -------
    list of pathlib.Path
        By what they say themselves; where one of them is damaged, by their names.
        Older versions, which wrote no checksums, gave a name more than once: of theirs
        a damaged one may be older than all others.
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
    """A checkpoint as its description says, its files unread.

    Arguments
    ---------
    path : pathlib.Path
        Its folder.

    Returns
    -------
    Checkpoint

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If the description cannot be read, or lacks something.
    """
    file, what = path / METAFNAME, "the description of a checkpoint"
    meta = read_yaml(file, what, kind=dict, typ="safe")
    with naming(file, what):
        for key in ("unixtime", "end-of-epoch"):  # SpeechBrain's own
            if key not in meta:
                raise KeyError(key)
        for key, value in meta.items():
            if not isinstance(value, (bool, int, float)):
                raise ValueError(f"{key} is {value!r}, which is no number")
    return Checkpoint(path, meta, {f.stem: f for f in path.glob("*" + PARAMFILE_EXT)})


def verified(path, required=()):
    """A checkpoint whose files are what was written.

    Arguments
    ---------
    path : pathlib.Path
        Its folder. Of an older version it has no checksums: then what torch has
        written is compared with checksums of its own, and no file may be empty.
    required : iterable of str
        What it must have a file of.

    Returns
    -------
    Checkpoint

    Raises
    ------
    s3prl_sb.storage.files.FileError
        That names the file.
    """
    found = described(path)
    listed = checksums.verify(path)
    for name in required:
        if name not in found.paramfiles:
            raise FileError(f"'{path / (name + PARAMFILE_EXT)}' is missing.")
    for file in found.paramfiles.values() if listed is None else ():
        with naming(file, "whole"):
            with open(file, "rb") as opened:
                head = opened.read(2)
            if not head:
                raise ValueError("it is empty")
            if head == b"PK":
                archives.members(file)
    return found
