"""Places of cards: folders with a ``card.yaml``, here or on the Hugging Face hub.

Wherever an upstream is named by its card or by the folder of its pre-training,
``owner/name`` names one on the hub, and ``owner/name@REVISION`` a branch, a tag or a
commit of it. A local path of that name comes first. The card and the Python files
beside it are downloaded, and nothing of them is run; the weights follow when the
upstream is built. Repositories without such a card are networks of other libraries.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import re
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.storage import repositories
from s3prl_sb.storage.repositories import Repository

CARD = "card.yaml"
#: Settings of an export, see :mod:`s3prl_sb.inference.published`.
EXPORT = "hyperparams.yaml"
#: An address, or an id of Hugging Face.
ADDRESS = re.compile(r"(?:https?|hf)://.+|[\w.-]+/[\w.-]+(?:@\w[\w./-]*)?")
IS_FILE = re.compile(r"\.ya?ml(:\w+)?$")
WEIGHTS = re.compile(r"\.(pt|pth|ckpt|bin|safetensors)$")
DAMAGED = "Delete '{}', and load it again, which downloads it."


class NoUpstream(UserError, ValueError):
    """A repository that holds something else than an upstream."""


def card_of(source: str) -> str:
    """Returns the card in a folder, here or on the hub; any other source as it is.

    Arguments
    ---------
    source : str
        Name or path of an upstream, or ``owner/name``.

    Returns
    -------
    str

    Raises
    ------
    NoUpstream
        If it is a trained model for a task.
    s3prl_sb.storage.repositories.HubError
        If it names a repository that is not accessible.

    Note
    ----
    A name without a commit means the same commit as long as the process runs.

    Example
    -------
    >>> card_of("hubert_base")
    'hubert_base'
    """
    source = str(source)
    card = Path(source).expanduser() / CARD
    if card.is_file():
        return str(card)
    place = named(source)
    downloaded = None if place is None else downloaded_card(place)
    if place is not None and downloaded is not None and not downloaded.exists():
        downloaded_card.cache_clear()  # the user has deleted it
        downloaded = downloaded_card(place)
    return source if downloaded is None else str(downloaded)


def named(source: str) -> Repository | None:
    """Returns the repository that the name of an upstream may mean, without asking.

    Arguments
    ---------
    source : str
        Name or path of an upstream.

    Returns
    -------
    s3prl_sb.storage.repositories.Repository or None
        None for files, addresses and other names.

    Example
    -------
    >>> print(named("anna/tera@v1"), named("tera"), named("checkpoints/tera.pt"))
    anna/tera@v1 None None
    """
    place = repositories.elsewhere(source)
    if place is None or IS_FILE.search(place.name) or WEIGHTS.search(place.name):
        return None
    return place


def is_missing(source: str) -> bool:
    """Returns whether a name is a path that is missing in a folder that is there, which
    has the form of a name on the hub.

    Example
    -------
    >>> is_missing("anna/tera"), is_missing("tera"), is_missing("a.org/b.pt")
    (False, False, False)
    """
    is_name = repositories.repository(source) is not None
    return is_name and not WEIGHTS.search(source) and named(source) is None


@functools.lru_cache(maxsize=64)
def downloaded_card(place: Repository) -> Path | None:
    """Downloads the card of a repository, and the Python files beside it.

    Arguments
    ---------
    place : s3prl_sb.storage.repositories.Repository

    Returns
    -------
    pathlib.Path or None
        None for a repository without a card.

    Raises
    ------
    NoUpstream, s3prl_sb.storage.repositories.HubError
        See :func:`card_of`.
    s3prl_sb.storage.checksums.DamagedFile
        If one of these files is damaged.
    """
    from s3prl_sb.storage import checksums  # names of cards need no downloads
    from s3prl_sb.storage.snapshots import listed_files

    folder = listed_files(place, [CARD, EXPORT], _is_read)
    names = (folder and checksums.listed(folder)) or {}
    if folder is not None and CARD in names:
        checksums.verify(folder, DAMAGED.format(folder.parents[1]), _is_read)
        return folder / CARD
    if EXPORT in names:
        raise NoUpstream(
            f"'{place}' is a trained model, and no upstream: `s3prl-sb predict {place} "
            "a.wav` uses it."
        )
    return None


def title_of(place: Repository) -> str:
    """Returns a short name of an upstream on the hub, for folders and tables.

    Arguments
    ---------
    place : s3prl_sb.storage.repositories.Repository

    Returns
    -------
    str

    Example
    -------
    >>> title_of(Repository("anna/tera")), title_of(Repository("a/b", "pr/1"))
    ('tera', 'b@pr-1')
    """
    name, revision = place.name.partition("/")[2], place.revision or ""
    short = revision[:7] if repositories.COMMIT.fullmatch(revision) else revision
    return f"{name}@{short.replace('/', '-')}" if short else name


def address_of(folder: Path, name: str) -> str | None:
    """Returns the address of a file beside a card from the hub.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of a card.
    name : str
        Name of the file.

    Returns
    -------
    str or None
        Address with the commit and the SHA-256; None if the card is not in the hub's
        cache, but in a copy of it for instance, or does not come with the file.

    Example
    -------
    >>> address_of(Path("."), "tera.safetensors") is None
    True
    """
    place = repositories.snapshot_of(folder)
    if place is None:
        return None
    from s3prl_sb.storage import checksums, hub

    if not hub.is_cached(folder):
        return None
    digest = (checksums.listed(folder) or {}).get(name)
    address = repositories.file_address(place, name)
    return f"{address}#sha256={digest}" if digest else None


def beside(source: str, name: str) -> Path | None:
    """Returns a file of the folder that a source is in.

    Arguments
    ---------
    source : str
        File of weights, or its address on the hub.
    name : str
        Name of the file.

    Returns
    -------
    pathlib.Path or None
        None if there is no such file.

    Example
    -------
    >>> beside("/nowhere/a.safetensors", "b.safetensors") is None
    True
    """
    on_hub = repositories.file_of(source.partition("#sha256=")[0])
    if on_hub:
        from s3prl_sb.storage import hub

        folder = hub.download(on_hub[0], [name])
    else:
        folder = Path(source).parent
    path = folder / name
    return path if path.is_file() else None


def _is_read(name):
    return name == CARD or name.endswith(".py")
