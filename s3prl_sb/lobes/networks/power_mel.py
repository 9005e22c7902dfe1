"""Mel spectrograms of power.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

import torch

from s3prl_sb.lobes.networks.mel_spectrogram import mel_filters


@dataclasses.dataclass(frozen=True)
class PowerMel:
    """Mel spectrogram of frames that are centred on multiples of the hop.

    Arguments
    ---------
    n_fft, hop, bands : int
        Sizes of the Fourier transform, of a step, of the result.
    rate : int
        Sample rate in Hz.
    window : int, optional
        Samples of the Hann window. None: ``n_fft``.
    low, high : float
        Frequencies in Hz where the bands begin and end. None: half the rate.
    scale : str
        "slaney", with bands of equal area, or "htk", with bands of equal height.
    periodic : bool
        Whether the window is a period of the cosine; else it is symmetric.
    pad_mode : str
        Continuation of the waveform beyond its ends, see ``torch.stft``.

    Example
    -------
    >>> PowerMel(400, 160, 80, 16000)(torch.randn(2, 16000)).shape
    torch.Size([2, 80, 101])
    """

    n_fft: int
    hop: int
    bands: int
    rate: int
    window: int | None = None
    low: float = 0.0
    high: float | None = None
    scale: str = "slaney"
    periodic: bool = True
    pad_mode: str = "reflect"

    def __call__(self, wavs):
        """[batch, samples] -> [batch, bands, frames]."""
        size = self.window or self.n_fft
        window = torch.hann_window(size, self.periodic, device=wavs.device)
        spectrum = torch.stft(
            wavs,
            self.n_fft,
            self.hop,
            size,
            window,
            pad_mode=self.pad_mode,
            return_complex=True,
        )
        filters = mel_filters(
            self.n_fft // 2 + 1,
            self.bands,
            self.rate,
            self.low,
            self.high,
            self.scale,
            "slaney" if self.scale == "slaney" else None,
            wavs.device,
        )
        return filters.T @ spectrum.abs().pow(2)
