"""Loading of an export, here or on the hub, or of a run via a temporary export.

Authors
 * The s3prl_sb developers, 2026
"""

import tempfile
from pathlib import Path
from typing import Any

from s3prl_sb.foreign import INTERFACE, find_class
from s3prl_sb.foreign.trust import trusting
from s3prl_sb.hyperyaml.nodes import tag
from s3prl_sb.inference.exporting import ExportError, export, own_code
from s3prl_sb.inference.finished import parts_of, read_run
from s3prl_sb.inference.pretrained import SpeechModel
from s3prl_sb.inference.published import existing, is_from_hub
from s3prl_sb.inference.reading import WHAT, read
from s3prl_sb.storage.files import FileError, naming, read_yaml


def load(
    folder: str | Path,
    trust: bool = False,
    revision: str | None = None,
    **kwargs: Any,
) -> SpeechModel:
    """Loads the model of an export or a run.

    Arguments
    ---------
    folder : str
        Folder of the export or the run; or ``owner/name`` of an export on the Hugging
        Face hub, optionally with ``@REVISION``.
    trust : bool
        Whether code that comes with it may run, see :mod:`s3prl_sb.foreign.trust`. Runs
        with the upstreams and heads of this package need no trust.
    revision : str, optional
        Branch, tag or commit on the hub; a commit always gives the same model.
    **kwargs
        Arguments of :meth:`~s3prl_sb.inference.pretrained.SpeechModel.from_hparams`.

    Returns
    -------
    s3prl_sb.inference.pretrained.SpeechModel
        A subclass for the task: :class:`~s3prl_sb.inference.classifier.Classifier` for
        KS, and so on.

    Raises
    ------
    ExportError
        If the folder is neither.
    s3prl_sb.storage.repositories.HubError
        If the hub does not give it.
    s3prl_sb.foreign.trust.TrustError
        If it would run code and is not trusted.
    """
    folder = existing(folder, revision)
    with trusting(trust):
        return _load(folder, **kwargs)


def interface_of(folder: str | Path) -> type[SpeechModel]:
    """Returns the class that :func:`load` makes of a folder, without loading it.

    Arguments
    ---------
    folder : str
        Folder of an export or a finished run, or ``owner/name`` on the hub.

    Returns
    -------
    type

    Raises
    ------
    ExportError
        If the folder is neither.
    """
    folder = existing(folder)
    if not is_run(folder):
        return _interface(folder)
    name = read_run(folder)[1]["class"]
    made = find_class(name, INTERFACE)
    if made is None:
        raise ExportError(f"'{folder}' is of no known interface: {name!r}.")
    return made


def is_run(folder: Path) -> bool:
    """Returns whether a folder is that of a run, or of its parts. What comes from the
    hub is an export, whatever folders it has."""
    if is_from_hub(folder):
        return False
    saves = folder / "save", *folder.glob("fold*/save")
    return any(save.is_dir() for save in saves) or bool(parts_of(folder))


def _load(folder, **kwargs):
    if is_run(folder):
        with tempfile.TemporaryDirectory() as exported:
            export(folder, exported, copy_upstream=False)
            asks = folder / "hyperparams.yaml"
            places = {place for place, _ in own_code(read_yaml(asks), folder)}
            # Runs of older versions have no copy of the code, the export has.
            code = Path(exported if places - {folder.resolve()} else folder)
            made = _interface(exported)
            try:
                return read(made, exported, code=code.resolve(), asks=asks, **kwargs)
            except FileError as error:  # the temporary folder means nothing to users
                text = str(error).replace(str(Path(exported).resolve()), str(folder))
                raise FileError(text) from error
    return _interface(folder).from_hparams(folder, **kwargs)


def _interface(folder):
    """Returns the class that an export names."""
    path = Path(folder) / "hyperparams.yaml"
    if not path.is_file():
        raise ExportError(
            f"'{folder}' is neither a run of a recipe nor an export: it has no "
            "hyperparams.yaml."
        )
    node = read_yaml(path, WHAT, kind=dict).get("interface")
    if node is None:
        raise ExportError(
            f"'{folder}' is no export: its hyperparams.yaml names no interface."
        )
    with naming(path, WHAT):
        name = tag(node).removeprefix("!name:")
        made = find_class(name, INTERFACE)
        if made is None:
            raise ValueError(f"its interface is {name or node!r}, none of s3prl_sb")
        return made
