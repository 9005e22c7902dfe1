"""A run that is there stays as it is until a command that goes on with it is accepted.

Whether a command is of the same run is known only when its data have been prepared and
looked at. Until then the manifests that it writes are on trial: what was there before
lies beside them, and comes back if the command is refused, breaks off or is killed; in
the last case when the folder is next taken.

Authors
 * The s3prl_sb developers, 2026
"""

import atexit
import os
import shutil
from pathlib import Path

from s3prl_sb.storage.parts import Part

COMPUTES = False
BEFORE = ".before"  # the folder that holds the manifests of before
DONE = ".before-done"  # what it is called when nothing of it is needed any more
#: What tells that a run has begun: in its folder, or beside its checkpoints.
OF_A_RUN = ("results.json", "settings.json")
#: What a training writes there, and no preparation.
OF_A_TRAINING = (*OF_A_RUN, "interface.json", "lr_search.json")

_pending = {}  # folders of manifests to what is to be done once accepted


def begin(output_folder, save_folder, then):
    """Sets aside what a run was prepared with; to be called by one process.

    Arguments
    ---------
    output_folder : str
        Of the run.
    save_folder : str
        Where its manifests go, and its checkpoints.
    then : callable
        Without arguments: what else is written, once the command is accepted; at once,
        if there is no run yet.

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
    _restore(save_folder)  # a command before was killed
    places = (output_folder, save_folder)
    if not any((place / name).is_file() for place in places for name in OF_A_RUN):
        then()
        return
    save_folder.mkdir(parents=True, exist_ok=True)
    with Part(save_folder / BEFORE) as part:
        part.path.mkdir()
        for file in _files(save_folder):
            shutil.copy2(file, part.path)
        part.publish()
    _pending[save_folder] = then


def accept():
    """The command is of the run that is there: what it has prepared stays."""
    while _pending:
        save_folder, then = _pending.popitem()
        os.replace(save_folder / BEFORE, save_folder / DONE)  # at once, unlike rmtree
        shutil.rmtree(save_folder / DONE)
        then()


@atexit.register
def refuse():
    """Brings back what was there, unless the command has been accepted."""
    while _pending:
        _restore(_pending.popitem()[0])


def _files(folder):
    return [
        path
        for path in folder.iterdir()
        if path.is_file() and path.name[0] != "." and path.name not in OF_A_TRAINING
    ]


def _restore(save_folder):
    before = save_folder / BEFORE
    shutil.rmtree(save_folder / DONE, ignore_errors=True)
    if not before.is_dir():
        return
    for file in _files(before):
        os.replace(file, save_folder / file.name)
    shutil.rmtree(before)
