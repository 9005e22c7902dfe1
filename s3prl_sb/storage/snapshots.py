"""Folders on the Hugging Face hub that list their files with checksums.

Exports and pre-trained upstreams are such folders. Only what the list names is
downloaded, all of one commit.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from s3prl_sb.errors import printable
from s3prl_sb.storage import checksums, hub
from s3prl_sb.storage.repositories import HubError, Repository

#: See :mod:`s3prl_sb.storage.files`.
COMPUTES = False

AGAIN = "The repository is not whole: ask its owner to push it again."


def listed_files(
    place: Repository,
    markers: Sequence[str],
    wanted: Callable[[str], bool] = lambda name: True,
) -> Path | None:
    """Downloads the listed files of a repository.

    Arguments
    ---------
    place : s3prl_sb.storage.repositories.Repository
    markers : list of str
        Files, one of which every repository of this kind has.
    wanted : callable
        Takes the name of a listed file, and returns whether to download it.

    Returns
    -------
    pathlib.Path or None
        Folder of the snapshot; None for a repository of another kind. The contents are
        not verified.

    Raises
    ------
    HubError
        If the repository is not accessible, or lacks a file.
    s3prl_sb.storage.checksums.DamagedFile
        If the list is damaged.
    """
    folder = hub.download(place, [checksums.FILE, *markers])
    is_marked = any((folder / name).is_file() for name in markers)
    if not is_marked or not (folder / checksums.FILE).is_file():
        return None
    names = [n for n in checksums.listed(folder, AGAIN) or () if wanted(n)]
    commit = place._replace(revision=folder.name)
    folder = hub.download(commit, [checksums.FILE, *names])
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        lacks = f"'{place}' lacks '{printable(missing[0])}'"
        if hub.offline():
            raise HubError(f"{lacks} in the cache: load it once with a network.")
        raise HubError(f"{lacks}. {AGAIN}")
    return folder
