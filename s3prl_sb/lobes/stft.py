"""Short-time Fourier transform, its inverse, and its alignment with features.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.errors import UserError

#: Largest hop, as a share of the window, at which windows overlap enough to invert.
LARGEST_HOP = 0.75


class STFTError(UserError, ValueError):
    """Impossible sizes of a short-time Fourier transform."""


class STFT:
    """Short-time Fourier transform with a Hann window and centred frames.

    Frame ``t`` is centred at sample ``t * hop_length``; beyond both ends the waveform
    counts as zero. A batch padded with zeros therefore has the frames that each of its
    waveforms has alone.

    Arguments
    ---------
    n_fft : int
        Size of the transform, samples.
    win_length : int, optional
        Length of the window, samples; default: ``n_fft``.
    hop_length : int
        Samples from one frame to the next.

    Raises
    ------
    STFTError
        If the windows overlap too little, or are longer than the transform.

    Note
    ----
    S3PRL calls ``librosa.stft``, which computes the same with torch's arguments here.

    Example
    -------
    >>> stft = STFT(n_fft=512, hop_length=320)
    >>> spectra = stft(torch.randn(2, 16000))
    >>> spectra.shape, stft.frames(16000), stft.bins
    (torch.Size([2, 51, 257]), 51, 257)
    >>> stft.inverse(spectra, 16000).shape
    torch.Size([2, 16000])
    """

    def __init__(
        self, n_fft: int = 512, win_length: int | None = None, hop_length: int = 320
    ):
        self.n_fft, self.win_length = n_fft, win_length or n_fft
        self.hop_length = hop_length
        self.bins = n_fft // 2 + 1
        if self.win_length > n_fft:
            raise STFTError(
                f"win_length {self.win_length} exceeds n_fft {n_fft}: raise n_fft."
            )
        if not 0 < hop_length <= LARGEST_HOP * self.win_length:
            raise STFTError(
                f"hop_length {hop_length} for windows of {self.win_length} samples: "
                f"choose 1 to {int(LARGEST_HOP * self.win_length)}, or raise "
                "win_length and n_fft."
            )

    def frames(self, samples):
        """Returns the number of frames of ``samples``, an int or a tensor."""
        return 1 + samples // self.hop_length

    def __call__(self, wavs: torch.Tensor) -> torch.Tensor:
        """Returns complex spectra [..., frames, bins] of [..., samples]."""
        flat = wavs.float().reshape(-1, wavs.shape[-1])
        spectra = torch.stft(
            flat,
            self.n_fft,
            self.hop_length,
            self.win_length,
            self._window(wavs.device),
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        return spectra.mT.reshape(*wavs.shape[:-1], -1, self.bins)

    def inverse(self, spectra: torch.Tensor, samples: int) -> torch.Tensor:
        """Returns waveforms of spectra.

        Arguments
        ---------
        spectra : torch.Tensor
            Complex, [..., frames, bins].
        samples : int
            Length of the waveforms. The last frame must be centred at or after their
            end: near the edge of the last window, a division by almost zero would
            amplify every inconsistency of the spectra.

        Returns
        -------
        torch.Tensor
            [..., samples].
        """
        flat = spectra.reshape(-1, *spectra.shape[-2:]).mT
        wavs = torch.istft(
            flat,
            self.n_fft,
            self.hop_length,
            self.win_length,
            self._window(spectra.device),
            center=True,
            length=samples,
        )
        return wavs.reshape(*spectra.shape[:-2], samples)

    def _window(self, device):
        return torch.hann_window(self.win_length, device=device)


def hop_for(stride: int, win_length: int) -> int:
    """Returns the hop for the features of an upstream: its stride, or a part of it.

    Arguments
    ---------
    stride : int
        Samples from one frame of the upstream to the next.
    win_length : int
        Length of the windows, samples.

    Returns
    -------
    int
        The stride; where windows would overlap too little, its half, its third and so
        on.

    Example
    -------
    >>> [hop_for(stride, 512) for stride in (160, 320, 640, 1280)]
    [160, 320, 320, 320]
    """
    parts = 1
    while stride // parts > LARGEST_HOP * win_length:
        parts += 1
    return max(1, stride // parts)


def align(
    features: torch.Tensor,
    lens: torch.Tensor,
    frames: torch.Tensor,
    hop_length: int,
    stride: int,
) -> torch.Tensor:
    """Returns one feature vector for each frame of a short-time Fourier transform.

    Frame ``t`` gets the features of frame ``t * hop_length // stride``; the last true
    frames, which the upstream has none for, get its last ones.

    Arguments
    ---------
    features : torch.Tensor
        [batch, feature frames, size].
    lens : torch.Tensor
        [batch], relative lengths.
    frames : torch.Tensor
        [batch], number of frames of each transform.
    hop_length : int
        Samples from one frame of the transform to the next.
    stride : int
        Samples from one frame of the features to the next.

    Returns
    -------
    torch.Tensor
        [batch, max(frames), size]; what is beyond the frames of an utterance repeats
        its last features.

    Note
    ----
    S3PRL fills the missing frames, up to four, with zeros, which occur nowhere else in
    the features. Its variant of 10 ms takes strides of 160 and 320 only.

    Example
    -------
    >>> features = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [0.0], [0.0]]])
    >>> frames = torch.tensor([5, 2])
    >>> align(features, torch.tensor([1, 1 / 3]), frames, 160, 320)[..., 0].tolist()
    [[1.0, 1.0, 2.0, 2.0, 3.0], [4.0, 4.0, 4.0, 4.0, 4.0]]
    """
    counts = (lens * features.shape[1]).round().long().clamp_min(1)
    times = torch.arange(int(frames.max()), device=features.device)
    places = times * hop_length // stride
    places = torch.minimum(places, counts.to(features.device)[:, None] - 1)
    return features.gather(1, places[..., None].expand(-1, -1, features.shape[2]))
