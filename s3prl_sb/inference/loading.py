"""Loading an export, or a run as if it had been exported.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib
import tempfile
from pathlib import Path

from s3prl_sb.files import naming, read_yaml
from s3prl_sb.inference.exporting import ExportError, export


def load(folder, **kwargs):
    """Whatever an export or a run has learned.

    Arguments
    ---------
    folder : str
        Either.
    **kwargs
        As for :meth:`~s3prl_sb.inference.pretrained.SpeechModel.from_hparams`.

    Returns
    -------
    s3prl_sb.inference.pretrained.SpeechModel
        Of the class that fits the task: a
        :class:`~s3prl_sb.inference.classifier.Classifier` for KS, and so on.

    Raises
    ------
    ExportError
        If the folder is neither.
    """
    if (Path(folder) / "save").is_dir() or any(Path(folder).glob("fold*/save")):
        with tempfile.TemporaryDirectory() as exported:
            export(folder, exported, copy_upstream=False)
            return _interface(exported).from_hparams(exported, **kwargs)
    if not (Path(folder) / "hyperparams.yaml").is_file():
        raise ExportError(
            f"'{folder}' is neither a run of a recipe nor an export: it has no "
            "hyperparams.yaml."
        )
    return _interface(folder).from_hparams(folder, **kwargs)


def _interface(folder):
    """The class that an export names."""
    path = Path(folder) / "hyperparams.yaml"
    node = read_yaml(path, "the settings of an export", kind=dict).get("interface")
    if node is None:
        raise ExportError(
            f"'{folder}' is no export: its hyperparams.yaml names no interface."
        )
    with naming(path, "the settings of an export"):
        module, _, name = node.tag.value.removeprefix("!name:").rpartition(".")
        return getattr(importlib.import_module(module), name)
