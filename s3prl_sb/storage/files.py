"""Reading and writing files: errors that name the file, writes that survive a kill.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import errno
import gzip
import hashlib
import json
import os
import zlib
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.identity.opened import opened
from s3prl_sb.storage.yaml_texts import yaml_of

#: What files hold is known by their content, so how they are found and read is no
#: part of an identity; see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: Key of the checksum of the others, see :func:`write_json`.
SUM = "sha256 of the rest"
#: In the metadata of our safetensors files: what they say about themselves.
SAYS, CRC = "s3prl_sb", "crc32 of the rest"


class FileError(UserError, ValueError):
    """A file that cannot be read, or does not hold what it should."""


class MissingFile(FileError, FileNotFoundError):
    """A file that is not there."""


@contextlib.contextmanager
def naming(path, what="", fix=""):
    """Turns whatever reading a file raises into an error that names the file.

    Errors that users can mend already (:class:`~s3prl_sb.errors.UserError`) pass
    through unchanged.

    Arguments
    ---------
    path : str
        The file.
    what : str
        What it should be, such as "the results of a run".
    fix : str
        A sentence that says what to do.

    Raises
    ------
    FileError
        In the place of any other exception.

    Example
    -------
    >>> with naming("results.json", "the results of a run", "Run the recipe again."):
    ...     json.loads("{")
    Traceback (most recent call last):
    ...
    s3prl_sb.storage.files.FileError: 'results.json' is not the results of a run: …
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # json, yaml, torch, safetensors, the system: anything
        is_os = isinstance(error, OSError)
        if is_os and error.filename:  # of a folder's files that one
            path = error.filename
        reason = error.strerror if is_os and error.strerror else str(error)
        reason = reason.partition("\n")[0]
        mark = getattr(error, "problem_mark", None)
        if mark is not None:  # of YAML, which tells the rest in many lines
            problem = str(error.problem).partition(" with value ")[0]
            reason = f"line {mark.line + 1}: {problem}"
        if isinstance(error, KeyError):
            reason = f"it has no {reason}"
        if isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        # What torch and ruamel.yaml add are lines for their developers.
        lines = [line.strip() for line in reason.splitlines() if line.strip()]
        reason = ", ".join(lines[:3]).rstrip(".") or type(error).__name__
        problem = "cannot be read" if is_os or not what else f"is not {what}"
        if is_os and error.errno in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            problem = "cannot be written"
        message = f"'{path}' {problem}: {reason}. {fix}".rstrip()
        missing = isinstance(error, FileNotFoundError)
        raise (MissingFile if missing else FileError)(message) from error


def read_text(path, what="", fix=""):
    """Reads a text file in UTF-8, with or without a byte-order mark.

    Arguments
    ---------
    path, what, fix
        As for :func:`naming`.

    Returns
    -------
    str

    Raises
    ------
    FileError
        That names the file.
    """
    with naming(path, what, fix):
        return decoded(Path(opened(path)).read_bytes())


def decoded(content):
    """The text of a file's bytes (UTF-8, maybe packed with gzip, with a byte-order
    mark); a ValueError names the line that is not UTF-8.

    Example
    -------
    >>> decoded(gzip.compress(b"egg")), decoded(b"egg")
    ('egg', 'egg')
    >>> decoded("one\\ncafé".encode("latin-1"))
    Traceback (most recent call last):
    ...
    ValueError: line 2 is not UTF-8: unexpected end of data
    """
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = fault.object[: fault.start].count(b"\n") + 1
        raise ValueError(f"line {line} is not UTF-8: {fault.reason}") from fault
    except (EOFError, OSError, zlib.error) as fault:
        raise ValueError(f"it is packed with gzip, and damaged: {fault}") from fault


def read_json(path, what="a JSON file", fix="", kind=None):
    """Reads a JSON file.

    Arguments
    ---------
    path, what, fix
        As for :func:`naming`.
    kind : type, optional
        Of the whole value, such as dict; anything else is an error.

    Returns
    -------
    object

    Raises
    ------
    FileError
        That names the file.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    ...     _ = file.write("[1]")
    ...     file.flush()
    ...     read_json(file.name, kind=dict)
    Traceback (most recent call last):
    ...
    s3prl_sb.storage.files.FileError: '…' is not a JSON file: it holds a list, not …
    """
    with naming(path, what, fix):
        value = json.loads(read_text(path, what, fix))
        _check_kind(value, kind)
        if isinstance(value, dict) and SUM in value:
            if value.pop(SUM) != _sum(value):
                raise ValueError("it is damaged, or was changed, as its checksum says")
    return value


