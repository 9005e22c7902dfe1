"""The pipe that adds noise.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Sequence

import torch

from s3prl_sb.dataio.audio import LoadAudio
from s3prl_sb.dataio.random_change import RandomChange
from s3prl_sb.dataio.recordings import random_recording, recordings_in


class AddNoise(RandomChange):
    """Adds noise at a random signal-to-noise ratio: refines ``sig``.

    Arguments
    ---------
    snr : float or list of float
        Ratio, or lowest and highest ratio, dB.
    files : str, optional
        Folder of noise recordings, searched recursively. Default: white noise.
    probability : float
        Probability that an utterance gets noise.
    sample_rate : int
        Hz of ``sig``.
    seed : int
        Seed of the random choices without ``draws``.
    draws : int, optional
        Number of fixed noisy forms of each utterance, the same for all seeds, so that
        features can be cached and shared. Default: new noise at each use.

    Example
    -------
    >>> noisy = AddNoise(snr=20).add(torch.ones(16000), "a", draw=0)
    >>> noise = noisy - 1
    >>> round(-10 * noise.pow(2).mean().log10().item())
    20
    """

    kind = "noise"
    finite = "noise: {draws: 4}"

    def __init__(
        self,
        snr: float | Sequence[float],
        files: str | None = None,
        probability: float = 1.0,
        sample_rate: int = 16000,
        seed: int = 0,
        draws: int | None = None,
    ):
        super().__init__(probability, seed, draws)
        limits = [snr, snr] if isinstance(snr, (int, float)) else list(snr)
        self.low, self.high = map(float, limits if len(limits) == 2 else [1, 0])
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"snr: [lowest, highest] in dB, not {limits}")
        self.loader, self.sample_rate = LoadAudio(sample_rate), sample_rate
        self.files: list[str] | None = None
        if files is not None:
            self.files = recordings_in(files, "noise recordings")

    def change(self, sig: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """Adds noise to [samples]."""
        ratio = self.low + (self.high - self.low) * torch.rand(1, generator=random)
        noise = self._noise(len(sig), random)
        power = sig.double().pow(2).mean() / noise.double().pow(2).mean()
        return sig + noise * (power * 10 ** (-ratio / 10)).sqrt().to(sig.dtype)

    def _noise(self, samples, random):
        if self.files is None:
            return torch.randn(samples, generator=random)
        noise = random_recording(self.files, self.loader, random)
        start = int(torch.randint(len(noise), (1,), generator=random))
        noise = noise.roll(-start)
        if not noise[:samples].any():  # a pause: the sound after it
            noise = noise.roll(-int(noise.nonzero()[0]))
        return noise.repeat(-(-samples // len(noise)))[:samples]
