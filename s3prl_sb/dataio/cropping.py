"""The pipe that crops waveforms at random.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

import torch

from s3prl_sb.dataio.dataset import ManifestDataset, Pipe, generator
from s3prl_sb.dataio.time_map import TimeMap


class RandomCrop(Pipe):
    """Crops long waveforms at a random position: refines ``sig``.

    The position is a function of the length that the record says, so that labels in
    time are right without the audio. After a pipe that changes lengths otherwise, such
    as :class:`~s3prl_sb.dataio.silence.TrimSilence`, it is one of the waveform itself.

    Arguments
    ---------
    seconds : float
        Length of the crop; shorter waveforms stay whole.
    crops : int, optional
        Number of fixed positions in each utterance to choose from, the same for all
        seeds, so that features can be cached and shared. Default: a new position at
        each use.
    sample_rate : int
        Hz of ``sig``.
    seed : int
        Seed of the positions without ``crops``.

    Example
    -------
    >>> crop = RandomCrop(seconds=1, sample_rate=4)
    >>> crop.cut(torch.arange(40), "a", draw=3).shape
    torch.Size([4])
    """

    audio = timed = takes_features = True
    finite = "crops: 4"

    def __init__(
        self,
        seconds: float,
        crops: int | None = None,
        sample_rate: int = 16000,
        seed: int = 0,
    ):
        self.seconds, self.samples = seconds, round(seconds * sample_rate)
        self.sample_rate = sample_rate
        self.crops, self.seed = crops, None if crops else seed

    def variants(self, record: Mapping[str, Any]) -> int | None:
        """Returns 1 for short utterances, otherwise the number of positions."""
        return 1 if record["duration"] <= self.seconds else self.crops

    def form_seconds(self, seconds: float, draw: int) -> float:
        """Returns the duration of a crop."""
        return min(seconds, self.seconds)

    def add_to(self, dataset: ManifestDataset) -> None:
        """Refines ``sig`` and ``time_map``."""
        dataset.add_dynamic_item(self.cut, ["sig", "id", "draw", "time_map"], "sig")
        dataset.add_dynamic_item(self.follow, ["time_map", "id", "draw"], "time_map")

    def cut(
        self,
        sig: torch.Tensor,
        utterance: str,
        draw: int,
        time_map: TimeMap | None = None,
    ) -> torch.Tensor:
        """Crops [samples] to at most ``seconds``."""
        length = len(sig) if time_map is None else time_map.samples(self.sample_rate)
        start = self._start(length, utterance, draw)
        start = max(0, min(start, len(sig) - self.samples))
        return sig[start : start + self.samples]

    def follow(
        self, time_map: TimeMap | None, utterance: str, draw: int
    ) -> TimeMap | None:
        """Returns the times of the crop; None if those before it are unknown."""
        if time_map is None:
            return None
        length = time_map.samples(self.sample_rate)
        if length <= self.samples:
            return time_map
        first = self._start(length, utterance, draw) / self.sample_rate
        return time_map.cropped(first, self.samples / self.sample_rate)

    def _start(self, length, utterance, draw):
        """Returns the first sample of the crop of a waveform of ``length`` samples."""
        spare = length - self.samples
        if spare <= 0:
            return 0
        if self.crops:
            draw %= self.crops
        random = generator(f"{self.seed}|crop", utterance, draw)
        return int(torch.randint(spare + 1, (1,), generator=random))
