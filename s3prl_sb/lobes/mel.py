"""Log mel spectrograms of voice conversion, and their statistics.

Authors
 * The s3prl_sb developers, 2026
"""

from dataclasses import dataclass

import torch

from s3prl_sb.lobes.networks.mel_spectrogram import hann_window, mel_filters


@dataclass(frozen=True)
class MelSettings:
    """Settings of a log mel spectrogram.

    The window is a Hann window of ``n_fft`` samples around each frame, the bands are
    Slaney's with unit area, and frames have the logarithm of magnitudes, not of powers.
    The defaults are those of S3PRL's voice conversion.

    Arguments
    ---------
    sample_rate : int
        Sample rate of the waveform, Hz.
    n_fft : int
        Samples of a frame.
    hop : int
        Samples between two frames.
    n_mels : int
        Number of mel bands.
    fmin, fmax : float
        Lowest and highest frequency, Hz.
    log_base : float
        Base of the logarithm.
    floor : float
        Smallest magnitude of a band.

    Example
    -------
    >>> MelSettings().frames(24000)
    94
    """

    sample_rate: int = 24000
    n_fft: int = 1024
    hop: int = 256
    n_mels: int = 80
    fmin: float = 80.0
    fmax: float = 7600.0
    log_base: float = 10.0
    floor: float = 1e-10

    def frames(self, samples: int) -> int:
        """Returns the number of frames of a waveform."""
        return 1 + samples // self.hop

    def bands(self) -> torch.Tensor:
        """Returns the mel filters, [n_fft // 2 + 1, n_mels]."""
        return mel_filters(
            self.n_fft // 2 + 1,
            self.n_mels,
            self.sample_rate,
            self.fmin,
            self.fmax,
            "slaney",
            "slaney",
        )

    def log(self, magnitudes: torch.Tensor) -> torch.Tensor:
        """Returns the logarithm of magnitudes, at least that of ``floor``."""
        scale = torch.log(torch.tensor(self.log_base, dtype=torch.float64)).item()
        return magnitudes.clamp_min(self.floor).log() / scale

    def magnitudes(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Returns the magnitudes of logarithms."""
        return torch.pow(self.log_base, log_mel)


def log_mel(waveform: torch.Tensor, settings: MelSettings) -> torch.Tensor:
    """Returns the log mel spectrogram of a waveform.

    Arguments
    ---------
    waveform : torch.Tensor
        [samples], at the rate of the settings.
    settings : MelSettings
        Its settings.

    Returns
    -------
    torch.Tensor
        [frames, n_mels], ``settings.frames(samples)`` frames. Frame f is around sample
        ``f * hop``; the waveform is reflected at both ends, or followed by silence if
        it is too short for that.

    Example
    -------
    >>> log_mel(torch.randn(24000), MelSettings()).shape
    torch.Size([94, 80])
    """
    frames, half = settings.frames(len(waveform)), settings.n_fft // 2
    if len(waveform) <= half:  # too short to be reflected
        waveform = torch.nn.functional.pad(waveform, (0, half + 1 - len(waveform)))
    spectrum = torch.stft(
        waveform,
        settings.n_fft,
        settings.hop,
        window=hann_window(settings.n_fft, waveform.device),
        pad_mode="reflect",
        return_complex=True,
    )
    bands = settings.bands().to(waveform.device)
    return settings.log(spectrum.abs().T[:frames] @ bands)


class MelStatistics:
    """Mean and standard deviation of each band over all frames of some spectrograms.

    Sums are in float64, so that neither the order nor the number of frames matters.

    Arguments
    ---------
    n_mels : int
        Number of bands.

    Example
    -------
    >>> statistics = MelStatistics(1)
    >>> for frames in (torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [7.0]])):
    ...     statistics.add(frames)
    >>> mean, deviation = statistics.result()
    >>> mean.item(), round(deviation.item(), 4)
    (4.0, 2.2361)
    """

    def __init__(self, n_mels: int):
        self.count = 0
        self.sum = torch.zeros(n_mels, dtype=torch.float64)
        self.squares = torch.zeros(n_mels, dtype=torch.float64)

    def add(self, frames: torch.Tensor) -> None:
        """Adds the frames of a spectrogram, [frames, n_mels]."""
        frames = frames.double()
        self.count += len(frames)
        self.sum += frames.sum(0)
        self.squares += frames.square().sum(0)

    def result(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns mean and standard deviation, float32 [n_mels] each; the deviation of
        a band that never changes is one."""
        mean = self.sum / max(self.count, 1)
        variance = self.squares / max(self.count, 1) - mean.square()
        constant = variance < 1e-12
        deviation = variance.clamp_min(1e-12).sqrt().masked_fill(constant, 1.0)
        return mean.float(), deviation.float()
