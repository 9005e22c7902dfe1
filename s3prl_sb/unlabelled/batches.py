"""A batch of waveforms of unequal lengths, without padding.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import torch


class Example(NamedTuple):
    """A crop of a row."""

    wav: torch.Tensor  #: [samples]
    row: int
    epoch: int
    name: str
    codes: torch.Tensor | None  #: [units], of this crop
    #: (name, reason) of each row that could not be read before this one
    failed: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass
class WaveBatch:
    """Crops of several rows.

    Arguments
    ---------
    wavs : list of torch.Tensor
        [samples_i], unpadded.
    rows, epochs : list of int
        Row of each crop, and the pass over the data that it belongs to.
    id : list of str
        Names of the rows.
    codes : list of torch.Tensor or None
        [units_i] of each crop.
    failed : list of (str, str)
        Names of the rows that could not be read, and why.
    sample_rate : int
        Hz.

    Example
    -------
    >>> batch = collate([Example(torch.zeros(16000), 3, 1, "a.wav", None)], 16000)
    >>> len(batch), batch.seconds, batch.rows, batch.to("cpu").id
    (1, 1.0, [3], ['a.wav'])
    """

    wavs: list[torch.Tensor]
    rows: list[int]
    epochs: list[int]
    id: list[str]
    codes: list[torch.Tensor] | None
    failed: list[tuple[str, str]]
    sample_rate: int

    def __len__(self) -> int:
        return len(self.wavs)

    @property
    def seconds(self) -> float:
        """Seconds of audio."""
        return sum(map(len, self.wavs)) / self.sample_rate

    def to(self, device: str | torch.device, non_blocking: bool = False) -> "WaveBatch":
        """Returns the batch on another device."""
        move = {"device": device, "non_blocking": non_blocking}
        return self._with(lambda tensor: tensor.to(**move))

    def pin_memory(self) -> "WaveBatch":
        """Returns the batch in page-locked memory."""
        return self._with(torch.Tensor.pin_memory)

    def _with(self, function):
        wavs = [function(wav) for wav in self.wavs]
        codes = self.codes and [function(each) for each in self.codes]
        return dataclasses.replace(self, wavs=wavs, codes=codes)


def collate(examples: Sequence[Example], sample_rate: int) -> WaveBatch:
    """Makes a batch from examples.

    Arguments
    ---------
    examples : list of Example
        One or more.
    sample_rate : int
        Hz.

    Returns
    -------
    WaveBatch
    """
    codes = [example.codes for example in examples if example.codes is not None]
    return WaveBatch(
        wavs=[example.wav for example in examples],
        rows=[example.row for example in examples],
        epochs=[example.epoch for example in examples],
        id=[example.name for example in examples],
        codes=codes or None,
        failed=[failure for example in examples for failure in example.failed],
        sample_rate=sample_rate,
    )
