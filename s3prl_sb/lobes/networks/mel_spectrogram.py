"""Log mel spectrograms, the input of most models of sound.

Each utterance is computed for itself, at its true length: also what is relative to
its loudest value.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
import torchaudio.functional

LOGARITHMS = ("db", "natural", None)
PIECE = 10_000  # frames that are transformed at a time


@dataclasses.dataclass(frozen=True)
class MelSpectrogram:
    """Front end of a model: from waveforms to normalized log mel spectrograms.

    Frame f is around sample ``f * hop`` under a Hann window. The numbers are those of
    torchaudio's ``MelSpectrogram`` and ``AmplitudeToDB``, and of librosa's.

    Arguments
    ---------
    sample_rate : int
        Sample rate of the waveforms in Hz.
    n_fft, window, hop : int
        Size of the transform, length of the window (None: ``n_fft``), and samples from
        one frame to the next.
    n_mels : int
        Number of mel bands.
    fmin, fmax : float
        Lowest and highest frequency in Hz; ``fmax`` None: half the sample rate.
    scale : str
        Mel scale, "htk" or "slaney".
    norm : str, optional
        "slaney": each filter has unit area. None: each has unit height.
    power : float
        Exponent of the magnitudes.
    log : str, optional
        "db": 10 log10(max(x, floor)); "natural": ln(x + floor); None: no logarithm.
    floor : float
        Smallest energy, or the one that is added.
    top_db : float, optional
        With "db": values are at most so far below the loudest one of the utterance.
    mean, std : float
        Subtracted from the logarithms, and what they are divided by.
    periodic : bool
        The window is a period of the cosine; otherwise it is symmetric.
    pad_mode : str
        Continuation of the waveform beyond its ends, "reflect" or "constant".

    Raises
    ------
    ValueError
        For sizes or names that do not fit.

    Example
    -------
    >>> front_end = MelSpectrogram(n_mels=64, top_db=120.0)
    >>> spectrograms = front_end([torch.randn(16000), torch.randn(8000)])
    >>> [list(x.shape) for x in spectrograms], front_end.frames(8000)
    ([[64, 101], [64, 51]], 51)
    """

    sample_rate: int = 16000
    n_fft: int = 512
    window: int | None = None
    hop: int = 160
    n_mels: int = 64
    fmin: float = 0.0
    fmax: float | None = None
    scale: str = "htk"
    norm: str | None = None
    power: float = 2.0
    log: str | None = "db"
    floor: float = 1e-10
    top_db: float | None = None
    mean: float = 0.0
    std: float = 1.0
    periodic: bool = True
    pad_mode: str = "reflect"

    def __post_init__(self):
        if not 0 < (self.window or self.n_fft) <= self.n_fft or self.hop < 1:
            raise ValueError(
                f"window {self.window} must fit n_fft {self.n_fft}, and hop {self.hop} "
                "must be 1 or more"
            )
        if self.log not in LOGARITHMS:
            raise ValueError(f"Unknown log '{self.log}'. Known: db, natural, None")
        if self.top_db is not None and (self.log != "db" or self.top_db < 0):
            raise ValueError(f"top_db {self.top_db} must be 0 or more, with log 'db'")

    @property
    def stride(self) -> int:
        """Number of samples from one frame to the next."""
        return self.hop

    @property
    def min_samples(self) -> int:
        """Length of the shortest waveform that can be reflected, in samples."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """Returns the number of frames of a waveform."""
        return 1 + (max(samples, self.min_samples) - self.n_fft % 2) // self.hop

    def __call__(
        self, wavs: Sequence[torch.Tensor], filters: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Returns the spectrograms of waveforms of any lengths.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i]. Silence follows one that is too short.
        filters : torch.Tensor, optional
            Mel filters of a checkpoint, [n_fft // 2 + 1, n_mels].

        Returns
        -------
        list of torch.Tensor
            [n_mels, frames_i], fp32 whatever the precision around it.
        """
        if filters is None:
            filters = self.filters(wavs[0].device)
        return [self._scaled(self.energies(wav[None], filters)[0]) for wav in wavs]

    def energies(
        self, wavs: torch.Tensor, filters: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Returns the spectrograms of waveforms of equal length, without logarithm.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        filters : torch.Tensor, optional
            See :meth:`__call__`.

        Returns
        -------
        torch.Tensor
            [batch, n_mels, frames], fp32 whatever the precision around it.

        Example
        -------
        >>> MelSpectrogram(n_mels=80).energies(torch.randn(2, 16000)).shape
        torch.Size([2, 80, 101])
        """
        if filters is None:
            filters = self.filters(wavs.device)
        with torch.autocast(wavs.device.type, enabled=False):
            return self._energies(wavs.float(), filters.float())

    def filters(self, device: torch.device | str = "cpu") -> torch.Tensor:
        """Returns the mel filters, [n_fft // 2 + 1, n_mels]."""
        return mel_filters(
            self.n_fft // 2 + 1,
            self.n_mels,
            self.sample_rate,
            self.fmin,
            self.sample_rate / 2 if self.fmax is None else self.fmax,
            self.scale,
            self.norm,
            torch.device(device),
        )

    def _energies(self, wavs, filters):
        """In pieces: an hour has gigabytes of bins."""
        half, length = self.n_fft // 2, self.window or self.n_fft
        wavs = F.pad(wavs, (0, max(0, self.min_samples - wavs.shape[1])))
        frames = self.frames(wavs.shape[1])
        wavs = F.pad(wavs[:, None], (half, half), mode=self.pad_mode)[:, 0]
        window = hann_window(length, wavs.device, self.periodic)
        pieces = []
        for first in range(0, frames, PIECE):
            last = min(first + PIECE, frames) - 1
            piece = wavs[:, first * self.hop : last * self.hop + self.n_fft]
            sizes = (self.n_fft, self.hop, length, window)
            x = torch.stft(piece, *sizes, center=False, return_complex=True)
            pieces.append(filters.T @ x.abs().pow(self.power))
        return torch.cat(pieces, dim=2)

    def _scaled(self, x):
        """Takes the logarithm of the energies of an utterance, and normalizes it."""
        if self.log == "db":
            x = 10 * x.clamp_min(self.floor).log10()
            if self.top_db is not None:
                x = x.maximum(x.max() - self.top_db)
        elif self.log == "natural":
            x = (x + self.floor).log()
        return (x - self.mean) / self.std


# Functions with a memory, not buffers: these would be cast with the module around them.
@functools.lru_cache(maxsize=16)
def hann_window(size: int, device: torch.device, periodic: bool = True) -> torch.Tensor:
    """Returns a Hann window, [size], fp32."""
    return torch.hann_window(size, periodic, device=device, dtype=torch.float32)


@functools.lru_cache(maxsize=16)
def mel_filters(
    n_freqs: int,
    n_mels: int,
    sample_rate: int,
    fmin: float = 0.0,
    fmax: float | None = None,
    scale: str = "htk",
    norm: str | None = None,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Returns the filters of a mel filter bank.

    Arguments
    ---------
    n_freqs : int
        Number of frequency bins, from 0 to half the sample rate.
    n_mels, sample_rate, fmin, fmax, scale, norm
        See :class:`MelSpectrogram`.
    device : torch.device or str
        Device of the result.

    Returns
    -------
    torch.Tensor
        [n_freqs, n_mels], fp32. It is shared and must not be changed.

    Example
    -------
    >>> mel_filters(201, 80, 16000).shape
    torch.Size([201, 80])
    """
    fmax = sample_rate / 2 if fmax is None else fmax
    sizes = (n_freqs, float(fmin), float(fmax), n_mels, sample_rate, norm, scale)
    with warnings.catch_warnings():  # 128 bands over 201 bins: some are empty
        warnings.simplefilter("ignore", UserWarning)
        return torchaudio.functional.melscale_fbanks(*sizes).to(device)
