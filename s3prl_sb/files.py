"""Reading and writing files: errors that name the file, writes that survive a kill.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import json
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.parts import Part


class FileError(UserError, ValueError):
    """A file that cannot be read, or does not hold what it should."""


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
    s3prl_sb.files.FileError: 'results.json' is not the results of a run: Expecting …
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # json, yaml, torch, safetensors, the system: anything
        is_os = isinstance(error, OSError)
        reason = error.strerror if is_os and error.strerror else str(error)
        if isinstance(error, KeyError):
            reason = f"it has no {reason}"
        reason = reason.strip().rstrip(".") or type(error).__name__
        problem = "cannot be read" if is_os or not what else f"is not {what}"
        message = f"'{path}' {problem}: {reason}. {fix}".rstrip()
        raise FileError(message) from error


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
        return Path(path).read_bytes().decode("utf-8-sig")


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
    s3prl_sb.files.FileError: '…' is not a JSON file: it holds a list, not a dict.
    """
    with naming(path, what, fix):
        value = json.loads(read_text(path, what, fix))
        _check_kind(value, kind)
    return value


def read_yaml(path, what="a YAML file", fix="", kind=None):
    """Reads a YAML file of plain values, with the line of what is wrong with it.

    Arguments
    ---------
    path, what, fix, kind
        As for :func:`read_json`.

    Returns
    -------
    object
        As ruamel.yaml's round-trip loader gives it: tags are kept, nothing is made.

    Raises
    ------
    FileError
        That names the file.
    """
    import ruamel.yaml

    with naming(path, what, fix):
        value = ruamel.yaml.YAML().load(read_text(path, what, fix))
        _check_kind(value, kind)
    return value


def _check_kind(value, kind):
    if kind is not None and not isinstance(value, kind):
        raise ValueError(f"it holds a {type(value).__name__}, not a {kind.__name__}")


def write_text(path, text):
    """Writes a text file, whole or not at all, whoever else writes it.

    Arguments
    ---------
    path : str
        The file; its folder is made if need be.
    text : str
        Its content.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(folder + "/a/b.txt", "hello")
    ...     Path(folder, "a", "b.txt").read_text()
    'hello'
    """
    with Part(path) as part:
        with open(part.path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        part.publish()


def write_json(path, value):
    """Writes a JSON file, whole or not at all.

    Arguments
    ---------
    path : str
        The file.
    value : object
        JSON values.
    """
    write_text(path, json.dumps(value, indent=2) + "\n")
