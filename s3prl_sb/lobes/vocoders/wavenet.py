"""Parallel WaveGAN: a WaveNet that makes a waveform of noise and a spectrogram.

Paper: Yamamoto et al., https://arxiv.org/abs/1910.11480. All samples are computed at
once. The noise is the same at each call, so that a spectrogram has one waveform.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import interpolate, pad

SEED = 0  # of the noise


class ParallelWaveGAN(nn.Module):
    """Stack of gated, dilated convolutions over noise, conditioned on a spectrogram.

    Arguments
    ---------
    factors : list of int
        Factors by which the spectrogram is lengthened; their product is the hop.
    layers : int
        Number of layers.
    stacks : int
        Number of times that the dilation begins again at 1.
    kernel_size : int
        Size of the dilated convolutions.
    channels, gate_channels, skip_channels : int
        Number of channels between layers, before the gates (two for each output), and
        of the sum over layers.
    n_mels : int
        Number of mel bands.
    context : int
        Number of frames before and after a frame that condition its samples.

    Example
    -------
    >>> network = ParallelWaveGAN([4, 4], layers=2, stacks=1, n_mels=8)
    >>> network(torch.zeros(1, 8, 5)).shape
    torch.Size([1, 1, 80])
    """

    def __init__(
        self,
        factors: Sequence[int],
        layers: int = 30,
        stacks: int = 3,
        kernel_size: int = 3,
        channels: int = 64,
        gate_channels: int = 128,
        skip_channels: int = 64,
        n_mels: int = 80,
        context: int = 2,
    ):
        super().__init__()
        self.factors, self.context = list(factors), context
        self.first = nn.Conv1d(1, channels, 1)
        self.spectrogram = nn.Conv1d(n_mels, n_mels, 2 * context + 1, bias=False)
        self.smoothing = nn.ModuleList(
            nn.Conv2d(1, 1, (1, 2 * factor + 1), padding=(0, factor), bias=False)
            for factor in factors
        )
        sizes = channels, gate_channels, skip_channels, n_mels
        self.layers = nn.ModuleList(
            GatedLayer(*sizes, kernel_size, 2 ** (n % (layers // stacks)))
            for n in range(layers)
        )
        self.last = nn.ModuleList(
            [nn.Conv1d(skip_channels, skip_channels, 1), nn.Conv1d(skip_channels, 1, 1)]
        )

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """Makes a waveform [1, 1, samples] of a spectrogram [1, n_mels, frames]."""
        edges = (self.context, self.context)
        condition = self.spectrogram(pad(spectrogram, edges, "replicate"))[:, None]
        for factor, smooth in zip(self.factors, self.smoothing):
            condition = smooth(interpolate(condition, scale_factor=(1, factor)))
        condition = condition[:, 0]
        generator = torch.Generator().manual_seed(SEED)
        noise = torch.randn(1, 1, condition.shape[-1], generator=generator)
        hidden, total = self.first(noise.to(condition)), torch.zeros(())
        for layer in self.layers:
            hidden, skipped = layer(hidden, condition)
            total = total.to(skipped) + skipped
        output = total * len(self.layers) ** -0.5
        for layer in self.last:
            output = layer(output.relu())
        return output


class GatedLayer(nn.Module):
    """Dilated convolution with a gate, and outputs to the next layer and to the end.

    Arguments
    ---------
    channels, gate_channels, skip_channels, n_mels, kernel_size : int
        See :class:`ParallelWaveGAN`.
    dilation : int
        Dilation of the convolution.
    """

    def __init__(
        self, channels, gate_channels, skip_channels, n_mels, kernel_size, dilation
    ):
        super().__init__()
        padding = (kernel_size - 1) // 2 * dilation
        self.dilated = nn.Conv1d(
            channels, gate_channels, kernel_size, padding=padding, dilation=dilation
        )
        self.condition = nn.Conv1d(n_mels, gate_channels, 1, bias=False)
        self.out = nn.Conv1d(gate_channels // 2, channels, 1)
        self.skip = nn.Conv1d(gate_channels // 2, skip_channels, 1)

    def forward(self, hidden, condition):
        """Returns the input of the next layer, and the part of the sum over layers."""
        both = self.dilated(hidden) + self.condition(condition)
        signal, gate = both.chunk(2, dim=1)
        gated = signal.tanh() * gate.sigmoid()
        return (self.out(gated) + hidden) * 0.5**0.5, self.skip(gated)
