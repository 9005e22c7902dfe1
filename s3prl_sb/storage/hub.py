"""Repositories of models on the Hugging Face hub: downloads, and errors.

``huggingface_hub`` does the work, whose cache, log-in and environment variables count:
``hf auth login``, ``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT``, ``HF_HUB_OFFLINE``. Its
exceptions differ between its versions, and become a
:class:`~s3prl_sb.storage.repositories.HubError` here.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import glob
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from s3prl_sb.errors import UserError, printable
from s3prl_sb.storage.remote_files import offline
from s3prl_sb.storage.repositories import COMMIT, HubError, Repository, file_of
from s3prl_sb.terminal.progress import on_terminal

logger = logging.getLogger(__name__)

#: See :mod:`s3prl_sb.storage.files`.
COMPUTES = False

TOKENS = "https://huggingface.co/settings/tokens"
#: Names of exceptions of a network; each version of the library has its own classes.
NETWORK = {"ConnectionError", "HTTPError", "RequestException", "TimeoutError"}
#: Answers after which another try may succeed, and seconds before each further one.
PASSING = (429, 500, 502, 503, 504)
PAUSES = (1.0, 4.0)
#: Answers of a hub without room for more.
FULL = (402, 413, 507)


def address(place: Repository) -> str:
    """Returns the address of the page of a repository."""
    return f"{_host()}/{place.name}"


def download(place: Repository, names: Iterable[str]) -> Path:
    """Downloads files of a repository into the hub's cache, unless they are there.

    Arguments
    ---------
    place : Repository
    names : iterable of str
        Paths in the repository; those that it lacks are ignored.

    Returns
    -------
    pathlib.Path
        Folder of the snapshot, whose name is the commit. Files in it may be links into
        the cache.

    Raises
    ------
    HubError
        If the repository is neither accessible nor in the cache.
    """
    names = list(names)
    if (folder := _cached(place, names)) is not None:
        return folder
    patterns = [glob.escape(name) for name in names]
    pauses = iter(PAUSES)
    while True:
        try:
            return _snapshot(place, patterns, offline())
        except Exception as error:  # the library raises a dozen unrelated classes
            problem = explained(error, place, "read")
            pause = next(pauses, None) if passes(error) else None
            if pause is None and passes(error) and not offline():
                with contextlib.suppress(Exception):
                    folder = _snapshot(place, patterns, True)
                    logger.warning("'%s' is read from the cache: %s", place, problem)
                    return folder
            if pause is None:
                raise problem from error
        time.sleep(pause)


def download_file(text: str) -> Path:
    """Downloads a file of a repository into the hub's cache.

    Arguments
    ---------
    text : str
        Its :func:`~s3prl_sb.storage.repositories.file_address`. With a commit in it,
        nobody is asked if the file is in the cache.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    HubError
        If the file is not accessible.
    """
    named = file_of(text)
    if named is None:
        raise HubError(
            f"'{printable(text)}' is no address of a file: it is hf://owner/name/FILE, "
            "or hf://owner/name@REVISION/FILE."
        )
    place, name = named
    path = download(place, [name]) / name
    if not path.is_file():
        if offline():
            raise HubError(_offline(place, "read"))
        raise HubError(f"'{place}' has no file '{printable(name)}'.")
    return path


def is_cached(snapshot: Path) -> bool:
    """Returns whether the folder of a snapshot is in the cache that is used now."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE).expanduser().resolve()
    return snapshot.absolute().parents[2].resolve() == cache


def _cached(place, names):
    """Returns the snapshot of a commit if it has all files: a commit never changes."""
    from huggingface_hub import try_to_load_from_cache

    if not COMMIT.fullmatch(place.revision or "") or not names:
        return None
    for name in names:
        if ".." in Path(name).parts or Path(name).is_absolute():
            return None
        path = try_to_load_from_cache(place.name, name, revision=place.revision)
        if not isinstance(path, str):
            return None
    return Path(path.removesuffix(f"/{names[-1]}"))


def _snapshot(place, patterns, is_offline):
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):  # of the files; in a log it would be noise
        def __init__(self, *args, **options):
            options |= {} if on_terminal() else {"disable": True}
            super().__init__(*args, **options)

    with _without_warning("No files matched"):  # most networks have no card of ours
        folder = snapshot_download(
            place.name,
            revision=place.revision,
            allow_patterns=patterns,
            local_files_only=is_offline,
            tqdm_class=Bar,
        )
    return Path(folder)


