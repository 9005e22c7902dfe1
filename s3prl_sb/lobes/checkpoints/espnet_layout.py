"""Folders of ESPnet's models: the weights, and the ``config.yaml`` of their training.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.identity.opened import opened
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict
from s3prl_sb.storage.files import FileError, read_yaml

CONFIG = "config.yaml"
#: How the names of files of weights end.
SUFFIXES = (".pt", ".pth")


def weights_file(folder):
    """Returns the only file of weights in a folder.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of a model. The file may lie deeper, as in repositories of ESPnet's.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    CheckpointError
        If there are several, or none.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES]
    if len(files) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in files[:8])
        raise CheckpointError(
            f"'{folder}' holds {len(files)} files {' or '.join(SUFFIXES)}"
            + f" ({names}); give the file itself." * bool(files)
            + ", where a checkpoint is one." * (not files)
        )
    return files[0]


def encoder_options(weights):
    """Reads the options of the encoder beside weights that may do without them.

    Arguments
    ---------
    weights : pathlib.Path
        File of the weights.

    Returns
    -------
    dict
        ``encoder_conf``; empty if there is no ``config.yaml``, or another program's.

    Raises
    ------
    CheckpointError
        If the file is not YAML.
    """
    path = weights.with_name(CONFIG)
    return as_dict(_content(path).get("encoder_conf")) if path.is_file() else {}


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
    options = _content(path)
    if not isinstance(options.get("encoder_conf"), dict):
        raise CheckpointError(
            f"'{path}' is no {CONFIG} of ESPnet's: it has no encoder_conf."
        )
    return options


def _content(path):
    try:
        return as_dict(read_yaml(opened(path), "YAML of plain values", typ="safe"))
    except FileError as error:
        raise CheckpointError(str(error)) from error
