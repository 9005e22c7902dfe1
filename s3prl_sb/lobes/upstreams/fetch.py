"""From the address of a checkpoint to a local file.

Downloads land in ``$S3PRL_SB_CACHE`` (default ``~/.cache/s3prl_sb``), are
resumed after an interruption and appear under their name only when whole.
With ``S3PRL_SB_OFFLINE=1`` nothing is downloaded: the error says which file
goes where.

A source is one address or a list of them, of which the first that gives the
file is taken. An address may end with the hash of its file::

    source:
        - https://one.org/model.pt#sha256=6f0c…  # 64 hexadecimal digits
        - https://another.org/model.pt

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from tqdm import tqdm

from s3prl_sb.files import write_json
from s3prl_sb.lobes.upstreams.checkpoints import digest

CHUNK = 1 << 20  # bytes read at once
TRIES = 5  # connections in a row that bring nothing
PAUSE = 1.0  # seconds before the second of them, then twice as long, …
TIMEOUT = 60  # seconds without a byte
#: What a folder of Hugging Face needs to hold; the rest is not downloaded.
HF_FILES = ["*.json", "*.safetensors", "pytorch_model*.bin"]
HF_FILES += ["*.ckpt", "*.txt"]
WEIGHTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
#: What is served where a file was, by how it begins.
PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|\?xml)", re.I)
POINTER = b"version https://git-lfs.github.com/spec/"


class FetchError(OSError):
    """A checkpoint that is neither here nor can be downloaded."""


class _Interrupted(Exception):
    """A download that another connection may complete."""


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


def fetch(source):
    """The local file or folder of a checkpoint, downloaded if need be.

    Arguments
    ---------
    source : str or list of str
        A file or folder, an ``http(s)://`` address, or the id of a Hugging
        Face repository (``"facebook/hubert-base-ls960"``). After
        ``#sha256=`` the hash of the file: any other file is an error. Of a
        list, what is here already is preferred, then the order counts.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileNotFoundError
        For a local path that does not exist.
    FetchError
        If it cannot be downloaded, or is not what it should be. For a list it
        says so of each.

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
    for get in (_here, _elsewhere):
        for item in sources:
            try:
                path = None if item in errors else get(*_split(item))
            except OSError as error:
                errors[item] = error
            else:
                if path is not None:
                    return path
    if len(errors) == 1:
        raise next(iter(errors.values()))
    raise FetchError(
        f"None of the {len(errors)} sources gives the checkpoint:\n"
        + "\n".join(f"- {error}" for error in errors.values())
    )


def forget(source):
    """Deletes what was downloaded of a source, unless one is offline.

    Arguments
    ---------
    source : str or list of str
        As for :func:`fetch`; anything that is no address is left alone.
    """
    for item in source if isinstance(source, (list, tuple)) else [source]:
        address, _ = _split(str(item))
        if _is_url(address) and not offline():
            _target(address).unlink(missing_ok=True)


def _split(source):
    """The address, and the hash that its file must have, or None."""
    address, mark, sha256 = source.partition("#sha256=")
    if mark and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise FetchError(f"'{source}': after #sha256= go 64 hexadecimal digits.")
    return address, sha256.lower() or None


def _is_url(address):
    return re.match(r"https?://", address) is not None


def _here(address, sha256):
    """Its file or folder, if it needs no network."""
    path = _target(address) if _is_url(address) else Path(address).expanduser()
    if not path.exists():
        return None
    if sha256 and (found := digest(path)) != sha256:
        raise FetchError(
            f"'{path}' is not the published file: its SHA-256 is {found}, not "
            f"{sha256}. Delete it and try again."
        )
    return path


def _elsewhere(address, sha256):
    """Its file or folder from the network."""
    if _is_url(address):
        return _download(address, sha256)
    looks_like_id = re.fullmatch(r"[\w.-]+/[\w.-]+", address)
    if not looks_like_id or Path(address).suffix in WEIGHTS:
        raise FileNotFoundError(
            f"No checkpoint at '{address}'. A source is a file, a folder, an "
            "http(s) address or a Hugging Face id such as "
            "'facebook/hubert-base-ls960'."
        )
    if sha256:
        raise FetchError(f"'{address}' is a folder; #sha256= is for single files.")
    return _snapshot(address)


def _target(url):
    """The cache file of an address: readable, and unique."""
    name = re.sub(r"[^\w.-]", "_", re.split("[?#]", url)[0].rsplit("/", 1)[-1])
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    return cache_folder() / f"{key}-{name[-100:] or 'checkpoint'}"


def _download(url, sha256):
    from filelock import FileLock

    target = _target(url)
    if offline():
        raise FetchError(
            f"Offline, and {url} is not in the cache. Download it elsewhere, "
            f"and either put it at '{target}' or point the upstream at it "
            "with its `source`."
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):  # several processes want it at once
            if not target.exists():
                part = target.with_name(target.name + ".part")
                _complete(url, part)
                if sha256 and (found := digest(part)) != sha256:
                    _discard(part)
                    raise FetchError(
                        f"{url} gives another file than the published one: its "
                        f"SHA-256 is {found}, not {sha256}."
                    )
                os.replace(part, target)
                _record(part).unlink(missing_ok=True)
    except FetchError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(
            f"Cannot download {url}: {error}. Run again to resume, or download "
            f"it elsewhere and put it at '{target}'."
        ) from error
    return target


