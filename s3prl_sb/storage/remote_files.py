"""Downloads that can be interrupted and resumed.

Imports no heavy library, since the corpora use it too.

Authors
 * The s3prl_sb developers, 2026
"""

import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
import zipfile

from s3prl_sb.storage.files import FileError, read_json, write_json
from s3prl_sb.terminal import progress

CHUNK = 1 << 20  # bytes read at once
TRIES = 5  # connections in a row without progress
PAUSE = 1.0  # seconds before the second try, doubled for each further one
TIMEOUT = 60  # seconds without a byte
#: First bytes of a web page that is served instead of a file.
PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|\?xml)", re.I)
POINTER = b"version https://git-lfs.github.com/spec/"


class RemoteFileError(OSError):
    """The server sends something else than the file, or the disk is full."""


class _Interrupted(Exception):
    """A download that another connection may finish."""


def offline():
    """Returns whether downloads are switched off.

    Returns
    -------
    bool
    """
    switches = ("S3PRL_SB_OFFLINE", "HF_HUB_OFFLINE")
    return any(os.environ.get(name, "0") not in ("", "0") for name in switches)


def download(url, part, name):
    """Downloads a file, over several connections if they break off.

    After an interruption, even a kill, the next call resumes the download, unless the
    file has changed on the server.

    Arguments
    ---------
    url : str
        Address, ``http(s)``.
    part : pathlib.Path
        Path of the download; a record of the file's version is next to it.
    name : str
        Name for the progress bar.

    Raises
    ------
    RemoteFileError
        If the server sends something else than a file, or the disk is full.
    OSError
        If the network fails.
    """
    fruitless, most = 0, 0
    while True:
        try:
            return _resume(url, part, name)
        except _Interrupted as error:
            done = part.stat().st_size if part.exists() else 0
            fruitless = 0 if done >= most + CHUNK else fruitless + 1
            most = max(most, done)
            if fruitless == TRIES:
                raise ConnectionError(str(error)) from error
            time.sleep(PAUSE * 2 ** (fruitless - 1) if fruitless else 0)


def _resume(url, part, name):
    """Downloads the missing bytes of a part, over one connection."""
    state = _state(part)
    done = state["done"]
    if done and done == state["size"]:  # killed after the last byte
        return
    headers = {"User-Agent": "s3prl_sb"}
    if done:  # requests the rest, or the whole file if it has changed
        headers.update({"Range": f"bytes={done}-", "If-Range": state["version"]})
    try:
        request = urllib.request.Request(url, headers=headers)
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the range does not exist
            discard(part)
        if error.code in (416, 429) or error.code >= 500:
            raise _Interrupted(error) from error
        raise
    except (ConnectionError, TimeoutError) as error:
        raise _Interrupted(error) from error
    with response:
        if response.status == 206:
            if not _continues(response, state):
                discard(part)
                raise _Interrupted("the file changed while it was downloaded")
            end = re.search(r"/(\d+)$", response.headers["Content-Range"])
            total = int(end[1]) if end else state["size"]
        else:
            discard(part)
            done, total = 0, response.headers.get("Content-Length")
            total = None if total is None else int(total)
            write_json(record(part), {"version": _version(response), "size": total})
        _check_room(url, part.parent, (total or done) - done)
        _receive(url, response, part, done, total, name)


def _continues(response, state):
    """Returns whether a response is the requested rest of the same file. If-Range
    alone is not enough: some servers ignore it."""
    header = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", header)
    return (
        match is not None
        and int(match[1]) == state["done"]
        and (match[2] == "*" or state["size"] in (None, int(match[2])))
        and _version(response) in (None, state["version"])
    )


def _receive(url, response, part, done, total, name):
    """Appends a response to a part, and checks that it is complete."""
    bar = progress.bar(
        desc=f"Downloading {name}", initial=done, total=total, unit="B", unit_scale=True
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
        discard(part)
        raise RemoteFileError(f"{url} serves an empty file.")
    if total is None:  # without a length, only a zip file shows where it ends
        with open(part, "rb") as file:
            is_zip = file.read(4) == b"PK\3\4"
        if is_zip and not zipfile.is_zipfile(part):
            discard(part)
            raise _Interrupted(f"the connection broke off at {size} bytes")


def _refuse_page(url, start, part):
    """Refuses web pages, which servers send for dead links and log-ins."""
    if PAGE.match(start):
        discard(part)
        title = re.search(rb"<title[^>]*>(.*?)</title", start, re.I | re.S)
        text = (title[1] if title else b"").decode("utf-8", "replace")
        text = "".join(c if c.isprintable() else " " for c in text).strip()[:80]
        raise RemoteFileError(
            f"{url} serves a web page{f' ({text})' * bool(text)} and no file: "
            "the link is dead, or asks to sign in."
        )
    if start.startswith(POINTER):
        discard(part)
        raise RemoteFileError(
            f"{url} serves a pointer of Git LFS in place of the file."
        )


def _version(response):
    """Returns a header that identifies the bytes of a file, or None."""
    tag = response.headers.get("ETag")
    # A weak tag does not guarantee equal bytes.
    strong = tag and not tag.startswith("W/")
    return tag if strong else response.headers.get("Last-Modified")


def record(part):
    """Returns the path of the record of a part, which has the version of the file."""
    return part.with_name(part.name + ".json")


def _state(part):
    """Returns ``done``, the number of bytes to keep, and ``size`` and ``version`` of
    the file, or None."""
    state = {"done": 0, "size": None, "version": None}
    try:
        saved = read_json(record(part), kind=dict)
        if saved["version"]:
            state.update(saved, done=part.stat().st_size)
    except (FileError, OSError, KeyError):
        pass  # no part, or of an unknown version: starts again
    return state


def discard(part):
    """Deletes a part, then its record, which is harmless alone."""
    part.unlink(missing_ok=True)
    record(part).unlink(missing_ok=True)


def _check_room(url, folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise RemoteFileError(
            f"{url} takes {needed / 1e9:.2f} GB, and '{folder}' has room for "
            f"{free / 1e9:.2f} GB. Make room, or choose another folder "
            "(S3PRL_SB_CACHE for checkpoints)."
        )
