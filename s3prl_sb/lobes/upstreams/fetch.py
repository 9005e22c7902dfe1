"""From the address of a checkpoint to a local file.

Downloads land in ``$S3PRL_SB_CACHE`` (default ``~/.cache/s3prl_sb``), are
resumed after an interruption and appear under their name only when whole.
With ``S3PRL_SB_OFFLINE=1`` nothing is downloaded: the error says which file
goes where.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from s3prl_sb.lobes.upstreams.checkpoints import digest

CHUNK = 1 << 20
#: What a folder of Hugging Face needs to hold; the rest is not downloaded.
HF_FILES = ["*.json", "*.safetensors", "pytorch_model.bin", "*.txt"]


class FetchError(OSError):
    """A checkpoint that is neither here nor can be downloaded."""


def cache_folder():
    """Where downloads are kept.

    Returns
    -------
    pathlib.Path
    """
    default = Path.home() / ".cache" / "s3prl_sb"
    return Path(os.environ.get("S3PRL_SB_CACHE", default)).expanduser()


def offline():
    """Whether downloads are switched off.

    Returns
    -------
    bool
    """
    switches = ("S3PRL_SB_OFFLINE", "HF_HUB_OFFLINE")
    return any(os.environ.get(name, "0") not in ("", "0") for name in switches)


def fetch(source, sha256=None):
    """The local file or folder of a checkpoint, downloaded if need be.

    Arguments
    ---------
    source : str
        A file or folder, an ``http(s)://`` address, or the id of a Hugging
        Face repository (``"facebook/hubert-base-ls960"``).
    sha256 : str, optional
        Expected hash of the file; another one is an error.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        For a local path that does not exist.
    FetchError
        If it cannot be downloaded, or is not what it should be.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".pt") as file:
    ...     str(fetch(file.name)) == file.name
    True
    """
    source = os.fspath(source)
    if re.match(r"https?://", source):
        path = _download(source, sha256)
    elif Path(source).expanduser().exists():
        path = Path(source).expanduser()
        if sha256:
            _verify(path, sha256)
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", source) and (
        Path(source).suffix not in (".pt", ".ckpt", ".bin", ".safetensors", ".pth")
    ):
        path = _snapshot(source)
    else:
        raise FileNotFoundError(
            f"No checkpoint at '{source}'. A source is a file, a folder, an "
            "http(s) address or a Hugging Face id such as "
            "'facebook/hubert-base-ls960'."
        )
    return path


def _verify(path, sha256):
    found = digest(path)
    if found != sha256:
        raise FetchError(
            f"'{path}' is not the published file: its SHA-256 is {found}, not "
            f"{sha256}. Delete it and try again."
        )


def _target(url):
    """The cache file of an address: readable, and unique."""
    name = re.sub(r"[^\w.-]", "_", url.split("?")[0].rsplit("/", 1)[-1])
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    return cache_folder() / f"{key}-{name or 'checkpoint'}"


def _download(url, sha256):
    from filelock import FileLock

    target = _target(url)
    if target.exists():
        if sha256:
            _verify(target, sha256)
        return target
    if offline():
        raise FetchError(
            f"Offline, and {url} is not in the cache. Download it elsewhere, "
            f"and either put it at '{target}' or point the upstream at it "
            "with its `source`."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):  # several processes want it at once
        if not target.exists():
            part = target.with_name(target.name + ".part")
            try:
                _resume(url, part)
            except (OSError, http.client.HTTPException) as error:
                raise FetchError(
                    f"Cannot download {url}: {error}. Run again to resume, or "
                    f"download it elsewhere and put it at '{target}'."
                ) from error
            if sha256 and digest(part) != sha256:
                found = digest(part)
                part.unlink()
                raise FetchError(
                    f"{url} gave another file than the published one: its "
                    f"SHA-256 is {found}, not {sha256}."
                )
            os.replace(part, target)
    return target


def _resume(url, part):
    """Downloads what ``part`` lacks."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "s3prl_sb"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:  # nothing is lacking
            return
        raise
    with response:
        if response.status != 206:  # the server starts over
            done = 0
        size = response.headers.get("Content-Length")
        total = done + int(size) if size else None
        bar = tqdm(
            desc=f"Downloading {part.name[17:-5]}",
            initial=done,
            total=total,
            unit="B",
            unit_scale=True,
        )
        with open(part, "ab" if done else "wb") as file, bar:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        if total is not None and part.stat().st_size < total:
            raise ConnectionError(
                f"the connection broke off at {part.stat().st_size} of {total} bytes"
            )


def _snapshot(repository):
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repository, allow_patterns=HF_FILES, local_files_only=offline()
            )
        )
    except Exception as error:  # the library raises a dozen unrelated kinds
        raise FetchError(
            f"'{repository}' is no local path, and as a Hugging Face "
            f"repository it cannot be had: {error} Download it elsewhere and "
            "point `source` at the folder."
        ) from error
