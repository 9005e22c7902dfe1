"""The pipe that changes the speed of waveforms.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from s3prl_sb.audio.headers import RATES
from s3prl_sb.audio.resampling import resample
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.time_map import TimeMap


class ChangeSpeed(Pipe):
    """Changes speed and pitch by resampling: refines ``sig``.

    Draw ``k`` has the factor ``k`` modulo the number of factors, so that every factor
    is one form of an utterance, and features can be cached.

    Arguments
    ---------
    factors : list of float
        Speeds; 1.1 makes an utterance shorter, 1.0 leaves it as it is.
    sample_rate : int
        Hz of ``sig``.

    Note
    ----
    SpeechBrain's ``SpeedPerturb`` and Kaldi resample in the same way, and draw one of
    the factors for each batch, or copy the data once for each of them.

    Example
    -------
    >>> speed = ChangeSpeed([0.9, 1.0, 1.1], sample_rate=16000)
    >>> [len(speed.change(torch.randn(9900), draw)) for draw in range(4)]
    [11000, 9900, 9000, 11000]
    """

    audio = timed = True

    def __init__(self, factors: Sequence[float], sample_rate: int = 16000):
        #: Rate from which the waveform is resampled for each factor, Hz.
        self.rates = [round(sample_rate * factor) for factor in factors]
        self.sample_rate = sample_rate
        impossible = [f for f, rate in zip(factors, self.rates) if rate not in RATES]
        if impossible or not self.rates:
            lowest = RATES[0] / sample_rate
            raise ValueError(
                f"factors such as 0.9, not below {lowest:.2g}, not {list(factors)}"
            )

    def variants(self, record: Mapping[str, Any]) -> int:
        """Returns the number of factors."""
        return len(self.rates)

    def form_seconds(self, seconds: float, draw: int) -> float:
        """Returns the duration of a form of an utterance of ``seconds``."""
        return seconds * self.sample_rate / self._rate(draw)

    def add_to(self, dataset: ManifestDataset) -> None:
        """Refines ``sig`` and ``time_map``."""
        dataset.add_dynamic_item(self.change, ["sig", "draw"], "sig")
        dataset.add_dynamic_item(self.follow, ["time_map", "draw"], "time_map")

    def change(self, sig: torch.Tensor, draw: int) -> torch.Tensor:
        """Changes the speed of [samples]."""
        return resample(sig, self._rate(draw), self.sample_rate)

    def follow(self, time_map: TimeMap | None, draw: int) -> TimeMap | None:
        """Returns the times of the form; None if those before it are unknown."""
        if time_map is None:
            return None
        return time_map.sped(self._rate(draw) / self.sample_rate)

    def _rate(self, draw):
        return self.rates[draw % len(self.rates)]
