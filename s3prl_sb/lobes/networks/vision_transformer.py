"""Vision Transformers over the patches of spectrograms.

Models of sound differ in the shape of their patches, the positions and the places of
layer norms: options of one network. It runs over windows of equal length, or over
spectrograms of any lengths, whose patches it joins into frames.

Papers: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021,
https://arxiv.org/abs/2010.11929; Touvron et al., "Training data-efficient
image transformers & distillation through attention" (DeiT, whose second token
AST and its descendants have), https://arxiv.org/abs/2012.12877.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
import itertools
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks import attention
from s3prl_sb.lobes.networks.bands import framed
from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm1d
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
        Number of positions, over bands and over time.
    positions : str
        "centred": learned for each patch of the grid; fewer are cut from its middle,
        more are interpolated. "first": learned; fewer times are the first ones.
        "factorized": the sum of one for the band and one for the time. "sines": sines
        of the band in the first half, of the time in the second.
    num_tokens : int
        Number of learned tokens in front of the patches.
    band_norm : bool
        Batch norm of each mel band, with the statistics of pre-training.
    num_classes : int
        Number of classes of the classifier; 0: no classifier.
    norm : str
        Place of the Transformer's own layer norm: "none"; "input": before the first
        layer; "last": after the last layer; "every": after every layer.
    norm_eps : float
        Epsilon of the layer norms, except the classifier's.
    norm_first : bool
        Layer norm before attention and feed-forward, not after.
    qkv_bias : bool
        Queries, keys and values have biases.
    activation : str
        Activation of the feed-forwards.
    dropout, attention_dropout, activation_dropout : float
        Dropout probabilities, in training mode; 0 in all papers.
    """

    choices: ClassVar = {
        "positions": ("centred", "first", "factorized", "sines"),
        "norm": ("none", "input", "last", "every"),
    }

    hidden_size: int = 768
    ffn_size: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    patch: list = dataclasses.field(default_factory=lambda: [16, 16])
    patch_stride: list = dataclasses.field(default_factory=lambda: [10, 10])
    grid: list = dataclasses.field(default_factory=lambda: [12, 101])
    positions: str = "centred"
    num_tokens: int = 2
    band_norm: bool = False
    num_classes: int = 527
    norm: str = "none"
    norm_eps: float = 1e-6
    norm_first: bool = True
    qkv_bias: bool = True
    activation: str = "gelu"
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0

    def __post_init__(self):
        self.norm_eps = float(self.norm_eps)  # YAML reads 1e-6 as a string
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of num_heads "
                f"{self.num_heads}"
            )
        for name, choices in self.choices.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, not "
                    f"'{getattr(self, name)}'"
                )
        if self.num_classes and (self.norm != "none" or self.num_tokens == 0):
            raise ValueError(
                "A classifier (num_classes) normalizes the tokens by itself: it needs "
                "norm: none and num_tokens of 1 or more"
            )

    @property
    def patches_are_frames(self):
        """True if the layers see one patch for each time, and nothing else."""
        return self.grid[0] == 1 and not self.num_tokens

    @property
    def num_bands(self):
        """Number of mel bands that the grid covers."""
        return self.patch[0] + (self.grid[0] - 1) * self.patch_stride[0]

    @property
    def num_frames(self):
        """Number of frames of a spectrogram that the grid covers."""
        return self.patch[1] + (self.grid[1] - 1) * self.patch_stride[1]


