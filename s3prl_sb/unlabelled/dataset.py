"""Crops of unlabelled audio, as functions of (seed, epoch, row).

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy
import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.pretext.draws import generator
from s3prl_sb.unlabelled.batches import Example, WaveBatch, collate
from s3prl_sb.unlabelled.index import AudioIndex
from s3prl_sb.unlabelled.reading import UnreadableError, read_piece

#: Rows in a row that may be unreadable.
MOST_TRIES = 10
#: Longest crop: lengths are int32.
MOST_SAMPLES = (1 << 31) - 1
#: Smallest level that is normalised: silence stays silence.
SILENT = 1e-6


class NothingReadable(UserError, RuntimeError):
    """Several rows one after another that cannot be read."""


class Codes(Protocol):
    """Units of a corpus, for objectives that predict them."""

    stride: int  #: samples a unit

    def __contains__(self, name: str) -> bool:
        """Returns whether the row of a name has units."""
        ...

    def of(self, name: str) -> numpy.ndarray:
        """Returns the units [units] of the whole row of a name."""
        ...


class UnlabelledDataset(torch.utils.data.Dataset):
    """Waveforms of a list, cropped to a length.

    An item is a pair (row, epoch). Its crop depends on nothing else but the seed; only
    the needed part of the file is read.

    Arguments
    ---------
    index : AudioIndex
        The list.
    sample_rate : int
        Rate of the waveforms, Hz.
    sequence_seconds : float or None
        Longest crop; None: whole rows.
    seed : int
        Seed of the crops.
    level : float, optional
        Root mean square of each crop in dB of full scale, as TERA's -25; None: as
        recorded.
    codes : Codes, optional
        Units of the rows. Crops then start at multiples of the stride, so that unit
        and sample agree.

    Note
    ----
    S3PRL normalises the level of the whole utterance. Here it is that of the crop,
    because the rest of the file is not read.

    Example
    -------
    >>> import tempfile, soundfile
    >>> from s3prl_sb.unlabelled.scanning import scan
    >>> from s3prl_sb.unlabelled.sources import sources
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(32000), 16000)
    ...     index = scan(sources(folder + "/a.wav")).audio
    ...     dataset = UnlabelledDataset(index, 16000, sequence_seconds=1.5, seed=0)
    ...     batch = dataset.collate([dataset[0, 1]])
    >>> batch.seconds, len(dataset), dataset.lengths.tolist()
    (1.5, 1, [24000])
    """

    def __init__(
        self,
        index: AudioIndex,
        sample_rate: int,
        sequence_seconds: float | None,
        seed: int,
        level: float | None = None,
        codes: Codes | None = None,
    ):
        self.index, self.sample_rate, self.seed = index, sample_rate, seed
        self.longest = None
        if sequence_seconds is not None:
            longest = min(round(sequence_seconds * sample_rate), MOST_SAMPLES)
            self.longest = max(longest, 1)
        self.level, self.codes = level, codes
        self.grid = 1 if codes is None else codes.stride  # of the starts of crops

    def __len__(self) -> int:
        return len(self.index)

    @property
    def lengths(self) -> numpy.ndarray:
        """[rows], int32: samples of the crop of each row."""
        lengths = self.index.lengths(self.sample_rate)
        if self.longest is not None:
            numpy.minimum(lengths, self.longest, out=lengths)
        return lengths

    @property
    def seconds(self) -> float:
        """Seconds of audio of all rows, uncropped."""
        return self.index.hours * 3600

    @property
    def digest(self) -> str:
        """Digest of the list, see :class:`~s3prl_sb.unlabelled.index.AudioIndex`."""
        return self.index.digest

    def __getitem__(self, item: tuple[int, int]) -> Example:
        """Reads a crop; an unreadable row, or one without units where there are codes,
        is replaced by the next one of its source.

        Arguments
        ---------
        item : tuple of int
            Row and epoch.

        Returns
        -------
        Example

        Raises
        ------
        NothingReadable
            If ten rows one after another cannot be read.
        """
        row, epoch = int(item[0]), int(item[1])
        share = next(s for s in self.index.shares if s.first <= row < s.stop)
        rows, failed = share.stop - share.first, []
        for step in range(min(MOST_TRIES, rows)):
            tried = share.first + (row - share.first + step) % rows
            try:
                return self._example(tried, epoch, tuple(failed))
            except UnreadableError as error:
                failed.append((self.index.name(tried), str(error)))
        reasons = "\n".join(f"{name}: {reason}" for name, reason in failed[:3])
        raise NothingReadable(
            f"{reasons}\n{len(failed)} files one after another cannot be read. Is the "
            "disk still mounted? Delete the lists in the save_folder after moving data."
        )

    def _example(self, row, epoch, failed):
        location, name = self.index.location(row), self.index.name(row)
        if self.codes is not None and name not in self.codes:
            raise UnreadableError("has no units")
        total = -(-location.samples * self.sample_rate // location.rate)
        samples = min(total, self.longest or total)
        places = (total - samples) // self.grid + 1
        start = 0
        if places > 1:
            random = generator(self.seed, epoch, row, "crop")
            start = int(random.integers(places)) * self.grid
        wav = read_piece(location, start, samples, self.sample_rate)
        if self.level is not None:
            wav = normalised(wav, self.level)
        codes = None
        if self.codes is not None:
            first = start // self.codes.stride
            last = first + math.ceil(samples / self.codes.stride)
            some = numpy.asarray(self.codes.of(name))[first:last].astype(numpy.int64)
            codes = torch.from_numpy(some)
        return Example(wav, row, epoch, name, codes, failed)

    def collate(self, examples: Sequence[Example]) -> WaveBatch:
        """Makes a batch: the ``collate_fn`` of a loader.

        Arguments
        ---------
        examples : list of Example
            Items of this dataset.

        Returns
        -------
        WaveBatch
        """
        return collate(examples, self.sample_rate)


def normalised(wav: torch.Tensor, level: float) -> torch.Tensor:
    """Scales a waveform to a level.

    Arguments
    ---------
    wav : torch.Tensor
        [samples].
    level : float
        Root mean square in dB of full scale.

    Returns
    -------
    torch.Tensor
        [samples]; silence is unchanged.

    Example
    -------
    >>> [round(x, 3) for x in normalised(torch.tensor([1.0, -1.0]), -20).tolist()]
    [0.1, -0.1]
    """
    power = wav.double().square().mean().sqrt().item()
    return wav * (10 ** (level / 20) / power) if power > SILENT else wav
