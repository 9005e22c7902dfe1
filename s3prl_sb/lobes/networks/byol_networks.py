"""Network of BYOL-A, and the log mel windows that BYOL-A and BYOL-S share.

Authors
 * The s3prl_sb developers, 2026
"""

import functools

import torch
from torch import nn

from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm2d
from s3prl_sb.lobes.networks.mel_spectrogram import hann_window, mel_filters

SAMPLE_RATE, N_FFT, HOP, N_MELS = 16000, 1024, 160, 64
#: Maximum number of windows that run through a network together.
TOGETHER = 128


class AudioNtt(nn.Module):
    """Network of BYOL-A, one vector for each window.

    Arguments
    ---------
    channels : int
        Channels of the three convolutions.
    hidden_size : int
        Size of the vectors.

    Example
    -------
    >>> AudioNtt(channels=8, hidden_size=32)(torch.randn(5, 64, 101)).shape
    torch.Size([5, 32])
    """

    def __init__(self, channels=64, hidden_size=2048):
        super().__init__()
        layers = []
        for inputs in (1, channels, channels):
            layers += [
                nn.Conv2d(inputs, channels, 3, padding=1),
                FixedBatchNorm2d(channels),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        self.features = nn.Sequential(*layers)
        self.fc = nn.Sequential(
            nn.Linear(channels * (N_MELS // 8), hidden_size),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden_size, hidden_size),
            nn.ReLU(),
        )
        self.output_size = hidden_size

    def forward(self, x):
        """[windows, mels, frames] -> [windows, hidden_size]"""
        return mean_and_max(self.features(x[:, None]), self.fc)


def mean_and_max(x, transform=None):
    """Pools each map over time: the mean plus the maximum.

    Arguments
    ---------
    x : torch.Tensor
        [windows, channels, mels, frames].
    transform : callable, optional
        Maps the frames, [windows, frames, mels * channels], before the pooling.

    Returns
    -------
    torch.Tensor
        [windows, size].

    Example
    -------
    >>> mean_and_max(torch.tensor([0.0, 1.0, 5.0]).view(1, 1, 1, 3)).tolist()
    [[7.0]]
    """
    x = x.permute(0, 3, 2, 1).flatten(2)
    x = x if transform is None else transform(x)
    return x.mean(1) + x.amax(1)


def log_mel(windows, win_length=N_FFT):
    """Computes the log mel energies of each window separately.

    Arguments
    ---------
    windows : torch.Tensor
        [..., samples].
    win_length : int
        Length of the Hann window, in samples.

    Returns
    -------
    torch.Tensor
        [..., mels, frames], fp32.

    Example
    -------
    >>> log_mel(torch.zeros(2, 3, 16000)).shape
    torch.Size([2, 3, 64, 101])
    """
    with torch.autocast(windows.device.type, enabled=False):
        x = windows.float().flatten(0, -2)
        hann = hann_window(win_length, x.device)
        x = torch.stft(x, N_FFT, HOP, win_length, hann, return_complex=True)
        x = _mel_bands(x.device) @ x.abs().pow(2)
        x = (x + torch.finfo(x.dtype).eps).log()
    return x.unflatten(0, windows.shape[:-1])


def check_sizes(window, stride):
    """Raises ValueError for windows that are too short for a spectrum."""
    if window <= N_FFT // 2 or stride < 1:
        raise ValueError(
            f"windows of {window} samples every {stride}: a window must have "
            f"{N_FFT // 2 + 1} samples or more, and the step one"
        )


def in_parts(network, windows):
    """Runs a network over many windows, :data:`TOGETHER` at a time.

    Arguments
    ---------
    network : callable
        [windows, …] -> [windows, size].
    windows : torch.Tensor
        [batch, windows, …].

    Returns
    -------
    torch.Tensor
        [batch, windows, size].
    """
    parts = windows.flatten(0, 1).split(TOGETHER)
    return torch.cat([network(part) for part in parts]).unflatten(0, windows.shape[:2])


@functools.lru_cache(maxsize=16)
def _mel_bands(device):
    sizes = (N_FFT // 2 + 1, N_MELS, SAMPLE_RATE)
    return mel_filters(*sizes, 60.0, 7800.0, device=device).T.contiguous()