class VisionTransformer(nn.Module):
    """Patches with positions, tokens, layers, and an optional classifier.

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
    >>> states = network.encode([torch.randn(128, 56), torch.randn(128, 26)])
    >>> [list(state.shape) for state in states]
    [[7, 32], [7, 32], [7, 32]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        size, (bands, times) = config.hidden_size, config.grid
        if config.band_norm:
            self.band_norm = FixedBatchNorm1d(config.num_bands)
        self.patches = nn.Conv2d(1, size, config.patch, config.patch_stride)
        if config.num_tokens:
            self.tokens = nn.Parameter(torch.zeros(config.num_tokens, size))
        if config.positions == "factorized":
            self.band_positions = nn.Parameter(torch.zeros(bands, size))
            self.time_positions = nn.Parameter(torch.zeros(times, size))
        elif config.positions != "sines":
            self.positions = nn.Parameter(torch.zeros(bands, times, size))
        sizes = (size, config.num_heads, config.attention_dropout, config.qkv_bias)
        self.layers = nn.ModuleList(
            EncoderLayer(config, attention.SelfAttention(*sizes))
            for _ in range(config.num_layers)
        )
        if config.norm != "none" or config.num_classes:
            self.norm = nn.LayerNorm(size, config.norm_eps)
        if config.num_classes:
            self.head_norm = nn.LayerNorm(size)
            self.head = nn.Linear(size, config.num_classes)

    def forward(self, x):
        """Yields the outputs of the layers for windows of equal length.

        Arguments
        ---------
        x : torch.Tensor
            Spectrograms [windows, bands, frames].

        Yields
        ------
        torch.Tensor
            The output of each layer, [windows, tokens + patches, hidden_size]: the
            tokens, then the patches, band by band.
        """
        x = self.embed(x)
        counts = [x.shape[1]] * len(x)
        states = self.contextualize(x.flatten(0, 1), counts)
        for state in itertools.islice(states, 1, None):
            yield state.unflatten(0, (len(counts), -1))

    def encode(self, spectrograms, bands="mean"):
        """Yields the hidden states of spectrograms of any lengths.

        Arguments
        ---------
        spectrograms : list of torch.Tensor
            [bands, frames_i], none shorter than a patch. What does not fill a patch at
            the end is left out.
        bands : str
            A frame is the "mean" of the patches at one time, or all of them side by
            side, lowest band first ("concat").

        Yields
        ------
        torch.Tensor
            The input of the first layer, then the output of each layer,
            [total_frames, hidden_size], or [total_frames, bands * hidden_size].
        """
        pieces = [self.embed(x[None])[0] for x in spectrograms]
        counts = [len(piece) for piece in pieces]
        rows = self._rows(counts, spectrograms[0].shape[0]).to(pieces[0].device)
        for state in self.contextualize(torch.cat(pieces), counts):
            state = state[rows]
            yield framed(state, bands)

    def embed(self, x):
        """Returns the input of the first layer.

        Arguments
        ---------
        x : torch.Tensor
            Spectrograms [windows, bands, frames].

        Returns
        -------
        torch.Tensor
            [windows, tokens + patches, hidden_size], see :meth:`forward`.
        """
        x = x.to(self.patches.weight.dtype)
        if self.config.band_norm:
            x = self.band_norm(x)
        x = self.patches(x[:, None])
        x = x + self._positions(*x.shape[2:]).to(x).permute(2, 0, 1)
        x = x.flatten(2).transpose(1, 2)
        if self.config.num_tokens:
            x = torch.cat([self.tokens.expand(len(x), -1, -1), x], dim=1)
        if self.config.norm == "input":
            x = self.norm(x)
        return F.dropout(x, self.config.dropout, self.training)

    def contextualize(self, x, counts):
        """Yields the hidden states of packed tokens and patches.

        Arguments
        ---------
        x : torch.Tensor
            Results of :meth:`embed`, one after the other, [total, hidden_size].
        counts : list of int
            Number of tokens and patches of each utterance.

        Yields
        ------
        torch.Tensor
            The input, then the output of each layer, [total, hidden_size].
        """
        yield x
        for i, layer in enumerate(self.layers, start=1):
            x, _ = layer(x, counts)
            last = i == len(self.layers)
            normed = self.config.norm == "every" or self.config.norm == "last" and last
            yield self.norm(x) if normed else x

    def classify(self, x):
        """Applies the classifier to the last hidden state.

        Arguments
        ---------
        x : torch.Tensor
            [windows, tokens + patches, hidden_size].

        Returns
        -------
        logits : torch.Tensor
            [windows, num_classes].
        features : torch.Tensor
            [windows, hidden_size], the mean of the tokens.
        """
        features = self.norm(x[:, : self.config.num_tokens]).mean(1)
        return self.head(self.head_norm(features)), features

    def grid(self, bands, frames):
        """Returns the number of patches of a spectrogram, over bands and over time."""
        sizes = zip((bands, frames), self.config.patch, self.config.patch_stride)
        return [(size - patch) // stride + 1 for size, patch, stride in sizes]

    def _rows(self, counts, bands):
        """Returns the indices of the patches at each time in packed rows,
        [total_frames, bands]: without the tokens, lowest band first."""
        tokens, high = self.config.num_tokens, self.grid(bands, 0)[0]
        rows, start = [], 0
        for count in counts:
            patches = torch.arange(start + tokens, start + count)
            rows.append(patches.unflatten(0, (high, -1)).T)
            start += count
        return torch.cat(rows)

    def _positions(self, bands, times):
        """Returns the positions, [bands, times, hidden_size]."""
        kind = self.config.positions
        if kind == "sines":
            usual, device = self.config.grid[1], self.patches.weight.device
            sizes = (bands, max(times, usual), self.config.hidden_size)
            return sines(*sizes, device)[:, :times]
        if kind == "factorized":
            return self.band_positions[:, None] + self.time_positions[:times]
        if kind == "first":
            return self.positions[:bands, :times]
        return fitted(self.positions, bands, times)


@functools.lru_cache(maxsize=4)
def sines(bands, times, size, device="cpu"):
    """Returns sines of the band in the first half of the columns, of the time in the
    second; in both halves the sines come first, then the cosines.

    Arguments
    ---------
    bands, times : int
        Numbers of patches.
    size : int
        Number of columns, a multiple of 4.
    device : torch.device or str
        Device of the result.

    Returns
    -------
    torch.Tensor
        [bands, times, size], fp32. It is shared and must not be changed.

    Example
    -------
    >>> band, time = sines(8, 64, 768)[1, 5].chunk(2)
    >>> time[0] == torch.tensor(5.0).sin(), time[192] == torch.tensor(5.0).cos()
    (tensor(True), tensor(True))
    """
    halves = []
    with torch.inference_mode(False):  # kept for training, too
        for count in (bands, times):
            table = attention.sines(torch.arange(count), size // 2)
            halves.append(torch.cat([table[:, ::2], table[:, 1::2]], dim=1))
        band, time = halves
        shape = (bands, times, size // 2)
        grid = torch.cat([band[:, None].expand(shape), time.expand(shape)], dim=2)
        return grid.to(device)


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
