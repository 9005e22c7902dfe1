"""Protection of an existing run until a command that continues it is accepted.

A command can be compared with the run only after it has prepared its data. Until then
the earlier manifests are kept in a backup next to the new ones. They are restored if
the command is refused, fails or is killed; after a kill, when the folder is next used.

Authors
 * The s3prl_sb developers, 2026
"""

import atexit
import os
import shutil
from pathlib import Path

from s3prl_sb.storage.parts import Part

COMPUTES = False
BEFORE = ".before"  # folder of the earlier manifests
DONE = ".before-done"  # its name once it can be deleted
#: Files of a run that has begun, in its folder or next to its checkpoints.
OF_A_RUN = ("results.json", "settings.json")
#: Folders of manifests too large for one file: the lists of a pre-training.
LISTS = ("train", "valid")
#: Files that training writes there and preparation does not.
OF_A_TRAINING = (*OF_A_RUN, "interface.json", "lr_search.json")

_pending = {}  # folders of manifests to callbacks for when a command is accepted


def begin(output_folder, save_folder, then):
    """Backs up the manifests of an existing run. One process calls it.

    Arguments
    ---------
    output_folder : str
        Output folder of the run.
    save_folder : str
        Folder of its manifests and checkpoints.
    then : callable
        Function without arguments that is called once the command is accepted, or at
        once if there is no run yet.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path, results = Path(folder, "test.json"), Path(folder, "results.json")
    ...     _ = path.write_text("{}"), results.write_text("{}")
    ...     begin(folder, folder, then=lambda: None)
    ...     _ = path.write_text("of another list")
    ...     refuse()
    ...     path.read_text()
    '{}'
    """
    refuse()
    output_folder, save_folder = Path(output_folder), Path(save_folder)
    _restore(save_folder)  # if an earlier command was killed
    places = (output_folder, save_folder)
    if not any((place / name).is_file() for place in places for name in OF_A_RUN):
        then()
        return
    save_folder.mkdir(parents=True, exist_ok=True)
    with Part(save_folder / BEFORE) as part:
        part.path.mkdir()
        for path in _manifests(save_folder):
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, part.path / path.name)
        part.publish()
    _pending[save_folder] = then


def accept():
    """Keeps the new manifests: the command continues the existing run."""
    while _pending:
        save_folder, then = _pending.popitem()
        os.replace(save_folder / BEFORE, save_folder / DONE)  # at once, unlike rmtree
        shutil.rmtree(save_folder / DONE)
        then()


@atexit.register
def refuse():
    """Restores the earlier manifests, unless the command has been accepted."""
    while _pending:
        _restore(_pending.popitem()[0])


def _manifests(folder):
    return [
        path
        for path in folder.iterdir()
        if (path.is_file() and path.name[0] != "." and path.name not in OF_A_TRAINING)
        or (path.is_dir() and path.name in LISTS)
    ]


def _restore(save_folder):
    before = save_folder / BEFORE
    shutil.rmtree(save_folder / DONE, ignore_errors=True)
    if not before.is_dir():
        return
    for path in _manifests(before):
        if path.is_dir():
            shutil.rmtree(save_folder / path.name, ignore_errors=True)
        os.replace(path, save_folder / path.name)
    shutil.rmtree(before)
