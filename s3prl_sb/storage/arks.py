"""Kaldi's arks: matrices by utterance, in binary files and their lists.

An ark holds keys and matrices one after the other, and an scp lists where each begins:
``utterance path/feats.ark:1234``. The matrix formats are read and written by kaldiio.
It would also run commands and load pickles that a file names, so only matrices and
vectors reach it: an scp with a command is refused, and so are other contents.

Reference: https://kaldi-asr.org/doc/io.html.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from s3prl_sb.errors import ManifestError, MissingExtra, UserError
from s3prl_sb.identity import ark_names
from s3prl_sb.storage.files import MissingFile, read_text, write_text
from s3prl_sb.storage.parts import Part

#: Kaldi's default seconds from one frame to the next.
FRAME_SECONDS = 0.01
#: Name of the file that says it for a data folder, as Kaldi's scripts write it.
FRAME_SHIFT = "frame_shift"
#: Bytes of an entry that hold the number of rows and columns.
HEADER = 32


class ArkError(UserError, ValueError):
    """An ark that cannot be read; the message names the entry."""


def matio() -> ModuleType:
    """Returns kaldiio's reader and writer.

    Raises
    ------
    MissingExtra
        If kaldiio is not installed.
    """
    try:
        from kaldiio import matio
    except ImportError as error:
        raise MissingExtra(
            'kaldiio reads and writes Kaldi\'s arks: pip install "s3prl_sb[kaldi]"'
        ) from error
    return matio


def read(name: str) -> np.ndarray:
    """Reads an entry.

    Arguments
    ---------
    name : str
        ``path.ark:offset``.

    Returns
    -------
    numpy.ndarray
        [rows, columns], or [values] for a vector; int32 or floats.

    Raises
    ------
    ArkError
        If there is no matrix or vector at that place.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     names = write(folder + "/a.ark", [("a", np.ones((3, 2), np.float32))])
    ...     read(names["a"]).shape, shape(names["a"])
    ((3, 2), (3, 2))
    """
    path, offset = ark_names.split(name)
    with _opened(path, name) as file:
        file.seek(offset or 0)
        return _matrix(file, name)


def shape(name: str) -> tuple[int, int]:
    """Returns the rows and columns of a matrix without reading it.

    Arguments
    ---------
    name : str
        ``path.ark:offset``.

    Returns
    -------
    tuple of int

    Raises
    ------
    ArkError
        If there is no matrix at that place.
    """
    path, offset = ark_names.split(name)
    with _opened(path, name) as file:
        file.seek(offset or 0)
        header = file.read(HEADER)
    kind, _, rest = header.partition(b" ")
    sizes = None
    if kind in (b"\0BFM", b"\0BDM") and len(rest) >= 10:
        sizes = struct.unpack("<xixi", rest[:10])
    elif kind in (b"\0BCM", b"\0BCM2", b"\0BCM3") and len(rest) >= 16:
        sizes = struct.unpack("<ii", rest[8:16])  # after the lowest value and the range
    if sizes is None:  # text, or no matrix
        matrix = read(name)
        if matrix.ndim != 2:
            raise ArkError(f"{name}: {matrix.ndim} dimensions, where features have 2.")
        sizes = matrix.shape
    if min(sizes) < 1:
        raise ArkError(f"{name}: a matrix of {sizes[0]} x {sizes[1]}. Leave it out.")
    return sizes


def entries(
    path: str, file: BinaryIO | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the (key, matrix or vector) of each entry of an ark, in order.

    Arguments
    ---------
    path : str
        The ark, binary or text.
    file : binary file, optional
        Its content, if it is not in the file itself: unzipped, for example.
    """
    with file or _opened(path, path) as opened:
        while key := _key(opened):
            yield key, _matrix(opened, f"{path}: '{key}'")


def _key(file):
    """Returns the key at the current place; empty at the end of the file."""
    key = bytearray()
    while (byte := file.read(1)) not in (b" ", b"\t", b""):
        key += byte
    return key.decode("utf-8", "backslashreplace").strip()


def _matrix(file, name):
    """Reads the matrix at the current place."""
    reader, start = matio(), file.tell()
    head = file.read(3)
    file.seek(start)
    is_text = head.lstrip()[:1] in (
        b"[",
        *(b"-0123456789"[i : i + 1] for i in range(11)),
    )
    try:
        if head == b"\0B\4":
            return reader.read_int32vector(file)
        if head[:2] == b"\0B":
            return reader.read_matrix_or_vector(file)
        if is_text:
            return reader.read_ascii_mat(file)
    except (AssertionError, ValueError, RuntimeError, struct.error) as error:
        raise ArkError(
            f"{name}: damaged or cut off ({str(error) or 'wrong marker'}). Make "
            "the ark again."
        ) from error
    raise ArkError(
        f"{name}: neither a matrix nor a vector begins there. Does the scp belong to "
        "another version of the ark?"
    )


def _opened(path, name):
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        raise MissingFile(f"{name}: no such file.") from error


