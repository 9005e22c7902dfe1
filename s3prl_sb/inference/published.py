"""Exports on the Hugging Face hub: from ``owner/name`` to a local folder.

Wherever an export or a run is named by its folder, ``owner/name`` names one on the hub,
and ``owner/name@REVISION`` a branch, a tag or a commit of it. A local folder of that
name comes first. Only the files that the export's checksums list are downloaded, all
of one commit; nothing of them is run.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.errors import printable
from s3prl_sb.inference.finished import ExportError
from s3prl_sb.lobes.cards.places import CARD
from s3prl_sb.storage import checksums, hub, repositories
from s3prl_sb.storage.snapshots import listed_files

SETTINGS = "hyperparams.yaml"


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
    s3prl_sb.storage.repositories.HubError
        If the repository is not accessible.

    Example
    -------
    >>> folder_of("/exports/ks").as_posix()
    '/exports/ks'
    """
    place = repositories.elsewhere(model, revision)
    if place is None:
        return Path(model)
    folder = listed_files(place, [SETTINGS])
    if folder is None:
        raise ExportError(_what_it_is(place))
    return folder


def existing(model: str | Path, revision: str | None = None) -> Path:
    """Returns the folder that :func:`folder_of` returns, if it is there.

    Arguments
    ---------
    model, revision
        See :func:`folder_of`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ExportError
        If there is no such folder, or the repository is no export.
    s3prl_sb.storage.repositories.HubError
        If the repository is not accessible.

    Example
    -------
    >>> existing("results/KS/a")
    Traceback (most recent call last):
    ...
    s3prl_sb.inference.finished.ExportError: There is no folder 'results/KS/a'. Give …
    """
    folder = folder_of(model, revision)
    if folder.is_dir():
        return folder
    name = "owner/name"
    if repositories.repository(str(model)) is not None:  # its parent is a folder here
        name = f"{model}@main"
    raise ExportError(
        f"There is no folder '{printable(folder)}'. Give that of a run or an export; "
        f"one on the hub is {name}."
    )


def is_from_hub(folder: Path) -> bool:
    """Returns whether a folder is a snapshot in the hub's cache."""
    return repositories.snapshot_of(folder) is not None


def _what_it_is(place):
    """Returns a sentence about a repository without an export."""
    from huggingface_hub import HfApi

    start = f"'{place}' is no export of s3prl_sb"
    try:
        files = HfApi().list_repo_files(place.name, revision=place.revision)
    except Exception as error:  # offline
        return f"{start}, or is not whole: {hub.explained(error, place, 'read')}"
    if CARD in files and checksums.FILE in files:
        return f"{start}: it is a pre-trained upstream, --upstream {place}."
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
