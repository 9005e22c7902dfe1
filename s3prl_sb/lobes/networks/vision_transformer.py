"""Vision Transformers over the patches of spectrograms.

Papers: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021,
https://arxiv.org/abs/2010.11929; Touvron et al., "Training data-efficient
image transformers & distillation through attention" (DeiT, whose second token
all these models have), https://arxiv.org/abs/2012.12877.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.encoder import EncoderLayer


@dataclasses.dataclass
class VisionTransformerConfig:
    """Sizes and options of a :class:`VisionTransformer`; defaults: AST's.

    Arguments
    ---------
    hidden_size, ffn_size, num_layers, num_heads : int
        Sizes of the Transformer.
    patch : list of int
        Mel bands and frames of a patch.
    patch_stride : list of int
        Bands and frames from one patch to the next.
    grid : list of int
        Number of learned positions, over bands and over time.
    factorized : bool
        A position is the sum of one for the band and one for the time.
    num_classes : int
        Number of classes of the classifier; 0: no classifier.
    norm_eps : float
        Epsilon of the layer norms, except the classifier's.
    norm_first : bool
        Layer norm before attention and feed-forward, as in all papers.
    activation : str
        Activation of the feed-forwards.
    dropout, attention_dropout, activation_dropout : float
        Dropout probabilities, in training mode; 0 in all papers.
    """

    hidden_size: int = 768
    ffn_size: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    patch: list = dataclasses.field(default_factory=lambda: [16, 16])
    patch_stride: list = dataclasses.field(default_factory=lambda: [10, 10])
    grid: list = dataclasses.field(default_factory=lambda: [12, 101])
    factorized: bool = False
    num_classes: int = 527
    norm_eps: float = 1e-6
    norm_first: bool = True
    activation: str = "gelu"
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0

    def __post_init__(self):
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of num_heads "
                f"{self.num_heads}"
            )


class VisionTransformer(nn.Module):
    """Patches with positions, two tokens, layers, and an optional classifier.

    Arguments
    ---------
    config : VisionTransformerConfig
        Sizes and options.

    Example
    -------
    >>> config = VisionTransformerConfig(hidden_size=32, ffn_size=64,
    ...     num_layers=2, num_heads=4)
    >>> network = VisionTransformer(config)
    >>> states = network(torch.randn(3, 128, 56))
    >>> [list(state.shape) for state in states]
    [[3, 62, 32], [3, 62, 32]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        size, (bands, times) = config.hidden_size, config.grid
        self.patches = nn.Conv2d(1, size, config.patch, config.patch_stride)
        self.tokens = nn.Parameter(torch.zeros(2, size))
        if config.factorized:
            self.band_positions = nn.Parameter(torch.zeros(bands, size))
            self.time_positions = nn.Parameter(torch.zeros(times, size))
        else:
            self.positions = nn.Parameter(torch.zeros(bands, times, size))
        self.layers = nn.ModuleList(
            EncoderLayer(config) for _ in range(config.num_layers)
        )
        if config.num_classes:
            self.norm = nn.LayerNorm(size, config.norm_eps)
            self.head_norm = nn.LayerNorm(size)
            self.head = nn.Linear(size, config.num_classes)

    def forward(self, x):
        """Yields the hidden states.

        Arguments
        ---------
        x : torch.Tensor
            Spectrograms [windows, bands, frames].

        Yields
        ------
        torch.Tensor
            The output of each layer, [windows, 2 + patches, hidden_size]: the
            tokens, then the patches, band by band.
        """
        x = self.patches(x[:, None].to(self.tokens.dtype))
        x = x + self._positions(*x.shape[2:]).permute(2, 0, 1)
        tokens = self.tokens.expand(len(x), -1, -1)
        x = torch.cat([tokens, x.flatten(2).transpose(1, 2)], dim=1)
        x = F.dropout(x, self.config.dropout, self.training)
        sizes, x = [x.shape[1]] * len(x), x.flatten(0, 1)
        for layer in self.layers:
            x, _ = layer(x, sizes)
            yield x.unflatten(0, (len(sizes), -1))

    def classify(self, x):
        """Applies the classifier to the last hidden state.

        Arguments
        ---------
        x : torch.Tensor
            [windows, 2 + patches, hidden_size].

        Returns
        -------
        logits : torch.Tensor
            [windows, num_classes].
        features : torch.Tensor
            [windows, hidden_size], the mean of the tokens.
        """
        features = self.norm(x[:, :2]).mean(1)
        return self.head(self.head_norm(features)), features

    def grid(self, bands, frames):
        """Returns the number of patches of a spectrogram, over bands and over time."""
        sizes = zip((bands, frames), self.config.patch, self.config.patch_stride)
        return [(size - patch) // stride + 1 for size, patch, stride in sizes]

    def _positions(self, bands, times):
        """Returns the positions, [bands, times, hidden_size]."""
        if self.config.factorized:
            return self.band_positions[:, None] + self.time_positions[:times]
        return fitted(self.positions, bands, times)


def fitted(positions, bands, times):
    """Fits positions to another number of patches.

    Arguments
    ---------
    positions : torch.Tensor
        [learned bands, learned times, size].
    bands, times : int
        Numbers of patches. Fewer positions are cut from the middle, more are
        interpolated linearly.

    Returns
    -------
    torch.Tensor
        [bands, times, size].

    Example
    -------
    >>> fitted(torch.arange(5.0).view(1, 5, 1), 1, 3).flatten().tolist()
    [1.0, 2.0, 3.0]
    >>> fitted(torch.arange(2.0).view(1, 2, 1), 1, 4).flatten().tolist()
    [0.0, 0.25, 0.75, 1.0]
    """
    for dim, count in enumerate((bands, times)):
        size = positions.shape[dim]
        if count < size:
            positions = positions.narrow(dim, size // 2 - count // 2, count)
    if positions.shape[:2] != (bands, times):
        stretched = F.interpolate(
            positions.float().permute(2, 0, 1)[None], (bands, times), mode="bilinear"
        )
        positions = stretched[0].permute(1, 2, 0).to(positions.dtype)
    return positions