@contextlib.contextmanager
def _without_warning(start):
    """Drops what the library logs about a download, if it begins with a text."""
    library = logging.getLogger("huggingface_hub._snapshot_download")

    def is_other(record):
        return not record.getMessage().startswith(start)

    library.addFilter(is_other)
    try:
        yield
    finally:
        library.removeFilter(is_other)


def passes(error: BaseException) -> bool:
    """Returns whether another try may succeed after an exception of the library."""
    kinds, code, _ = _facts(error)
    return code in PASSING if code else bool(kinds & NETWORK)


def _facts(error):
    """Returns the names of the classes of an exception and of those that it comes from,
    the code of the hub's answer or None, and these exceptions."""
    chain = list(_chain(error))
    kinds = {kind.__name__ for each in chain for kind in type(each).__mro__}
    responses = [getattr(each, "response", None) for each in chain]
    codes = [getattr(response, "status_code", None) for response in responses]
    return kinds, next((code for code in codes if isinstance(code, int)), None), chain


def explained(error: BaseException, place: Repository, act: str) -> UserError:
    """Returns an error whose message a user can act on.

    Arguments
    ---------
    error : Exception
        Any exception of ``huggingface_hub``.
    place : Repository
    act : str
        The attempt: "read" or "write".

    Returns
    -------
    s3prl_sb.errors.UserError
        The error itself if it is one.
    """
    if isinstance(error, UserError):
        return error
    kinds, code, chain = _facts(error)
    if "OfflineModeIsEnabled" in kinds or offline():
        return HubError(_offline(place, act))
    text = _by_code(code, kinds, place, act)
    if text is None and not kinds & NETWORK:
        text = f"'{place}' cannot be {'read' if act == 'read' else 'written'}: "
        text += f"{_reason(chain)}."
    elif text is None:
        text = (
            f"The hub, {_host()}, cannot be reached: {_reason(chain)}. Check the "
            "network, the proxy and\nHF_ENDPOINT, and run it again: what has arrived "
            "is not sent twice."
        )
    return HubError(text)


def _by_code(code, kinds, place, act):
    """Returns the words for an answer of the hub, or None."""
    if "RevisionNotFoundError" in kinds:
        return f"'{place.name}' has no branch, tag or commit '{place.revision}'."
    if "GatedRepoError" in kinds:
        return (
            f"'{place.name}' is open to those who asked for it: ask on its page, "
            f"{address(place)}, and log in with `hf auth login`."
        )
    if act == "read" and ("RepositoryNotFoundError" in kinds or code in (401, 404)):
        return (
            f"There is no folder '{place}' here, and no model '{place.name}' on "
            f"{_host()} that you may read.\nIf it is private, log in with `hf auth "
            "login`, or set HF_TOKEN."
        )
    if code == 401 or kinds & {"LocalTokenNotFoundError", "UnicodeEncodeError"}:
        return (
            "The hub does not know who you are: log in with `hf auth login`, or set "
            f"HF_TOKEN to a token of {TOKENS}\nthat may write."
        )
    if code == 403:
        return (
            f"Your token may not {act} '{place.name}': take one of {TOKENS} that may,\n"
            f"or a name of your own; `hf auth whoami` says who you are."
        )
    if code in FULL:
        return (
            f"There is no more room for '{place.name}' on the hub ({code}): see what "
            "your account stores in its settings, delete some, and run it again."
        )
    if code == 404:
        return f"There is no '{place}' on {_host()} that you may {act}."
    if code in (409, 412):
        return f"'{place.name}' changed meanwhile, by somebody else: run it again."
    if code == 429:
        return f"{_host()} asks for a pause (429): run it again in some minutes."
    if code is not None and code >= 500:
        return f"{_host()} is out of order ({code}): run it again later; it resumes."
    return f"{_host()} refuses to {act} '{place}' ({code})." if code else None


def _offline(place, act):
    if act == "write":
        return "Offline: unset HF_HUB_OFFLINE and S3PRL_SB_OFFLINE to write to the hub."
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    return (
        f"Offline, and '{place}' is not whole in the cache. Where there is a network, "
        f"run `hf download {place.name} --local-dir FOLDER`, and give FOLDER;\nor copy "
        f"'models--{place.name.replace('/', '--')}' from the cache there to '{cache}'."
    )


def _host():
    from huggingface_hub import constants

    return constants.ENDPOINT


def _reason(chain):
    """Returns the innermost message in one line; servers may have written it."""
    texts = [" ".join(str(error).split()) for error in chain]
    text = next((text for text in reversed(texts) if text), type(chain[0]).__name__)
    return printable(text)[:200].rstrip(".")


def _chain(error) -> Iterator[BaseException]:
    """Yields an exception and those that it comes from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
