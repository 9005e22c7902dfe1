"""Phone alignments: which phone is spoken when.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy

from s3prl_sb.dataio import label_files
from s3prl_sb.dataio.phones import FOLDED
from s3prl_sb.storage.files import naming
from s3prl_sb.units.errors import UnitsError

PHN, TIER = ".phn", "phones"
ROUNDED = 0.01 + 1e-6  # seconds by which segments may overlap
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

    Stress is removed: "AH0" is the phone "AH". A segment that stops up to 0.01 s after
    the next one starts is cut: starts and durations in a CTM are rounded apart.

    Raises
    ------
    ValueError
        For anything else, segments that are empty or overlap further included.

    Example
    -------
    >>> alignment_of([[0.0, 0.11, "AH0"], [0.1, 0.2, "T"]]).stops.tolist()
    [0.1, 0.2]
    """
    rows = [(float(start), float(stop), str(p)) for start, stop, p in segments]
    rows.sort()
    starts, stops = (numpy.array([row[i] for row in rows]) for i in (0, 1))
    if not rows:
        raise ValueError("its segments are an empty list")
    late = numpy.append(stops[:-1] - starts[1:], 0.0)
    for number in numpy.flatnonzero((stops <= starts) | (late > ROUNDED))[:1]:
        start, stop, phone = rows[number]
        what = "is empty" if stop <= start else f"overlaps '{rows[number + 1][2]}'"
        raise ValueError(f"'{phone}' from {start:g} to {stop:g} s {what}")
    stops = numpy.where(late > 0, stops - late, stops)
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
        A folder of TIMIT's .PHN files, whose phones are folded to 39; or any file or
        folder that :mod:`s3prl_sb.dataio.label_files` reads, such as a JSON file
        ``{"id": {"phones": [[start, stop, phone], …]}}`` in seconds. Of TextGrid files
        it takes the tier "phones".

    Returns
    -------
    Alignments

    Raises
    ------
    UnitsError
        If there are none.
    s3prl_sb.errors.UserError
        For a file in another format, with the id or the line.
    """
    path = Path(path)
    files = (file.suffix.lower() for file in path.rglob("*"))
    kind = PHN if path.is_dir() and PHN in files else None  # beside .WRD and .TXT
    found, folded = {}, FOLDED if PHN in (kind, path.suffix.lower()) else {}
    for name, segments in label_files.read(path, tier=TIER, kind=kind).items():
        with naming(path, "a file of alignments", f"Correct '{name}'."):
            found[name] = alignment_of((a, b, folded.get(p, p)) for p, a, b in segments)
    if not found:
        raise UnitsError(
            f"'{path}' has no alignments. Give a folder with .PHN files, or a JSON "
            f"file: {EXAMPLE}"
        )
    return Alignments(found)
