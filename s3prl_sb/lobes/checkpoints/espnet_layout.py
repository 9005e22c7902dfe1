"""Folders of ESPnet's models: the weights, and the ``config.yaml`` of their training.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.identity.opened import opened
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict
from s3prl_sb.storage.files import FileError, read_yaml

CONFIG = "config.yaml"


def weights_file(folder):
    """Returns the only file of weights in a folder.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of a model.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    CheckpointError
        If there are several, or none.
    """
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        names = ", ".join(path.name for path in files[:8])
        raise CheckpointError(
            f"'{folder}' holds {len(files)} files *.pth"
            + f" ({names}); give the file itself." * bool(files)
            + ", where a checkpoint is one." * (not files)
        )
    return files[0]


def training_options(path):
    """Reads the options of the training.

    Arguments
    ---------
    path : pathlib.Path
        ``config.yaml``. Only values are read.

    Returns
    -------
    dict

    Raises
    ------
    CheckpointError
        If the file is not YAML, or has no ``encoder_conf``.
    """
    try:
        content = read_yaml(opened(path), "YAML of plain values", typ="safe")
    except FileError as error:
        raise CheckpointError(str(error)) from error
    options = as_dict(content)
    if not isinstance(options.get("encoder_conf"), dict):
        raise CheckpointError(
            f"'{path}' is no {CONFIG} of ESPnet's: it has no encoder_conf."
        )
    return options
