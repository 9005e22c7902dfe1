"""Text, JSON and YAML files: errors name the file, writes are atomic.

Authors
 * The s3prl_sb developers, 2026
"""

import codecs
import contextlib
import errno
import gzip
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3prl_sb.errors import UserError
from s3prl_sb.identity import digest
from s3prl_sb.identity.opened import opened
from s3prl_sb.storage.yaml_texts import yaml_of

#: Files count by their content, so the code that finds and reads them is not part of
#: an identity; see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: Key of the checksum of the other entries, see :func:`write_json`.
SUM = "sha256 of the rest"

PathLike = str | os.PathLike[str]
Kind = type | tuple[type, ...]


class FileError(UserError, ValueError):
    """A file that cannot be read, or does not hold what it should."""


class MissingFile(FileError, FileNotFoundError):
    """A file that does not exist."""


@contextlib.contextmanager
def naming(path: PathLike, what: str = "", fix: str = "") -> Iterator[None]:
    """Converts exceptions of reading a file into errors that name the file.

    A :class:`~s3prl_sb.errors.UserError` passes through unchanged.

    Arguments
    ---------
    path : str
        The file.
    what : str
        Expected content, such as "the results of a run".
    fix : str
        Instruction for the user, a sentence.

    Raises
    ------
    FileError
        For any other exception.

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
    except Exception as error:  # json, yaml, torch and safetensors raise anything
        os_error = error if isinstance(error, OSError) else None
        if os_error and os_error.filename:  # the file at fault within a folder
            path = os_error.filename
        reason = os_error.strerror if os_error and os_error.strerror else str(error)
        reason = reason.partition("\n")[0]
        mark = getattr(error, "problem_mark", None)
        if mark is not None:  # YAML errors have many lines
            problem = str(getattr(error, "problem", "")).partition(" with value ")[0]
            reason = f"line {mark.line + 1}: {problem}"
        if isinstance(error, KeyError):
            reason = f"it has no {reason}"
        if isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        # The further lines of torch and ruamel.yaml are for their developers.
        lines = [line.strip() for line in reason.splitlines() if line.strip()]
        reason = ", ".join(lines[:3]).rstrip(".") or type(error).__name__
        problem = "cannot be read" if os_error or not what else f"is not {what}"
        if os_error and os_error.errno in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            problem = "cannot be written"
        message = f"'{path}' {problem}: {reason}. {fix}".rstrip()
        missing = isinstance(error, FileNotFoundError)
        raise (MissingFile if missing else FileError)(message) from error


def read_text(path: PathLike, what: str = "", fix: str = "") -> str:
    """Reads a text file in UTF-8, with or without a byte-order mark.

    Arguments
    ---------
    path, what, fix
        See :func:`naming`.

    Returns
    -------
    str

    Raises
    ------
    FileError
        If it cannot be read.
    """
    with naming(path, what, fix):
        return decoded(Path(opened(path)).read_bytes())


def decoded(content: bytes) -> str:
    """Decodes the bytes of a text file: UTF-8, optionally packed with gzip or with a
    byte-order mark, or UTF-16 with one. A ValueError names the line that is not.

    Example
    -------
    >>> decoded(gzip.compress(b"egg")), decoded("egg".encode("utf-16"))
    ('egg', 'egg')
    >>> decoded("one\\ncafé".encode("latin-1"))
    Traceback (most recent call last):
    ...
    ValueError: line 2 is not UTF-8: unexpected end of data
    """
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        is_wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as fault:
        line = fault.object[: fault.start].count(b"\n") + 1
        encoding = "UTF-16" if "16" in fault.encoding else "UTF-8"
        raise ValueError(f"line {line} is not {encoding}: {fault.reason}") from fault
    except (EOFError, OSError, zlib.error) as fault:
        raise ValueError(f"it is packed with gzip, and damaged: {fault}") from fault


def read_json(
    path: PathLike, what: str = "a JSON file", fix: str = "", kind: Kind | None = None
) -> Any:
    """Reads a JSON file.

    Arguments
    ---------
    path, what, fix
        See :func:`naming`.
    kind : type, optional
        Required type of the whole value, such as dict.

    Returns
    -------
    object

    Raises
    ------
    FileError
        If it cannot be read, or has another type.

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
            if value.pop(SUM) != digest(value):
                raise ValueError("it is damaged, or was changed, as its checksum says")
    return value


def read_yaml(
    path: PathLike,
    what: str = "a YAML file",
    fix: str = "",
    kind: Kind | None = None,
    typ: str = "rt",
) -> Any:
    """Reads a YAML file of plain values; errors name the line.

    Arguments
    ---------
    path, what, fix, kind
        See :func:`read_json`.
    typ : str
        "rt", or "safe": plain dicts and lists, where tags are errors.

    Returns
    -------
    object
        Nodes of ruamel.yaml's round-trip loader: tags are kept, no object is built.

    Raises
    ------
    FileError
        If it cannot be read, or its aliases expand to too many values.
    """
    with naming(path, what, fix):
        value = yaml_of(read_text(path, what, fix), typ)
        if kind is not None and value is None:
            raise ValueError("it is empty")
        _check_kind(value, kind)
    return value


def _check_kind(value, kind):
    if kind is not None and not isinstance(value, kind):
        plain = [t for t in (dict, list, str) if isinstance(value, t)] or [type(value)]
        raise ValueError(f"it holds a {plain[0].__name__}, not a {kind.__name__}")


def make_folder(path: PathLike, fix: str = "") -> Path:
    """Makes a folder and those above it, unless they exist. Call it before long work
    whose results belong there.

    Arguments
    ---------
    path : str
        The folder.
    fix : str
        Instruction for the user, a sentence.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FileError
        If it cannot be made, or nothing can be written into it.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     make_folder(folder + "/a/b").is_dir()
    True
    """
    try:
        os.makedirs(path, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        message = f"'{path}' cannot be made or written: {error.strerror}. {fix}"
        raise FileError(message.rstrip()) from error
    return Path(path)


def write_text(path: PathLike, text: str) -> None:
    """Writes a text file atomically, also when several processes write it.

    Arguments
    ---------
    path : str
        The file; its folder is created if it does not exist.
    text : str
        Content of the file.

    Raises
    ------
    FileError
        If it cannot be written.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(folder + "/a/b.txt", "hello")
    ...     Path(folder, "a", "b.txt").read_text()
    'hello'
    """
    from s3prl_sb.storage.parts import Part  # readers do not need it

    try:
        with Part(path) as part:
            part.path.write_text(text, "utf-8", newline="\n")
            part.publish()
    except OSError as error:
        raise FileError(f"'{path}' cannot be written: {error.strerror}.") from error


def write_json(path: PathLike, value: Any, signed: bool = False) -> None:
    """Writes a JSON file atomically.

    Arguments
    ---------
    path : str
        The file.
    value : object
        JSON values.
    signed : bool
        Whether to add a checksum to a dict, which :func:`read_json` verifies. Use it
        for files that silently decide what is computed.
    """
    if signed:
        value = {**value, SUM: digest(value)}
    write_text(path, json.dumps(value, indent=2) + "\n")


def json_text(value: Any) -> str:
    """Returns strict JSON: NaN and infinities become null.

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
        plain = json.loads(json.dumps(value), parse_constant=lambda name: None)
        return json.dumps(plain, indent=2)