def _complete(url, part):
    """Downloads all of a file, over several connections if they break off."""
    fruitless, most = 0, 0
    while True:
        try:
            return _resume(url, part)
        except _Interrupted as error:
            done = part.stat().st_size if part.exists() else 0
            fruitless = 0 if done >= most + CHUNK else fruitless + 1
            most = max(most, done)
            if fruitless == TRIES:
                raise ConnectionError(str(error)) from error
            time.sleep(PAUSE * 2 ** (fruitless - 1) if fruitless else 0)


def _resume(url, part):
    """Downloads what a part lacks, over one connection."""
    known = _known(part)
    done = known["done"]
    if done and done == known["size"]:  # killed before it got its name
        return
    headers = {"User-Agent": "s3prl_sb"}
    if done:  # the rest, or all of it if it is another file by now
        headers.update({"Range": f"bytes={done}-", "If-Range": known["version"]})
    try:
        request = urllib.request.Request(url, headers=headers)
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # there is no such rest
            _discard(part)
        if error.code in (416, 429) or error.code >= 500:
            raise _Interrupted(error) from error
        raise
    except (ConnectionError, TimeoutError) as error:
        raise _Interrupted(error) from error
    with response:
        if response.status == 206:
            if not _continues(response, known):
                _discard(part)
                raise _Interrupted("the file changed while it was downloaded")
            end = re.search(r"/(\d+)$", response.headers["Content-Range"])
            total = int(end[1]) if end else known["size"]
        else:
            _discard(part)
            done, total = 0, response.headers.get("Content-Length")
            total = None if total is None else int(total)
            write_json(_record(part), {"version": _version(response), "size": total})
        _check_room(url, part.parent, (total or done) - done)
        _receive(url, response, part, done, total)


def _continues(response, known):
    """Whether an answer is the rest that was asked for, of the same file. Some
    servers ignore If-Range, which alone would do."""
    given = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", given)
    return (
        found is not None
        and int(found[1]) == known["done"]
        and (found[2] == "*" or known["size"] in (None, int(found[2])))
        and _version(response) in (None, known["version"])
    )


def _receive(url, response, part, done, total):
    """Appends an answer to a part, and checks that it is whole."""
    bar = tqdm(
        desc=f"Downloading {part.name[17:-5]}",
        initial=done,
        total=total,
        unit="B",
        unit_scale=True,
    )
    with open(part, "ab") as file, bar:
        while True:
            try:
                chunk = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
                raise _Interrupted(f"the connection broke off: {reason}") from error
            if not chunk:
                break
            if not file.tell():
                _refuse_page(url, chunk, part)
            file.write(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    size = part.stat().st_size
    if total is not None and size < total:
        raise _Interrupted(f"the connection broke off at {size} of {total} bytes")
    if size == 0:
        _discard(part)
        raise FetchError(f"{url} serves an empty file.")
    if total is None:  # then only a zip tells where it ends
        with open(part, "rb") as file:
            is_zip = file.read(4) == b"PK\3\4"
        if is_zip and not zipfile.is_zipfile(part):
            _discard(part)
            raise _Interrupted(f"the connection broke off at {size} bytes")


def _refuse_page(url, start, part):
    """Dead links and log-ins are pages, which a checkpoint is not."""
    if PAGE.match(start):
        _discard(part)
        title = re.search(rb"<title[^>]*>(.*?)</title", start, re.I | re.S)
        text = (title[1] if title else b"").decode("utf-8", "replace")
        text = "".join(c if c.isprintable() else " " for c in text).strip()[:80]
        raise FetchError(
            f"{url} serves a web page{f' ({text})' * bool(text)} and no checkpoint: "
            "the link is dead, or asks to sign in."
        )
    if start.startswith(POINTER):
        _discard(part)
        raise FetchError(f"{url} serves a pointer of Git LFS in place of the file.")


def _version(response):
    """What identifies the bytes that are served, or None."""
    tag = response.headers.get("ETag")
    # A weak one holds for files that only mean the same.
    strong = tag and not tag.startswith("W/")
    return tag if strong else response.headers.get("Last-Modified")


def _record(part):
    """Keeps beside a part which version of the file it is of."""
    return part.with_name(part.name + ".json")


def _known(part):
    """``done``: bytes that can be kept; ``size`` in all, ``version``: or None."""
    known = {"done": 0, "size": None, "version": None}
    try:
        found = json.loads(_record(part).read_text("utf-8"))
        if found["version"]:
            known.update(found, done=part.stat().st_size)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing kept, or by whom is not known: from the start
    return known


def _discard(part):
    """The part first: a record without it does no harm."""
    part.unlink(missing_ok=True)
    _record(part).unlink(missing_ok=True)


def _check_room(url, folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise FetchError(
            f"{url} takes {needed / 1e9:.2f} GB, and '{folder}' has room for "
            f"{free / 1e9:.2f} GB. Make room, or set S3PRL_SB_CACHE to a folder "
            "elsewhere."
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