def read_scp(path: str | Path) -> dict[str, str]:
    """Reads a list of entries.

    Arguments
    ---------
    path : str
        The scp. Relative paths start at its folder; if nothing is there, at the
        folders around it, as Kaldi's paths start where its scripts run.

    Returns
    -------
    dict
        ``{utterance: "path.ark:offset"}``, with absolute paths.

    Raises
    ------
    ManifestError
        With the file and the line.
    """
    names: dict[str, str] = {}
    roots: dict[str, str] = {}
    for number, line in enumerate(
        read_text(path, "a list of features").splitlines(), 1
    ):
        place = f"{path}:{number}"
        if not line.strip():
            continue
        key, *rest = line.split(None, 1)
        name = rest[0].strip() if rest else ""
        if name.endswith("|"):
            raise ManifestError(
                f"{place}: '{key}' is the output of a command, {name!r}, and commands "
                "in files are not run. Run it with copy-feats, and list the ark that "
                "it writes."
            )
        if not ark_names.is_entry(name):
            raise ManifestError(
                f"{place}: {name!r} is no entry PATH.ark:OFFSET. Write the features "
                "with copy-feats scp:feats.scp ark,scp:all.ark,all.scp."
            )
        if key in names:
            raise ManifestError(f"{place}: '{key}' again. Keep one of them.")
        ark, offset = ark_names.split(name)
        if ark not in roots:
            roots[ark] = located(ark, Path(path).absolute().parent)
        names[key] = f"{roots[ark]}:{offset}"
    if not names:
        raise ManifestError(f"{path}: names no features. Get a sound copy of it.")
    return names


def located(name: str, folder: Path) -> str:
    """Returns the absolute path of a file, or name of an entry, in a list.

    Arguments
    ---------
    name : str
        Absolute, or relative to the folder or to one around it.
    folder : pathlib.Path
        Folder of the list, absolute.

    Returns
    -------
    str
        In the folder, if there is no such file anywhere.
    """
    file, offset = ark_names.split(name)
    ending = "" if offset is None else f":{offset}"
    for root in (folder, *folder.parents):
        if (root / file).is_file():
            return os.path.normpath(root / file) + ending
    return os.path.normpath(folder / file) + ending


def frame_seconds(path: str) -> float:
    """Returns the seconds from one frame to the next.

    Arguments
    ---------
    path : str
        An ark. A file ``frame_shift`` beside it has the number; otherwise it is 0.01.

    Returns
    -------
    float
    """
    place = Path(path).with_name(FRAME_SHIFT)
    if not place.is_file():
        return FRAME_SECONDS
    try:
        seconds = float(read_text(place))
        if not 0 < seconds < 10:
            raise ValueError
    except ValueError as error:
        raise ManifestError(
            f"{place}:1: no number of seconds, such as 0.01."
        ) from error
    return seconds


class Arks:
    """Arks that are written together, utterance by utterance; a context manager.

    They get their names at the end of the context, if it ends without an error.

    Arguments
    ---------
    paths : list of str
        The arks.
    text : bool
        Whether to write text, for people.

    See :func:`write` for a single ark.
    """

    def __init__(self, paths: Sequence[str | Path], text: bool = False):
        self.writer, self.text = matio(), text
        self.paths = [Path(os.path.abspath(path)) for path in paths]
        #: ``{key: "path.ark:offset"}`` of each ark
        self.names: list[dict[str, str]] = [{} for _ in self.paths]

    def __enter__(self) -> "Arks":
        with contextlib.ExitStack() as stack:
            self.parts = [stack.enter_context(Part(path)) for path in self.paths]
            self.files = [
                stack.enter_context(open(part.path, "wb")) for part in self.parts
            ]
            self._stack = stack.pop_all()
        return self

    def write(self, key: str, matrices: Sequence[np.ndarray]) -> None:
        """Adds an utterance.

        Arguments
        ---------
        key : str
            Id without white space.
        matrices : list of numpy.ndarray
            [rows, columns] or [values], one for each ark.

        Raises
        ------
        ArkError
            For a key that Kaldi cannot hold.
        """
        check_key(key)
        for path, file, names, matrix in zip(
            self.paths, self.files, self.names, matrices, strict=True
        ):
            names[key] = f"{path}:{file.tell() + len(key.encode()) + 1}"
            self.writer.save_ark(file, {key: matrix}, text=self.text)

    def __exit__(self, kind, *error) -> None:
        with self._stack:
            for file, part in zip(self.files, self.parts):
                file.close()
                if kind is None:
                    part.publish()


def write(
    path: str | Path, matrices: Iterable[tuple[str, np.ndarray]], text: bool = False
) -> dict[str, str]:
    """Writes an ark, and a list of its entries beside it, atomically.

    Arguments
    ---------
    path : str
        The ark; the list has the ending ``.scp``.
    matrices : iterable of (str, numpy.ndarray)
        Keys without white space, and matrices [rows, columns] or vectors [values];
        one at a time is in memory.
    text : bool
        Whether to write text, for people.

    Returns
    -------
    dict
        ``{key: "path.ark:offset"}``.

    Raises
    ------
    ArkError
        For a key that Kaldi cannot hold.
    """
    with Arks([path], text) as writer:
        for key, matrix in matrices:
            writer.write(key, [matrix])
    write_scp(Path(path).with_suffix(".scp"), writer.names[0])
    return writer.names[0]


def write_scp(path: str | Path, names: dict[str, str]) -> None:
    """Writes a list of entries, sorted as Kaldi wants it, atomically."""
    keys = sorted(names, key=str.encode)
    write_text(path, "".join(f"{key} {names[key]}\n" for key in keys))


def check_key(key: str, place: str = "") -> None:
    """Raises ArkError for a key that Kaldi cannot hold.

    Arguments
    ---------
    key : str
        Id of an utterance.
    place : str
        File of the utterance, for the error.
    """
    if key.split() != [key]:
        raise ArkError(
            f"{place or 'an utterance'}: the id {key!r} has white space, which "
            "Kaldi's lists cannot hold. Rename it."
        )