def read_yaml(path, what="a YAML file", fix="", kind=None, typ="rt"):
    """Reads a YAML file of plain values, with the line of what is wrong with it.

    Arguments
    ---------
    path, what, fix, kind
        As for :func:`read_json`.
    typ : str
        "rt", or "safe": plain dicts and lists, and a tag is an error.

    Returns
    -------
    object
        As ruamel.yaml's round-trip loader gives it: tags are kept, nothing is made.

    Raises
    ------
    FileError
        That names the file, also if it stands for more values than can be.
    """
    with naming(path, what, fix):
        value = yaml_of(read_text(path, what, fix), typ)
        if kind is not None and value is None:
            raise ValueError("it is empty")
        _check_kind(value, kind)
    return value


def read_tensors(path, what="a file of tensors", fix=""):
    """Reads what ``torch.save`` has written, of plain values and tensors.

    Arguments
    ---------
    path, what, fix
        As for :func:`naming`.

    Returns
    -------
    object
        On the CPU.

    Raises
    ------
    FileError
        That names the file.
    """
    import torch

    with naming(path, what, fix):
        return torch.load(path, map_location="cpu", weights_only=True)


def read_safetensors(path, what="a safetensors file", fix="", signed=False):
    """Reads a safetensors file, and compares the checksum if it has one.

    Arguments
    ---------
    path, what, fix
        As for :func:`naming`.
    signed : bool
        Whether it must have one, being of :func:`write_safetensors`.

    Returns
    -------
    dict
        Names to tensors on the CPU.

    Raises
    ------
    FileError
        That names the file.
    """
    from safetensors import safe_open

    with naming(path, what, fix), safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        text = (file.metadata() or {}).get(SAYS, "{}")
        about = json.loads(text) if CRC in text else {}
        if signed and not about:
            raise ValueError("it has no checksum: it is of an older version")
        if about and about.pop(CRC) != _crc(tensors, about):
            raise ValueError("it is damaged, as its checksum says")
        return tensors


def write_safetensors(path, tensors, about):
    """Writes a safetensors file with a checksum; equal content gives equal bytes.

    Arguments
    ---------
    path : str
        The file; it is on the disk when this returns.
    tensors : dict
        Names to tensors, each in a storage of its own.
    about : dict
        JSON values, which become metadata under :data:`SAYS`.

    Example
    -------
    >>> import tempfile, torch
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     write_safetensors(file.name, {"a": torch.ones(3)}, {"about": "me"})
    ...     read_safetensors(file.name)
    {'a': tensor([1., 1., 1.])}
    """
    from safetensors.torch import save_file

    # In one text: safetensors writes several in any order.
    text = json.dumps({**about, CRC: _crc(tensors, about)})
    save_file(tensors, path, {SAYS: text})
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _crc(tensors, about):
    import torch

    shapes = {name: [str(t.dtype), *t.shape] for name, t in tensors.items()}
    found = zlib.crc32(json.dumps([about, shapes], sort_keys=True).encode())
    for _, tensor in sorted(tensors.items()):
        found = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy(), found)
    return str(found)


def _check_kind(value, kind):
    if kind is not None and not isinstance(value, kind):
        plain = [t for t in (dict, list, str) if isinstance(value, t)] or [type(value)]
        raise ValueError(f"it holds a {plain[0].__name__}, not a {kind.__name__}")


def write_text(path, text):
    """Writes a text file, whole or not at all, whoever else writes it.

    Arguments
    ---------
    path : str
        The file; its folder is made if need be.
    text : str
        Its content.

    Raises
    ------
    FileError
        That names the file.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(folder + "/a/b.txt", "hello")
    ...     Path(folder, "a", "b.txt").read_text()
    'hello'
    """
    try:
        _write(path, text)
    except OSError as error:
        raise FileError(f"'{path}' cannot be written: {error.strerror}.") from error


def _write(path, text):
    from s3prl_sb.storage.parts import Part  # not for those who only read

    with Part(path) as part:
        with open(part.path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        part.publish()


def write_json(path, value, signed=False):
    """Writes a JSON file, whole or not at all.

    Arguments
    ---------
    path : str
        The file.
    value : object
        JSON values.
    signed : bool
        Whether a dict gets its checksum, which :func:`read_json` compares: for what
        decides silently what is computed.
    """
    if signed:
        value = {**value, SUM: _sum(value)}
    write_text(path, json.dumps(value, indent=2) + "\n")


def json_text(value):
    """JSON as every program reads it: what is no number, such as NaN, is null.

    Arguments
    ---------
    value : object
        JSON values.

    Returns
    -------
    str

    Example
    -------
    >>> print(json_text([0.5, float("nan")]))
    [
      0.5,
      null
    ]
    """
    try:
        return json.dumps(value, indent=2, allow_nan=False)
    except ValueError:
        text = json.dumps(value)
        plain = json.loads(text, parse_constant=lambda name: None)
        return json.dumps(plain, indent=2)


def _sum(value):
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
