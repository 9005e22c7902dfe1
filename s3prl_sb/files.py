"""Reading and writing files: errors that name the file, writes that survive a kill.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import zlib
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.identity.opened import opened

#: What files hold is known by their content, so how they are found and read is no
#: part of an identity; see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: No file of ours has more values; a few lines of YAML may stand for billions.
MOST_VALUES = 1_000_000
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
    s3prl_sb.files.FileError: 'results.json' is not the results of a run: Expecting …
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
        return Path(opened(path)).read_bytes().decode("utf-8-sig")


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


def yaml_of(text, typ="rt"):
    """The values of a YAML text, unless aliases make billions of them.

    Arguments
    ---------
    text : str
        YAML.
    typ : str
        As for :func:`read_yaml`.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If it holds itself, or more than :data:`MOST_VALUES` values.

    Example
    -------
    >>> bomb = "a0: &a0 [x, x]\\n"
    >>> for i in range(40):
    ...     bomb += f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\\n"
    >>> yaml_of(bomb)
    Traceback (most recent call last):
    ...
    ValueError: its aliases stand for more than 1000000 values
    """
    import ruamel.yaml

    loader = yaml_parser(typ)
    if re.search(r"[*]\w", text):
        _count(loader.compose(text))
    try:
        return loader.load(text)
    except ruamel.yaml.constructor.ConstructorError:
        _refuse_duplicates(loader.compose(text), set())
        raise


def _refuse_duplicates(node, seen):
    """Names a key that stands twice where ruamel.yaml blames the tag above it."""
    if node is None or id(node) in seen or not isinstance(node.value, list):
        return
    seen.add(id(node))
    keys = set()
    for part in node.value:
        if isinstance(part, tuple) and not isinstance(part[0].value, list):
            key = part[0].tag, part[0].value
            if key in keys:
                line = part[0].start_mark.line + 1
                raise ValueError(f'line {line}: found duplicate key "{key[1]}"')
            keys.add(key)
        for inner in _parts(part):
            _refuse_duplicates(inner, seen)


def yaml_parser(typ="rt"):
    """What reads and writes YAML, the same in every process.

    HyperPyYAML takes a text ``(…)`` for a tuple whose items it parses as a program, and
    once it has been used it makes ruamel.yaml do so, too. Here such a text is one, and
    keeps its quotes, without which HyperPyYAML would run it later.

    Arguments
    ---------
    typ : str
        As for :func:`read_yaml`.

    Returns
    -------
    ruamel.yaml.YAML

    Example
    -------
    >>> import sys
    >>> yaml = yaml_parser()
    >>> yaml.dump(yaml.load('{a: "(1)", b: (1)}'), sys.stdout)
    {a: "(1)", b: (1)}
    """
    import ruamel.yaml

    # Not libyaml, which a text that is nested too deeply crashes.
    parser = ruamel.yaml.YAML(typ=typ, pure=True)
    parser.preserve_quotes = True
    parser.Resolver = _resolver()
    return parser


@functools.lru_cache(maxsize=None)
def _resolver():
    from ruamel.yaml.resolver import VersionedResolver

    class Resolver(VersionedResolver):
        def resolve(self, kind, value, implicit):
            found = super().resolve(kind, value, implicit)
            return self.DEFAULT_SCALAR_TAG if str(found) == "!tuple" else found

    return Resolver


def _count(node):
    """Refuses nodes of YAML that stand for too many values; aliases are one node."""
    counts = {}

    def inside(node):
        if not isinstance(node.value, list):
            return 1
        if node not in counts:
            counts[node] = None
            parts = [p for part in node.value for p in _parts(part)]
            counts[node] = 1 + sum(map(inside, parts))
        if counts[node] is None:
            raise ValueError("it holds itself")
        return counts[node]

    if inside(node) > MOST_VALUES:
        raise ValueError(f"its aliases stand for more than {MOST_VALUES} values")


def _parts(part):
    return part if isinstance(part, tuple) else (part,)


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
    from s3prl_sb.parts import Part  # not for those who only read

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
