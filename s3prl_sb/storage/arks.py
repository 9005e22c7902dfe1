"""Kaldi's arks: matrices by utterance, in binary files.

An ark holds keys and matrices one after the other; lists of them are in
:mod:`s3prl_sb.storage.ark_lists`. The matrix formats are read and written by kaldiio.
It would also run commands and load pickles that a file names, so only matrices and
vectors reach it, of sizes that the file has room for.

Reference: https://kaldi-asr.org/doc/io.html.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import math
import os
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np

from s3prl_sb.errors import ManifestError, MissingExtra, UserError
from s3prl_sb.identity import ark_names
from s3prl_sb.storage import ark_lists
from s3prl_sb.storage.files import MissingFile, read_text
from s3prl_sb.storage.parts import Part

#: Kaldi's default seconds from one frame to the next.
FRAME_SECONDS = 0.01
#: Name of the file that says it for a data folder, as Kaldi's scripts write it.
FRAME_SHIFT = "frame_shift"
#: Bytes of an entry that hold the number of rows and columns.
HEADER = 32
#: Kinds of binary entries: vectors of integers, and others by their marker, to the
#: sizes in the header, their place after the marker, and the bytes of a value.
INTEGERS = b"\0B\4"
LAYOUTS = {
    INTEGERS: ("<i", 0, 5),
    b"\0BFV": ("<xi", 0, 4),
    b"\0BDV": ("<xi", 0, 8),
    b"\0BFM": ("<xixi", 0, 4),
    b"\0BDM": ("<xixi", 0, 8),
    b"\0BCM": ("<ii", 8, 1),  # after the lowest value and the range
    b"\0BCM2": ("<ii", 8, 2),
    b"\0BCM3": ("<ii", 8, 1),
}


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
        sizes = _sizes(file, name)
    if len(sizes) != 2:  # text, or no matrix
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


def _sizes(file, name):
    """Returns the sizes in the binary header at the current place, which the file is
    large enough for; empty for a text."""
    start, header = file.tell(), file.read(HEADER)
    left = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    kind, _, rest = header.partition(b" ")
    if header.startswith(INTEGERS):
        kind, rest = INTEGERS, header[len(INTEGERS) :]
    layout, first, width = LAYOUTS.get(kind, ("", 0, 0))
    if len(rest) < first + struct.calcsize(layout):
        return ()
    sizes = struct.unpack_from(layout, rest, first)
    if min(sizes, default=0) >= 0 and width * math.prod(sizes) > left:
        text = " x ".join(map(str, sizes))
        raise ArkError(
            f"{name}: damaged or cut off ({text} values in the last {left} bytes). "
            "Make the ark again."
        )
    return sizes


def _matrix(file, name):
    """Reads the matrix at the current place."""
    _sizes(file, name)
    reader, start = matio(), file.tell()
    head = file.read(3)
    file.seek(start)
    try:
        if head == INTEGERS:
            return reader.read_int32vector(file)
        if head[:2] == b"\0B":
            return reader.read_matrix_or_vector(file)
        if re.match(rb"\s*[-\[\d]", head):
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

    They get their names at the end of the context, if it ends without an error. See
    :func:`write` for a single ark.

    Arguments
    ---------
    paths : list of str
        The arks.
    text : bool
        Whether to write text, for people.
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
    ark_lists.write(Path(path).with_suffix(".scp"), writer.names[0])
    return writer.names[0]


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
