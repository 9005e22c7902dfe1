"""Lists of utterances that units are fitted on and applied to.

Any object with the methods of :class:`Speech` will do.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch

from s3prl_sb.audio.audio_names import as_id, only_audio
from s3prl_sb.audio.loading import AudioFileError, load_waveform
from s3prl_sb.audio.waveforms import AudioError
from s3prl_sb.dataio.records import completed
from s3prl_sb.dataio.tables import load_table
from s3prl_sb.identity import digest
from s3prl_sb.units.errors import UnitsError

if TYPE_CHECKING:
    from s3prl_sb.unlabelled.index import AudioIndex

logger = logging.getLogger(__name__)

#: Largest share of utterances that may be unreadable.
UNREADABLE = 0.01


class Speech(Protocol):
    """List of utterances with unique names."""

    @property
    def digest(self) -> str:
        """Hash of the list: names and lengths, in order."""

    def __len__(self) -> int:
        """Returns the number of utterances."""

    def name(self, row: int) -> str:
        """Returns the name of an utterance."""

    def seconds(self, row: int) -> float:
        """Returns the length of an utterance in seconds."""

    def load(self, row: int, sample_rate: int) -> torch.Tensor:
        """Returns a waveform [samples] at a sample rate in Hz.

        Raises
        ------
        s3prl_sb.audio.loading.AudioFileError
            For audio that cannot be read.
        """


class ManifestSpeech:
    """Utterances of a manifest.

    Arguments
    ---------
    records : dict
        ``{id: {"wav": …, "start": …, "stop": …}}``, see
        :func:`s3prl_sb.dataio.records.completed`.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     speech = ManifestSpeech({"a": {"wav": folder + "/a.wav"}})
    ...     speech.name(0), speech.seconds(0), len(speech.load(0, 8000))
    ('a', 0.5, 4000)
    """

    def __init__(self, records: Mapping[str, Mapping[str, Any]]):
        self.records = completed(records)
        self.names = list(self.records)

    @property
    def digest(self) -> str:
        """Hash of the ids, limits and lengths, in order."""
        keys = ("start", "stop", "duration")
        rows = [[n, *(r[key] for key in keys)] for n, r in self.records.items()]
        return digest(rows)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, row: int) -> str:
        """See :class:`Speech`."""
        return self.names[row]

    def seconds(self, row: int) -> float:
        """See :class:`Speech`."""
        return self.records[self.names[row]]["duration"]

    def load(self, row: int, sample_rate: int) -> torch.Tensor:
        """See :class:`Speech`."""
        name = self.names[row]
        limits = (self.records[name][key] for key in ("wav", "start", "stop"))
        return load_waveform(name, *limits, sample_rate=sample_rate)


class ListedSpeech:
    """Utterances of a memory-mapped list.

    Arguments
    ---------
    index : s3prl_sb.unlabelled.index.AudioIndex
        The list.
    read : callable
        Called with a row and a sample rate in Hz; returns the waveform [samples].
    """

    def __init__(self, index: "AudioIndex", read: Callable[[int, int], torch.Tensor]):
        self.index, self.load = index, read

    @property
    def digest(self) -> str:
        """See :class:`Speech`."""
        return self.index.digest

    def __len__(self) -> int:
        return len(self.index)

    def name(self, row: int) -> str:
        """See :class:`Speech`."""
        return self.index.name(row)

    def seconds(self, row: int) -> float:
        """See :class:`Speech`."""
        location = self.index.location(row)
        return location.samples / location.rate


class JoinedSpeech:
    """Several lists as one. An utterance with the same name in two lists is an error.

    Arguments
    ---------
    lists : list of Speech
        Lists, in order.
    """

    def __init__(self, lists: Sequence[Speech]):
        self.lists = list(lists)
        self._rows = [(part, row) for part in self.lists for row in range(len(part))]
        seen: set[str] = set()
        for row in range(len(self)):
            if self.name(row) in seen:
                raise UnitsError(
                    f"Two utterances are called '{self.name(row)}'. Units are found by "
                    "the names of utterances: give each its own, or apply the units "
                    "to the lists one by one."
                )
            seen.add(self.name(row))

    @property
    def digest(self) -> str:
        """See :class:`Speech`."""
        return digest([part.digest for part in self.lists])

    def __len__(self) -> int:
        return len(self._rows)

    def name(self, row: int) -> str:
        """See :class:`Speech`."""
        part, row = self._rows[row]
        return part.name(row)

    def seconds(self, row: int) -> float:
        """See :class:`Speech`."""
        part, row = self._rows[row]
        return part.seconds(row)

    def load(self, row: int, sample_rate: int) -> torch.Tensor:
        """See :class:`Speech`."""
        part, row = self._rows[row]
        return part.load(row, sample_rate)


def from_table(path: str) -> ManifestSpeech:
    """Returns the utterances of a CSV, TSV or JSON file.

    Arguments
    ---------
    path : str
        File in the format of :mod:`s3prl_sb.dataio.tables`.

    Returns
    -------
    ManifestSpeech
    """
    return ManifestSpeech(load_table(path, required=()))


def from_paths(paths: Sequence[str]) -> ManifestSpeech:
    """Returns the audio files of folders, recursively, and single files.

    Arguments
    ---------
    paths : list of str
        Folders and audio files.

    Returns
    -------
    ManifestSpeech
        The name of an utterance is its path below the folder, such as
        "dev/a.wav"; utterances are sorted by name.

    Raises
    ------
    UnitsError
        If a path does not exist, holds no audio, or two files have the same name.
    """
    records: dict[str, dict[str, str]] = {}
    for path in paths:
        found = dict(_audio_below(path))
        if not found:
            reason = "has no audio" if os.path.exists(path) else "does not exist"
            raise UnitsError(f"'{path}' {reason}. Give folders or files of audio.")
        for name, wav in found.items():
            if name in records:
                raise UnitsError(
                    f"'{records[name]['wav']}' and '{wav}' are both called '{name}'. "
                    "Give the folder above both, or a manifest with ids."
                )
            records[name] = {"wav": wav}
    return ManifestSpeech(dict(sorted(records.items())))


def _audio_below(path):
    """Yields (name, path) of the audio files in a folder, or of a file."""
    if os.path.isfile(path):
        yield as_id(os.path.basename(path)), path
        return
    files = [
        os.path.join(top, name) for top, _, names in os.walk(path) for name in names
    ]
    for file in only_audio(sorted(files), path):
        yield as_id(os.path.relpath(file, path).replace(os.sep, "/")), file


class Unreadable:
    """Count of utterances that cannot be used; too many are an error.

    Arguments
    ---------
    total : int
        Number of utterances that will be read.
    failed : int
        Number of those that failed before an interruption.
    """

    def __init__(self, total: int, failed: int = 0):
        self.total, self.failed = total, failed

    def skip(self, name: str, error: Exception) -> None:
        """Logs an utterance, and raises an error if there are too many."""
        self.failed += 1
        if self.failed > max(1, UNREADABLE * self.total):
            raise UnitsError(
                f"{self.failed} of {self.total} utterances cannot be used, more than "
                f"{UNREADABLE:.0%}; the last: {error}"
            ) from error
        logger.warning("'%s' is left out: %s", name, error)


def waveforms(
    speech: Speech, rows: Iterable[int], sample_rate: int, unreadable: Unreadable
) -> Iterator[tuple[int, torch.Tensor | None]]:
    """Yields (row, waveform) of utterances, with None for those that are left out.

    Arguments
    ---------
    speech : Speech
        The list.
    rows : iterable of int
        Rows to read.
    sample_rate : int
        Sample rate in Hz.
    unreadable : Unreadable
        Counts the utterances that are left out.
    """
    for row in rows:
        try:
            yield row, speech.load(row, sample_rate)
        except (AudioFileError, AudioError) as error:
            unreadable.skip(speech.name(row), error)
            yield row, None
