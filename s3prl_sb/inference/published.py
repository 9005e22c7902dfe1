"""Exports on the Hugging Face hub: from ``owner/name`` to a local folder.

Wherever an export or a run is named by its folder, ``owner/name`` names one on the hub,
and ``owner/name@REVISION`` a branch, a tag or a commit of it. A local folder of that
name comes first. Only the files that the export's checksums list are downloaded, all
of one commit; nothing of them is run.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import Path

from s3prl_sb.errors import printable
from s3prl_sb.inference.finished import ExportError
from s3prl_sb.storage import checksums, hub

SNAPSHOT = re.compile("models--[^/]+/snapshots/[0-9a-f]{40}")
SETTINGS = "hyperparams.yaml"
AGAIN = "The repository is no whole export: ask its owner to push it again."


def folder_of(model: str | Path, revision: str | None = None) -> Path:
    """Returns the folder of an export or a run, downloaded from the hub if need be.

    Arguments
    ---------
    model : str
        Folder, or ``owner/name`` of an export on the hub, optionally with
        ``@REVISION``. What begins with an existing folder is local.
    revision : str, optional
        Branch, tag or commit on the hub.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ExportError
        If the repository is no export; says what it is.
    s3prl_sb.storage.hub.HubError
        If the repository is not accessible.

    Example
    -------
    >>> folder_of("/exports/ks").as_posix()
    '/exports/ks'
    """
    path, place = Path(model), hub.repository(str(model), revision)
    if place is None or path.exists():
        return path
    if place.revision is None and path.parent.is_dir():
        return path  # a folder that is missing, among those that are there
    folder = hub.download(place, [checksums.FILE, SETTINGS])
    if not all((folder / name).is_file() for name in (checksums.FILE, SETTINGS)):
        raise ExportError(_what_it_is(place))
    names = checksums.listed(folder, AGAIN)
    commit = place._replace(revision=folder.name)
    folder = hub.download(commit, [checksums.FILE, *names])
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        lacks = f"'{place}' lacks '{printable(missing[0])}'"
        if hub.offline():
            raise ExportError(f"{lacks} in the cache: load it once with a network.")
        raise ExportError(f"{lacks}. {AGAIN}")
    return folder


def is_from_hub(folder: Path) -> bool:
    """Returns whether a folder is a snapshot in the hub's cache."""
    return SNAPSHOT.fullmatch("/".join(folder.absolute().parts[-3:])) is not None


def _what_it_is(place):
    """Returns a sentence about a repository without an export."""
    from huggingface_hub import HfApi

    start = f"'{place}' is no export of s3prl_sb"
    try:
        files = HfApi().list_repo_files(place.name, revision=place.revision)
    except Exception as error:  # offline
        return f"{start}, or is not whole: {hub.explained(error, place, 'read')}"
    if SETTINGS in files:
        return f"{start}: it seems to be SpeechBrain's. Load it with speechbrain."
    if "config.json" in files:
        return (
            f"{start}: it seems to be a network of transformers. Use it as an upstream "
            f"of its family:\n--upstream hf_hubert --upstream_model "
            f"'{{source: {place.name}}}'."
        )
    names = ", ".join(map(printable, files[:5])) or "nothing"
    return f"{start}: it has no {checksums.FILE} and {SETTINGS}, but {names}."
