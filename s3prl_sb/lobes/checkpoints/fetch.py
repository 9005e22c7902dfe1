"""Download of checkpoints, from an address to a local file.

Downloads go to ``$S3PRL_SB_CACHE`` (default ``~/.cache/s3prl_sb``). They are resumed
after an interruption and get their name only when they are complete. With
``S3PRL_SB_OFFLINE=1`` nothing is downloaded: the error says which file to put where.

A source is one address or a list of them; the first that provides the file is used. An
address may end with the hash of its file::

    source:
        - https://one.org/model.pt#sha256=6f0c…  # 64 hexadecimal digits
        - https://another.org/model.pt

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import http.client
import os
import re
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.identity import opened
from s3prl_sb.lobes.checkpoints.reading import digest
from s3prl_sb.resources import cache_folder
from s3prl_sb.storage import hub, remote_files
from s3prl_sb.storage.files import MissingFile
from s3prl_sb.storage.locks import Lock
from s3prl_sb.storage.remote_files import offline
from s3prl_sb.storage.repositories import file_of

#: Files are identified by their content, so the code that finds and reads them does
#: not count in an identity; see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: Files of a Hugging Face repository that are downloaded.
HF_FILES = ["*.json", "*.safetensors", "pytorch_model*.bin", "*.ckpt", "*.txt"]
#: Files that are left out: the adapters of MMS, up to a thousand of them.
HF_LEFT_OUT = ["adapter.*"]
WEIGHTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")


class FetchError(UserError, OSError):
    """Error of a checkpoint that is neither local nor can be downloaded."""


def fetch(source):
    """Returns the local file or folder of a checkpoint, and downloads it if needed.

    Arguments
    ---------
    source : str or list of str
        File or folder, ``http(s)://`` address, id of a Hugging Face repository
        (``"facebook/hubert-base-ls960"``, or with ``@REVISION``), or address of a file
        in one (``"hf://owner/name@REVISION/model.pt"``), optionally with ``#sha256=``
        and the hash of the file: any other file is an error. In a list, local files are
        preferred, then the order counts.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        For a local path that does not exist.
    FetchError
        If it cannot be downloaded, or has another hash. For a list, the message
        has the reason of each.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
    ...     str(fetch(["absent.pt", file.name])) == file.name
    True
    """
    one = isinstance(source, (str, os.PathLike))
    sources = list(map(os.fspath, [source] if one else source))
    if not sources:
        raise FetchError("The list of sources is empty.")
    errors = {}
    for get in (_local, _remote):
        for item in sources:
            try:
                path = None if item in errors else get(*_split(item))
            except OSError as error:
                errors[item] = error
            else:
                if path is not None:
                    opened.named(source, path)
                    return path
    if len(errors) == 1:
        raise next(iter(errors.values()))
    raise FetchError(
        f"None of the {len(errors)} sources gives the checkpoint:\n"
        + "\n".join(f"- {error}" for error in errors.values())
    )


def fetch_more(source, names):
    """Downloads files of a Hugging Face repository that :func:`fetch` leaves out.

    They go into the same folder.

    Arguments
    ---------
    source : str or list of str
        See :func:`fetch`; anything but an id is ignored.
    names : list of str
        Names of the files; missing ones are ignored.

    Raises
    ------
    FetchError
        If the repository is not available.
    """
    for item in source if isinstance(source, (list, tuple)) else [source]:
        address, _ = _split(os.fspath(item))
        if _is_id(address) and not Path(address).expanduser().exists():
            _snapshot(address, allow_patterns=names)


def fetch_chosen(source, choose):
    """Downloads of a Hugging Face repository only the weights that are needed.

    Arguments
    ---------
    source : str or list of str
        See :func:`fetch`; anything but one id is returned unchanged.
    choose : callable
        Takes the folder with the repository's JSON files, and returns the names of the
        files to download as well. None of them: the source is returned unchanged.

    Returns
    -------
    str, list of str or pathlib.Path
        Source for :func:`fetch`: the folder, if files were chosen.

    Raises
    ------
    FetchError
        If the repository is not available.
    """
    if not isinstance(source, str) or not _is_id(source):
        return source
    if Path(source).expanduser().exists():
        return source
    names = choose(_snapshot(source, allow_patterns=["*.json"]))
    if not names:
        return source
    folder = _snapshot(source, allow_patterns=["*.json", *names])
    opened.named(source, folder)
    return folder


def forget(source):
    """Deletes the downloaded file of a source, except offline.

    Arguments
    ---------
    source : str or list of str
        See :func:`fetch`; anything but an address is ignored.
    """
    for item in source if isinstance(source, (list, tuple)) else [source]:
        address, _ = _split(str(item))
        if _is_url(address) and not offline():
            _target(address).unlink(missing_ok=True)


def _split(source):
    """Splits a source into the address and the hash of its file, or None."""
    address, mark, sha256 = source.partition("#sha256=")
    if mark and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise FetchError(f"'{source}': after #sha256= go 64 hexadecimal digits.")
    return address, sha256.lower() or None


def _is_url(address):
    return re.match(r"https?://", address) is not None


def _is_id(address):
    looks_like_id = re.fullmatch(r"[\w.-]+/[\w.-]+(@\w[\w./-]*)?", address)
    return looks_like_id is not None and Path(address).suffix not in WEIGHTS


def _local(address, sha256):
    """Returns the local file or folder of an address, or None."""
    path = _target(address) if _is_url(address) else Path(address).expanduser()
    if not path.exists():
        return None
    if sha256 and (actual := digest(path)) != sha256:
        raise FetchError(
            f"'{path}' is not the published file: its SHA-256 is {actual}, not "
            f"{sha256}. Delete it and try again."
        )
    return path


def _remote(address, sha256):
    """Returns the file or folder of an address from the network."""
    if _is_url(address):
        return _download(address, sha256)
    if file_of(address) is not None:
        return _file(address, sha256)
    if not _is_id(address):
        raise MissingFile(
            f"No checkpoint at '{address}'. A source is a file, a folder, an "
            "http(s) address or a Hugging Face id such as "
            "'facebook/hubert-base-ls960'."
        )
    if sha256:
        raise FetchError(f"'{address}' is a folder; #sha256= is for single files.")
    return _snapshot(address, allow_patterns=HF_FILES, ignore_patterns=HF_LEFT_OUT)


def _target(url):
    """Returns the cache file of an address, with a readable and unique name."""
    name = re.sub(r"[^\w.-]", "_", re.split("[?#]", url)[0].rsplit("/", 1)[-1])
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    return cache_folder() / f"{key}-{name[-100:] or 'checkpoint'}"


def _download(url, sha256):
    target = _target(url)
    if offline():
        raise FetchError(
            f"Offline, and {url} is not in the cache. Download it elsewhere, "
            f"and either put it at '{target}' or point the upstream at it "
            "with its `source`."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with Lock(f"{target}.lock"):  # several processes may download it at once
            if not target.exists():
                part = target.with_name(target.name + ".part")
                remote_files.download(url, part, name=target.name[17:])
                if sha256 and (actual := digest(part)) != sha256:
                    remote_files.discard(part)
                    raise FetchError(
                        f"{url} gives another file than the published one: its "
                        f"SHA-256 is {actual}, not {sha256}."
                    )
                os.replace(part, target)
                remote_files.record(part).unlink(missing_ok=True)
    except remote_files.RemoteFileError as error:
        raise FetchError(str(error)) from error
    except FetchError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(
            f"Cannot download {url}: {error}. Run again to resume, or download "
            f"it elsewhere and put it at '{target}'."
        ) from error
    return target


def _file(address, sha256):
    """Returns a single file of a Hugging Face repository."""
    path = hub.download_file(address)
    if sha256 and (actual := digest(path)) != sha256:
        place, name = file_of(address)
        folder = path.parents[name.count("/") + 2]
        raise FetchError(
            f"'{name}' of '{place}' is not the published file: its SHA-256 is "
            f"{actual}, not {sha256}. Delete '{folder}' and try again."
        )
    return path


def _snapshot(repository, **patterns):
    from huggingface_hub import snapshot_download

    name, _, revision = repository.partition("@")
    at = {"revision": revision} if revision else {}
    try:
        return Path(
            snapshot_download(name, local_files_only=offline(), **at, **patterns)
        )
    except Exception as error:  # the library raises a dozen unrelated classes
        raise FetchError(
            f"'{repository}' is no local path, and as a Hugging Face "
            f"repository it cannot be had: {error} Download it elsewhere and "
            "point `source` at the folder."
        ) from error
