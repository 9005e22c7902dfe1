"""Utterances that units are fitted on and applied to: a list of unlabelled audio.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from collections.abc import Iterable, Iterator, Sequence

import torch

from s3prl_sb.units.errors import UnitsError
from s3prl_sb.unlabelled.index import AudioIndex
from s3prl_sb.unlabelled.reading import UnreadableError, read_piece
from s3prl_sb.unlabelled.scanning import scan
from s3prl_sb.unlabelled.sources import sources

logger = logging.getLogger(__name__)

#: Share of utterances that may be unreadable, where a recipe does not say.
UNREADABLE_SHARE = 0.01


class Speech:
    """Whole utterances of a list of audio.

    Arguments
    ---------
    index : s3prl_sb.unlabelled.index.AudioIndex
        The list.
    unreadable_share : float
        Share of the utterances that may be unreadable; one always may.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     speech = from_paths([folder + "/*.wav"])
    ...     len(speech), speech.seconds(0), len(speech.load(0, 8000))
    (1, 0.5, 4000)
    """

    def __init__(self, index: AudioIndex, unreadable_share: float = UNREADABLE_SHARE):
        self.index, self.unreadable_share = index, unreadable_share

    @property
    def digest(self) -> str:
        """Digest of the list: names and lengths, in order."""
        return self.index.digest

    def __len__(self) -> int:
        return len(self.index)

    def name(self, row: int) -> str:
        """Returns the name of an utterance."""
        return self.index.name(row)

    def names(self) -> Iterator[str]:
        """Yields the names of all utterances, in order."""
        return map(self.name, range(len(self)))

    def seconds(self, row: int) -> float:
        """Returns the length of an utterance in seconds."""
        columns = self.index.columns
        return float(columns["samples"][row] / columns["rates"][row])

    def load(self, row: int, sample_rate: int) -> torch.Tensor:
        """Returns a waveform.

        Arguments
        ---------
        row : int
            Row of the utterance.
        sample_rate : int
            Sample rate in Hz.

        Returns
        -------
        torch.Tensor
            [samples].

        Raises
        ------
        s3prl_sb.unlabelled.reading.UnreadableError
            For audio that cannot be read.
        """
        location = self.index.location(row)
        samples = -(-location.samples * sample_rate // location.rate)
        return read_piece(location, 0, samples, sample_rate)


def from_paths(paths: Sequence[str], key: str = "--data") -> Speech:
    """Returns the utterances of folders, tables, manifests, shards, files and URLs.

    Arguments
    ---------
    paths : list of str
        Sources, see :mod:`s3prl_sb.unlabelled.sources`.
    key : str
        Name of the option, for errors.

    Returns
    -------
    Speech
        Utterances have the names that they have in pre-training.

    Raises
    ------
    s3prl_sb.unlabelled.sources.SourceError
        If a source does not exist, or is not audio.
    UnitsError
        If there is no audio, or too much of it has broken headers.
    """
    index, faults = scan(sources(list(paths), key))
    total = len(index) + sum(fault.utterances for fault in faults)
    unreadable = Unreadable(total, UNREADABLE_SHARE)
    for fault in faults:
        unreadable.skip(fault.name, fault.reason, fault.utterances)
    if not len(index):
        raise UnitsError(f"{key}: there is no audio in {', '.join(map(str, paths))}.")
    return Speech(index)


class Unreadable:
    """Count of utterances that cannot be used; too many are an error.

    Arguments
    ---------
    total : int
        Number of utterances that will be read.
    share : float
        Share of them that may fail; one always may.
    failed : int
        Number of those that failed before an interruption.
    """

    def __init__(self, total: int, share: float, failed: int = 0):
        self.total, self.share, self.failed = total, share, failed

    def skip(self, name: str, reason: object, utterances: int = 1) -> None:
        """Logs an utterance, or a shard or a folder of some, and raises an error if
        there are too many."""
        self.failed += utterances
        if self.failed > max(1, self.share * self.total):
            raise UnitsError(
                f"{self.failed} of {self.total} utterances cannot be used, more than "
                f"{self.share:.0%}; the last: '{name}' {reason}"
            )
        logger.warning("'%s' is left out: it %s", name, reason)


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
            wav = speech.load(row, sample_rate)
        except UnreadableError as error:
            unreadable.skip(speech.name(row), error)
            wav = None
        yield row, wav
