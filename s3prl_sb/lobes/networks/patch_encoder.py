"""Encoder of WavLM over the patches of spectrograms, as in BEATs.

A patch spans a few mel bands and as many frames of the spectrogram. The patches of all
bands at one time follow each other, lowest band first, then those of the next time:
positions and attention run over this sequence. Outside, a frame is all patches of one
time.

Paper: Chen et al., "BEATs: Audio Pre-Training with Acoustic Tokenizers", ICML 2023,
https://arxiv.org/abs/2212.09058.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.bands import framed
from s3prl_sb.lobes.networks.encoder import Encoder
from s3prl_sb.lobes.networks.encoder_config import EncoderConfig
from s3prl_sb.lobes.networks.initialization import initialize


@dataclasses.dataclass
class PatchEncoderConfig(EncoderConfig):
    """Sizes and options of a :class:`PatchEncoder`; defaults: BEATs.

    Arguments
    ---------
    num_mel_bins : int
        Mel bands of the spectrogram.
    patch : int
        Mel bands, and frames of the spectrogram, of a patch.
    patch_channels : int
        Size of a patch before the projection to ``hidden_size``.
    patch_bias : bool
        Bias of the first product with a patch.
    **entries
        See :class:`~s3prl_sb.lobes.networks.encoder_config.EncoderConfig`.

    Example
    -------
    >>> PatchEncoderConfig().num_bands
    8
    """

    attention: str = "gated_relative"
    gate_input: str = "queries"
    deep_norm: bool = True
    input_dropout: float = 0.0
    num_mel_bins: int = 128
    patch: int = 16
    patch_channels: int = 512
    patch_bias: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.patch < 1 or self.num_mel_bins % self.patch:
            raise ValueError(
                f"num_mel_bins {self.num_mel_bins} is no multiple of patch {self.patch}"
            )

    @property
    def num_bands(self):
        """Number of patches at one time."""
        return self.num_mel_bins // self.patch


class PatchEncoder(nn.Module):
    """Projection of patches, positions and layers.

    Arguments
    ---------
    config : PatchEncoderConfig
        Sizes and options.

    Example
    -------
    >>> config = PatchEncoderConfig(hidden_size=32, ffn_size=64, num_layers=2,
    ...     num_heads=4, num_mel_bins=32)
    >>> network = PatchEncoder(config).eval()
    >>> states = network(torch.randn(9, 2 * 16 * 16), [5, 4], bands="concat")
    >>> [list(state.shape) for state in states]
    [[9, 64], [9, 64], [9, 64]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        channels, size = config.patch_channels, config.hidden_size
        self.patches = nn.Linear(config.patch**2, channels, bias=config.patch_bias)
        self.patch_norm = nn.LayerNorm(channels)
        same = channels == size
        self.projection = nn.Identity() if same else nn.Linear(channels, size)
        self.encoder = Encoder(config)

    def reset_parameters(self, seed=0):
        """Sets random weights for training from scratch.

        Arguments
        ---------
        seed : int
            Equal seeds give equal weights, in every process.
        """
        initialize(self, seed)
        self.encoder.initialize(torch.Generator().manual_seed(seed))

    def forward(self, x, frames, bands="mean", window=None):
        """Yields the hidden states of frames of patches, see :meth:`embed` and
        :meth:`encode`."""
        yield from self.encode(self.embed(x), frames, bands, window)

    def embed(self, x):
        """Returns the input of the encoder.

        Arguments
        ---------
        x : torch.Tensor
            Frames of patches, [total_frames, num_bands * patch * patch]; within a
            patch, all bands of its first frame come first.

        Returns
        -------
        torch.Tensor
            [total_frames, num_bands * hidden_size].
        """
        x = x.unflatten(1, (self.config.num_bands, -1))
        x = self.projection(self.patch_norm(self.patches(x)))
        return F.dropout(x, self.config.input_dropout, self.training).flatten(1)

    def encode(self, x, frames, bands="mean", window=None):
        """Yields the hidden states of the result of :meth:`embed`.

        Arguments
        ---------
        x : torch.Tensor
            [total_frames, num_bands * hidden_size].
        frames : list of int
            Number of frames of each utterance.
        bands : str
            "mean": the patches of a frame are averaged; "concat": they are side by
            side, lowest band first.
        window : (int, int), optional
            Size and context of the windows that the layers run over, in frames, see
            :class:`~s3prl_sb.lobes.networks.encoder.Encoder`.

        Yields
        ------
        torch.Tensor
            [total_frames, hidden_size] or [total_frames, num_bands * hidden_size]: the
            input of every layer, then the output of the last.
        """
        count = self.config.num_bands
        x = x.unflatten(1, (count, -1)).flatten(0, 1)
        if window is not None:
            window = tuple(count * size for size in window)
        sizes = [count * size for size in frames]
        for state in self.encoder(x, sizes, window=window):
            state = state.unflatten(0, (-1, count))
            yield framed(state, bands)
