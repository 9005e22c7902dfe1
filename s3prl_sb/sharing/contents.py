"""Files of an export as they go to the hub: whole, movable, without private facts.

Authors
 * The s3prl_sb developers, 2026
"""

import io
import json
from pathlib import Path
from typing import Any

from s3prl_sb.errors import UserError, printable, without_secrets
from s3prl_sb.hyperyaml import programs
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.inference.exporting import MEASURES, PREDICTIONS
from s3prl_sb.inference.finished import ExportError
from s3prl_sb.inference.published import SETTINGS
from s3prl_sb.inference.reading import CHANGED, WHAT
from s3prl_sb.sharing.private import Private
from s3prl_sb.sharing.uploads import RESULTS, with_checksums
from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import naming, read_json, read_yaml


class ContentsError(UserError, ValueError):
    """An export that would not load elsewhere."""


def contents_of(folder: Path, private: Private) -> dict[str, Path | bytes]:
    """Returns the files of an export, as they are uploaded.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the export, which stays as it is.
    private : Private

    Returns
    -------
    dict
        Names to paths, or to contents where the file is rewritten. Files in the folder
        that the export does not list are none of them, nor are the measures and the
        predictions of each utterance: their names may be those of speakers or files,
        their texts those of a corpus.

    Raises
    ------
    s3prl_sb.storage.checksums.DamagedFile
        If a file is damaged or missing.
    ContentsError
        If its settings name a file of this machine, or an address with a log-in.
    s3prl_sb.sharing.private.PrivateError
        If a file holds a private fact.
    """
    names = checksums.verify(folder, CHANGED)
    if names is None:
        raise ExportError(f"'{folder}' is an export of an older version: make it anew.")
    files: dict[str, Path | bytes] = {
        name: folder / name for name in names if name not in (MEASURES, PREDICTIONS)
    }
    results = read_json(folder / RESULTS, "the results of a run", kind=dict)
    files[RESULTS] = (json.dumps(private.scrubbed(results), indent=2) + "\n").encode()
    files[SETTINGS] = _settings(folder / SETTINGS).encode()
    private.check(files)
    return with_checksums(files)


def _settings(path):
    """Returns the settings of an export without its folder."""
    nodes = read_yaml(path, WHAT, kind=dict)
    with naming(path, WHAT):
        nodes["export_folder"] = "."  # loading overrides it
        check_texts(plain(nodes), path, "in the recipe, and export the run again")
        text = io.StringIO()
        programs.write(nodes, text)
    return text.getvalue()


def check_texts(values: Any, path: Path, fix: str) -> None:
    """Checks that settings name no file of this machine, nor an address with a log-in.

    Arguments
    ---------
    values : dict
        Plain values of a YAML file.
    path : pathlib.Path
        The file, for errors.
    fix : str
        Place to name a published file in instead.

    Raises
    ------
    ContentsError
        If they do.
    """
    for key, value in _texts(values):
        if without_secrets(value) != value:
            raise ContentsError(
                f"'{path}': {key} is an address with a log-in or a signature, for "
                "everybody to read. Download the file, and train with it."
            )
        local = Path(value.partition("#")[0])
        if local.is_absolute() and len(local.parts) > 1 and local.exists():
            raise ContentsError(
                f"'{path}': {key} is '{printable(value)}', a file of this machine "
                f"that others do not have. Name a published one {fix}."
            )


def _texts(value: Any, key: str = ""):
    """Yields the keys and values of all texts in plain values."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{key}.{name}".strip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
