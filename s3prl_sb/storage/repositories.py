"""Names of repositories of models on the Hugging Face hub, and of files in them.

Nobody is asked here: see :mod:`s3prl_sb.storage.hub`.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import Path
from typing import NamedTuple

from s3prl_sb.errors import UserError, printable

#: See :mod:`s3prl_sb.storage.files`.
COMPUTES = False

NAME = re.compile(
    r"([a-z0-9][\w.-]{0,95}/[a-z0-9_][\w.-]{0,95})(?:@(\w[\w./-]*))?", re.I | re.A
)
REVISION = re.compile(r"\w[\w./-]*", re.A)
COMMIT = re.compile("[0-9a-f]{40}")
#: Address of a file, as the hub's own file system writes it.
FILE = re.compile(r"hf://([^/@]+/[^/@]+)(?:@([^/]+))?/(.+)")
SNAPSHOT = re.compile("models--([^/]+?)--([^/]+)/snapshots/([0-9a-f]{40})")


class HubError(UserError, OSError):
    """The hub does not do what it is asked to; the message says why, and the fix."""


class Repository(NamedTuple):
    """A repository of a model.

    Arguments
    ---------
    name : str
        ``owner/name``.
    revision : str, optional
        Branch, tag or commit; None: its main branch.
    """

    name: str
    revision: str | None = None

    def __str__(self):
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


def repository(text: str, revision: str | None = None) -> Repository | None:
    """Returns the repository that a text names.

    Arguments
    ---------
    text : str
        ``owner/name`` or ``owner/name@REVISION``.
    revision : str, optional
        Revision, instead of one in the text.

    Returns
    -------
    Repository or None
        None for any other text.

    Raises
    ------
    HubError
        If the revision cannot be one.

    Example
    -------
    >>> print(repository("anna/ks"), repository("anna/ks@v1"), repository("/data/ks"))
    anna/ks anna/ks@v1 None
    """
    match = NAME.fullmatch(str(text))
    if match is None or ".." in match[0]:
        return None
    if revision and (".." in revision or not REVISION.fullmatch(revision)):
        raise HubError(
            f"'{printable(revision)}' is no name of a branch, a tag or a commit: it "
            "has letters, digits, '-', '_', '.' and '/'."
        )
    return Repository(match[1].removesuffix(".git"), revision or match[2])


def elsewhere(text: str | Path, revision: str | None = None) -> Repository | None:
    """Returns the repository that a text names, unless it names a local path.

    Arguments
    ---------
    text, revision
        See :func:`repository`.

    Returns
    -------
    Repository or None
        None for any other text, and for what begins with an existing folder: nobody is
        asked about a misspelt path. With a revision only the whole path counts.

    Example
    -------
    >>> print(elsewhere("anna/ks@v1"), elsewhere("/data/ks"))
    anna/ks@v1 None
    """
    path, place = Path(text), repository(str(text), revision)
    if place is None or path.exists():
        return None
    return None if place.revision is None and path.parent.is_dir() else place


def file_address(place: Repository, name: str) -> str:
    """Returns the address of a file, which does not depend on the hub's own.

    Arguments
    ---------
    place : Repository
    name : str
        Path in the repository.

    Returns
    -------
    str

    Example
    -------
    >>> file_address(Repository("anna/tera", "v1"), "tera.safetensors")
    'hf://anna/tera@v1/tera.safetensors'
    """
    return f"hf://{place}/{name}"


def file_of(text: str) -> tuple[Repository, str] | None:
    """Returns the repository and the path that a :func:`file_address` names.

    Arguments
    ---------
    text : str
        Any text.

    Returns
    -------
    tuple or None
        None for any other text, also if the path would lead out of the repository.

    Example
    -------
    >>> file_of("hf://anna/tera/a.pt"), file_of("a.pt"), file_of("hf://a/b/../c.pt")
    ((Repository(name='anna/tera', revision=None), 'a.pt'), None, None)
    """
    match = FILE.fullmatch(text)
    place = match and repository(match[1], match[2])
    if not match or not place or not {"", ".."}.isdisjoint(match[3].split("/")):
        return None
    return place, match[3]


def snapshot_of(folder: Path) -> Repository | None:
    """Returns the repository and the commit of a snapshot in the hub's cache.

    Arguments
    ---------
    folder : pathlib.Path
        Any folder.

    Returns
    -------
    Repository or None
        None for any other folder.

    Example
    -------
    >>> print(snapshot_of(Path("/cache/models--anna--ks/snapshots", 40 * "0")))
    anna/ks@0000000000000000000000000000000000000000
    """
    match = SNAPSHOT.fullmatch("/".join(folder.absolute().parts[-3:]))
    return Repository(f"{match[1]}/{match[2]}", match[3]) if match else None
