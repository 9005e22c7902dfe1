"""Sources of unlabelled audio, as a recipe's ``train_data`` names them.

A source is one of these, or a list of them:

* a folder, searched recursively for every format that libsndfile reads, and for shards;
* an audio file, or a pattern with ``*`` such as ``/data/*/wav/*.flac``;
* a manifest (JSON) or a table (CSV, TSV) with a column ``wav`` or ``path``, and
  optional columns of segments, see :mod:`s3prl_sb.dataio.segment_times`;
* a tar shard, uncompressed;
* a URL of any of them but tables, which fsspec reads.

A mapping ``{name: {data: source, weight: number}}`` is a weighted mixture.

Authors
 * The s3prl_sb developers, 2026
"""

import glob
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from s3prl_sb.audio.audio_names import hint, is_audio
from s3prl_sb.errors import UserError
from s3prl_sb.terminal.messages import near
from s3prl_sb.unlabelled import remote
from s3prl_sb.unlabelled.shards import is_shard

TABLES = (".csv", ".tsv", ".json")
WANTED = (
    "Give a folder, an audio file, a pattern, a table (.csv, .tsv, .json), a .tar or a "
    "URL; a list of them; or {name: {data: …, weight: …}, …}."
)


class SourceError(UserError, ValueError):
    """Data that cannot be used; the message names the key and the fix."""


class Folder(NamedTuple):
    """All audio and all shards below a folder or a URL."""

    path: str


class Files(NamedTuple):
    """Some audio files below a folder or a URL."""

    path: str
    names: tuple[str, ...]  #: relative paths


class Shard(NamedTuple):
    """A tar."""

    path: str


class Table(NamedTuple):
    """A manifest or a table of audio."""

    path: str


Input: TypeAlias = Folder | Files | Shard | Table


class Source(NamedTuple):
    """One source of a mixture."""

    name: str
    weight: float
    inputs: tuple[Input, ...]


def sources(data: Any, key: str = "train_data") -> list[Source]:
    """Parses the value of ``train_data`` or ``valid_data``.

    Arguments
    ---------
    data : str, list or dict
        See the module.
    key : str
        Key of the recipe, for errors.

    Returns
    -------
    list of Source

    Raises
    ------
    SourceError
        If something does not exist, or is not audio.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mixture = {"here": {"data": folder, "weight": 2}}
    ...     [(source.name, source.weight) for source in sources(mixture)]
    [('here', 2.0)]
    """
    if not isinstance(data, Mapping):
        return [Source("data", 1.0, _inputs(data, key))]
    parsed = []
    for name, entry in data.items():
        place = f"{key}: {name}"
        if not isinstance(entry, Mapping) or set(entry) != {"data", "weight"}:
            raise SourceError(
                f"{place}: give data and weight of each source of a mixture, "
                f"{name}: {{data: FOLDER, weight: 1}}; without weights, a list."
            )
        weight = entry["weight"]
        is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not is_number or not 0 < weight < float("inf"):
            raise SourceError(f"{place}: weight {weight!r} is not a positive number.")
        inputs = _inputs(entry["data"], place)
        parsed.append(Source(str(name), float(weight), inputs))
    if not parsed:
        raise SourceError(f"{key} is empty. {WANTED}")
    return parsed


def _inputs(data, key):
    entries = list(data) if isinstance(data, (list, tuple)) else [data]
    if not entries or not all(
        isinstance(entry, (str, os.PathLike)) for entry in entries
    ):
        raise SourceError(f"{key}: {data!r} is not audio. {WANTED}")
    inputs = []
    for entry in map(os.fspath, entries):
        if not entry:
            raise SourceError(f"{key}: an empty path. {WANTED}")
        found = _remote(entry, key) if remote.is_url(entry) else _local(entry, key)
        inputs.extend(found)
    return tuple(inputs)


def _local(entry, key):
    """Returns the inputs of a local path."""
    path = os.path.abspath(os.path.expanduser(entry))
    if not os.path.exists(path) and glob.has_magic(path):
        paths = sorted(glob.glob(path, recursive=True))
        if not paths:
            raise SourceError(f"{key}: nothing matches {entry}. Correct the pattern.")
        return _gathered(paths, key, os.path.isdir)
    if not os.path.exists(path):
        raise SourceError(f"{key}: {entry} does not exist{hint(path)}. {_near(path)}")
    return _gathered([path], key, os.path.isdir)


def _remote(entry, key):
    """Returns the inputs of a URL."""
    if "*" in entry:
        urls = remote.matching(entry)
        if not urls:
            raise SourceError(f"{key}: nothing matches {entry}. Correct the pattern.")
    else:
        urls = [entry.rstrip("/")]
    return _gathered(urls, key, lambda url: "." not in url.rsplit("/", 1)[-1])


def _gathered(paths, key, is_folder):
    """Sorts paths by their kind; single files become one input a call."""
    inputs, files = [], []
    for path in paths:
        ending = os.path.splitext(path)[1].lower()
        if is_folder(path):
            inputs.append(Folder(path))
        elif is_shard(path):
            inputs.append(Shard(path))
        elif ending in TABLES and remote.is_url(path):
            raise SourceError(
                f"{key}: {path}: a table is read from this machine. Download it; the "
                "paths in it may be URLs."
            )
        elif ending in TABLES:
            inputs.append(Table(path))
        elif is_audio(path):
            files.append(path)
        elif remote.is_url(path) and ending not in TABLES and len(paths) == 1:
            inputs.append(Folder(path))  # a folder with a dot in its name
        elif len(paths) == 1:
            raise SourceError(f"{key}: {path} is not audio. {WANTED}")
    if files:
        inputs.append(_files(files))
    if not inputs:
        raise SourceError(f"{key}: no audio among {len(paths)} files. {WANTED}")
    return inputs


def _files(paths):
    """Returns the input of single files, below the folder that they share."""
    folder = os.path.dirname(paths[0])
    while not all(path.startswith(folder.rstrip("/") + "/") for path in paths):
        folder = os.path.dirname(folder)
    start = len(folder.rstrip("/")) + 1
    return Files(folder, tuple(path[start:] for path in paths))


def _near(path):
    """Returns a sentence with what exists of a path."""
    folder, name = os.path.split(path)
    while not os.path.isdir(folder):
        folder, name = os.path.split(folder)
    names = sorted(entry for entry in os.listdir(folder) if entry[0] != ".")
    text = near(name, names)
    return f"In {folder}{text[5:] if text.startswith('There ') else f': {text}'}"
