"""Phone alignments: which phone is spoken when.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from s3prl_sb.dataio.phones import FOLDED
from s3prl_sb.storage.files import naming, read_json, read_text
from s3prl_sb.units.errors import UnitsError

KEYS = ("phones", "segments")
TIMIT_RATE = 16000  # Hz, of the sample numbers in .PHN files
EXAMPLE = '{"id": {"phones": [[0.0, 0.12, "SIL"], [0.12, 0.2, "AH"]]}}'


class Alignment(NamedTuple):
    """Phones of an utterance, in order."""

    starts: numpy.ndarray  #: seconds
    stops: numpy.ndarray  #: seconds
    phones: list[str]  #: an empty text: no phone

    def at(self, seconds: numpy.ndarray) -> list[str]:
        """Returns the phone at each time, or an empty text where there is none.

        Example
        -------
        >>> alignment = alignment_of([[0.1, 0.2, "AH"], [0.2, 0.4, "T"]])
        >>> alignment.at(numpy.array([0.05, 0.15, 0.2, 0.5]))
        ['', 'AH', 'T', '']
        """
        places = numpy.searchsorted(self.starts, seconds, "right") - 1
        inside = (places >= 0) & (seconds < self.stops[places])
        return [self.phones[p] if ok else "" for p, ok in zip(places, inside)]


def alignment_of(segments: Iterable) -> Alignment:
    """Returns the alignment of (start, stop, phone) segments in seconds.

    Stress is removed: "AH0" is the phone "AH".

    Raises
    ------
    ValueError
        For anything else, overlapping segments included.
    """
    rows = [(float(start), float(stop), str(p)) for start, stop, p in segments]
    rows.sort()
    starts, stops = (numpy.array([row[i] for row in rows]) for i in (0, 1))
    if not rows or (stops <= starts).any() or (starts[1:] < stops[:-1] - 1e-6).any():
        raise ValueError("its segments are empty, or overlap")
    return Alignment(
        starts, stops, [re.sub(r"(?<=[A-Z])[012]$", "", r[2]) for r in rows]
    )


class Alignments:
    """Alignments of utterances, found by the ends of their names.

    "TRAIN/DR7/MADD0/SA2.PHN" is found for "MADD0/SA2.WAV", "dr7-madd0-sa2" and
    "timit_madd0_sa2", provided that no other alignment ends so.

    Arguments
    ---------
    alignments : dict
        Names to alignments.

    Example
    -------
    >>> alignments = Alignments({"DR1/AB0/SA1": alignment_of([[0, 1, "sil"]])})
    >>> alignments.of("ab0-sa1.wav").phones, alignments.of("AB0/SA2")
    (['sil'], None)
    """

    def __init__(self, alignments: Mapping[str, Alignment]):
        self.exact = dict(alignments)
        self._endings: dict[tuple, str | None] = {}
        for name in self.exact:
            words = _words(name)
            for first in range(len(words)):
                ending = words[first:]
                same = self._endings.get(ending, name) == name
                self._endings[ending] = name if same else None

    def __len__(self) -> int:
        return len(self.exact)

    def of(self, name: str) -> Alignment | None:
        """Returns the alignment of an utterance, or None if there is none."""
        if name in self.exact:
            return self.exact[name]
        words = _words(name)
        for first in range(len(words)):
            if words[first:] in self._endings:
                found = self._endings[words[first:]]
                return None if found is None else self.exact[found]
        return None


def _words(name):
    stem = re.sub(r"\.[A-Za-z]\w{1,4}$", "", name)
    return tuple(re.split(r"[/\\_-]+", stem.lower()))


def read(path: str | os.PathLike) -> Alignments:
    """Reads alignments.

    Arguments
    ---------
    path : str
        A folder of TIMIT's .PHN files, whose phones are folded to 39; or a JSON file
        ``{"id": {"phones": [[start, stop, phone], …]}}`` in seconds.

    Returns
    -------
    Alignments

    Raises
    ------
    UnitsError
        If there are none.
    s3prl_sb.storage.files.FileError
        For a file in another format, with the id or the line.
    """
    path = Path(path)
    found = _timit(path) if path.is_dir() else _manifest(path)
    if not found:
        raise UnitsError(
            f"'{path}' has no alignments. Give a folder with .PHN files, or a JSON "
            f"file: {EXAMPLE}"
        )
    return Alignments(found)


def _manifest(path):
    found = {}
    fix = f"Such a file is {EXAMPLE}."
    for name, record in read_json(path, "a file of alignments", fix, dict).items():
        with naming(path, "a file of alignments", fix):
            found[name] = alignment_of(_segments(name, record))
    return found


def _segments(name, record: Any):
    if isinstance(record, Mapping):
        key = next((key for key in KEYS if key in record), None)
        if key is None:
            raise ValueError(f"'{name}' has no phones")
        record = record[key]
    try:
        return [(start, stop, phone) for start, stop, phone in record]
    except (TypeError, ValueError) as fault:
        raise ValueError(
            f"'{name}' has other segments than [start, stop, phone]"
        ) from fault


def _timit(folder):
    files = [file for file in folder.rglob("*") if file.suffix.lower() == ".phn"]
    return {
        file.relative_to(folder).with_suffix("").as_posix(): _phn(file)
        for file in sorted(files)
    }


def _phn(file):
    segments = []
    with naming(
        file, "a .PHN file", "Its lines are: first sample, last sample, phone."
    ):
        for number, line in enumerate(read_text(file).splitlines(), 1):
            words = line.split()
            if len(words) != 3 or not (words[0] + words[1]).isdigit():
                raise ValueError(f"line {number} is '{line[:40]}'")
            start, stop = (int(word) / TIMIT_RATE for word in words[:2])
            if stop > start:  # a few files have an empty first phone
                segments.append((start, stop, FOLDED.get(words[2], words[2])))
        return alignment_of(segments)
