"""Files from the network, whole or to be gone on with.

Needs nothing heavy: parsers of corpora use it too.

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
TRIES = 5  # connections in a row that bring nothing
PAUSE = 1.0  # seconds before the second of them, then twice as long, …
TIMEOUT = 60  # seconds without a byte
#: What is served where a file was, by how it begins.
PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|\?xml)", re.I)
POINTER = b"version https://git-lfs.github.com/spec/"


class TransferError(OSError):
    """Something else than the file is served, or there is no room for it."""


class _Interrupted(Exception):
    """A download that another connection may complete."""


def offline():
    """Whether downloads are switched off.

    Returns
    -------
    bool
    """
    switches = ("S3PRL_SB_OFFLINE", "HF_HUB_OFFLINE")
    return any(os.environ.get(name, "0") not in ("", "0") for name in switches)


def complete(url, part, name):
    """Downloads all of a file, over several connections if they break off.

    Interrupted, killed even, the next call goes on where it was, unless the file
    has changed at its source.

    Arguments
    ---------
    url : str
        Its ``http(s)`` address.
    part : pathlib.Path
        Where it goes; a record of which version it is lies beside it.
    name : str
        What the progress bar calls it.

    Raises
    ------
    TransferError
        If there is something else than a file, or no room for it.
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
            discard(part)
        if error.code in (416, 429) or error.code >= 500:
            raise _Interrupted(error) from error
        raise
    except (ConnectionError, TimeoutError) as error:
        raise _Interrupted(error) from error
    with response:
        if response.status == 206:
            if not _continues(response, known):
                discard(part)
                raise _Interrupted("the file changed while it was downloaded")
            end = re.search(r"/(\d+)$", response.headers["Content-Range"])
            total = int(end[1]) if end else known["size"]
        else:
            discard(part)
            done, total = 0, response.headers.get("Content-Length")
            total = None if total is None else int(total)
            write_json(record(part), {"version": _version(response), "size": total})
        _check_room(url, part.parent, (total or done) - done)
        _receive(url, response, part, done, total, name)


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


def _receive(url, response, part, done, total, name):
    """Appends an answer to a part, and checks that it is whole."""
    bar = progress.bar(
        desc=f"Downloading {name}",
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
        discard(part)
        raise TransferError(f"{url} serves an empty file.")
    if total is None:  # then only a zip tells where it ends
        with open(part, "rb") as file:
            is_zip = file.read(4) == b"PK\3\4"
        if is_zip and not zipfile.is_zipfile(part):
            discard(part)
            raise _Interrupted(f"the connection broke off at {size} bytes")


def _refuse_page(url, start, part):
    """Dead links and log-ins are pages, which a file is not."""
    if PAGE.match(start):
        discard(part)
        title = re.search(rb"<title[^>]*>(.*?)</title", start, re.I | re.S)
        text = (title[1] if title else b"").decode("utf-8", "replace")
        text = "".join(c if c.isprintable() else " " for c in text).strip()[:80]
        raise TransferError(
            f"{url} serves a web page{f' ({text})' * bool(text)} and no file: "
            "the link is dead, or asks to sign in."
        )
    if start.startswith(POINTER):
        discard(part)
        raise TransferError(f"{url} serves a pointer of Git LFS in place of the file.")


def _version(response):
    """What identifies the bytes that are served, or None."""
    tag = response.headers.get("ETag")
    # A weak one holds for files that only mean the same.
    strong = tag and not tag.startswith("W/")
    return tag if strong else response.headers.get("Last-Modified")


def record(part):
    """The file beside a part that says which version of the file it is of."""
    return part.with_name(part.name + ".json")


def _known(part):
    """``done``: bytes that can be kept; ``size`` in all, ``version``: or None."""
    known = {"done": 0, "size": None, "version": None}
    try:
        found = read_json(record(part), kind=dict)
        if found["version"]:
            known.update(found, done=part.stat().st_size)
    except (FileError, OSError, KeyError):
        pass  # nothing kept, or by whom is not known: from the start
    return known


def discard(part):
    """Deletes a part. It first: a record without it does no harm."""
    part.unlink(missing_ok=True)
    record(part).unlink(missing_ok=True)


def _check_room(url, folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise TransferError(
            f"{url} takes {needed / 1e9:.2f} GB, and '{folder}' has room for "
            f"{free / 1e9:.2f} GB. Make room, or choose another folder "
            "(S3PRL_SB_CACHE for checkpoints)."
        )
