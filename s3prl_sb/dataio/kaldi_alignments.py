"""Kaldi's alignments: a number for each frame of an utterance.

They are arks of integer vectors, binary or text, also gzipped, as these commands write
them: ``ali-to-pdf final.mdl "ark:gunzip -c ali.*.gz|" ark,t:pdf.txt``, or
``ali-to-phones --per-frame``. Transition ids, of which ``ali.*.gz`` consist, mean
nothing without the model: convert them first.

Authors
 * The s3prl_sb developers, 2026
"""

import gzip
import io
import itertools
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError
from s3prl_sb.storage import arks
from s3prl_sb.terminal.messages import excerpt, few, reason

Segments = dict[str, list[tuple[str, float, float]]]


def read(
    path: str | Path,
    frame_seconds: float = arks.FRAME_SECONDS,
    symbols: Mapping[int, str] | None = None,
) -> Segments:
    """Reads alignments as segments.

    Arguments
    ---------
    path : str
        An ark, or a folder with ``ali*`` or ``pdf*`` files.
    frame_seconds : float
        Seconds from one frame to the next; three times as many for chain models.
    symbols : dict, optional
        Numbers to labels, see :func:`read_symbols`. Default: the numbers as text.

    Returns
    -------
    dict
        ``{utterance: [(label, start, stop), …]}``, seconds: the same as of
        :func:`s3prl_sb.dataio.label_files.read`. Equal frames in a row are one segment.

    Raises
    ------
    ManifestError
        With the file, the line of a text and the fix.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    ...     _ = file.write("u1 7 7 7 2\\n")
    ...     file.flush()
    ...     read(file.name)
    {'u1': [('7', 0.0, 0.03), ('2', 0.03, 0.04)]}
    """
    segments: Segments = {}
    for file in _files(Path(path)):
        for utterance, numbers, place in _vectors(file):
            if utterance in segments:
                raise ManifestError(f"{place}: '{utterance}' again. Keep one of them.")
            if not np.size(numbers):
                raise ManifestError(f"{place}: '{utterance}' has no frame. Remove it.")
            segments[utterance] = _runs(numbers, frame_seconds, symbols, place)
    if not segments:
        raise ManifestError(f"{path}: aligns no utterance. Get a sound copy of it.")
    return segments


def _files(path):
    if not path.is_dir():
        return [path]
    files = sorted(f for pattern in ("ali*", "pdf*") for f in path.glob(pattern))
    if not files:
        raise ManifestError(f"{path}: has no file ali* or pdf*. Name the ark.")
    return files


def _vectors(path):
    """Yields (utterance, numbers, "file:line" or file)."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ManifestError(
            f"{path}: cannot be read ({error}). Get a sound copy of it."
        ) from error
    if b"\0B" in content[:1000]:
        try:
            for utterance, numbers in arks.entries(str(path), io.BytesIO(content)):
                yield utterance, numbers, str(path)
        except arks.ArkError as error:
            raise ManifestError(str(error)) from error
        return
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        place, (utterance, *fields) = f"{path}:{number}", line.split() or [""]
        if not utterance:
            continue
        try:
            yield utterance, np.array([int(field) for field in fields], "int64"), place
        except (ValueError, OverflowError) as error:
            raise ManifestError(
                f"{place}: '{utterance}': {reason(error)}. An alignment is an "
                "utterance and whole numbers, one for each frame."
            ) from error


def _runs(numbers, frame_seconds, symbols, place):
    """Returns the segments of equal numbers."""
    if np.ndim(numbers) != 1 or np.asarray(numbers).dtype.kind != "i":
        raise ManifestError(
            f"{place}: holds features, not an alignment. Convert it: ali-to-pdf."
        )
    segments, first = [], 0
    for number, run in itertools.groupby(np.asarray(numbers).tolist()):
        stop = first + len(list(run))
        if symbols is not None and number not in symbols:
            raise ManifestError(f"{place}: the symbols lack the number {number}.")
        label = str(number) if symbols is None else symbols[number]
        times = (round(frame * frame_seconds, 6) for frame in (first, stop))
        segments.append((label, *times))
        first = stop
    return segments


def read_symbols(path: str | Path) -> dict[int, str]:
    """Reads a symbol table such as ``phones.txt``: lines of a label and a number.

    Arguments
    ---------
    path : str
        The table.

    Returns
    -------
    dict
        Numbers to labels.

    Raises
    ------
    ManifestError
        With the file and the line, also for a number that two labels have.
    """
    symbols: dict[int, str] = {}
    for place, line in manifest.lines(path):
        fields = line.split()
        try:
            label, number = fields[0], int(fields[1])
            if len(fields) != 2 or number < 0 or number in symbols:
                raise ValueError
        except (IndexError, ValueError):
            raise ManifestError(
                f"{place}: {excerpt(line)} is not a label and a number of its own."
            ) from None
        symbols[number] = label
    return symbols


def count_frames(
    segments: Segments,
    labels: Iterable[str],
    frame_seconds: float,
    place: str = "the alignment",
) -> dict[str, int]:
    """Counts the frames of each label, for priors.

    Arguments
    ---------
    segments : dict
        Output of :func:`read`.
    labels : iterable of str
        All labels, in the order of the result.
    frame_seconds : float
        Seconds of a frame.
    place : str
        File of the segments, for the error.

    Returns
    -------
    dict
        Labels to numbers of frames, 0 for those that do not occur.

    Raises
    ------
    ManifestError
        For a segment with another label.
    """
    counts = dict.fromkeys(labels, 0)
    for utterance, spans in segments.items():
        for label, start, stop in spans:
            if label not in counts:
                raise ManifestError(
                    f"{place}: '{utterance}' has '{label}' at {start:g} s, which is "
                    f"none of the {len(counts)} labels, such as {few(list(counts))}. "
                    "Correct their number, or the alignment."
                )
            counts[label] += round((stop - start) / frame_seconds)
    return counts
