"""Copies of user-defined code next to a run, an export or a converted checkpoint.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path

from s3prl_sb.own.closure import closure
from s3prl_sb.own.modules import loaded_from, plain_names
from s3prl_sb.storage.files import read_text, write_text


def copy(folder, name, destination):
    """Copies a module and all that it imports from its folder.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the module.
    name : str
        Dotted name of the module.
    destination : pathlib.Path
        Folder of the copies, which keeps the structure.

    Returns
    -------
    list of pathlib.Path
        The copies; existing files are replaced.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     here, there = Path(place, "here"), Path(place, "there")
    ...     here.mkdir()
    ...     _ = (here / "a.py").write_text("import b"), (here / "b.py").write_text("")
    ...     [path.name for path in copy(here, "a", there)]
    ['a.py', 'b.py']
    """
    folder, destination = Path(folder).resolve(), Path(destination).resolve()
    copies = []
    for file, text in closure(folder, name).values():
        target = destination / file.relative_to(folder)
        if target != file:
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(target, text)
        copies.append(target)
    return copies


def _write(path, text):
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(text)
    os.replace(part, path)


def keep(file):
    """Makes a YAML file independent of this process: copies the user-defined modules
    that it names next to it, and restores the names that their authors use.

    Arguments
    ---------
    file : pathlib.Path
        YAML file, such as the ``hyperparams.yaml`` of a run.
    """
    text = read_text(file)
    plain = plain_names(text)
    if plain == text:
        return
    for folder, name in loaded_from(text):
        copy(folder, name, file.parent)
    write_text(file, plain)
