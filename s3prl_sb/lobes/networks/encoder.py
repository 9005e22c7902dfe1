"""Encoder of wav2vec 2.0 and its descendants, over packed frames.

Linear layers run over the frames of all utterances at once, attention and
convolutions over each utterance separately (``packing.py``).

Papers: Vaswani et al., "Attention Is All You Need",
https://arxiv.org/abs/1706.03762; Baevski et al., "wav2vec 2.0",
https://arxiv.org/abs/2006.11477.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.attention import (
    BucketedDistances,
    GatedRelativeAttention,
    RotaryAttention,
    SelfAttention,
    TransformerXLAttention,
    sines,
)
from s3prl_sb.lobes.networks.causal_convolution import same_length
from s3prl_sb.lobes.networks.conformer import ConformerLayer
from s3prl_sb.lobes.networks.e_branchformer import EBranchformerLayer
from s3prl_sb.lobes.networks.front_end import gelu
from s3prl_sb.lobes.networks.packing import along_time, windows
from s3prl_sb.lobes.networks.recomputation import RecomputableLayer

ACTIVATIONS = {"gelu": gelu, "relu": F.relu, "swish": F.silu}
#: Number of frames that a feed-forward expands at a time without gradients: as fast
#: as all at once, in memory that does not grow with the audio.
FFN_ROWS = 1024


class LanguageAdapter(nn.Module):
    """Adapter of MMS for one language: a norm and a bottleneck after each layer.

    Paper: Pratap et al., "Scaling Speech Technology to 1,000+ Languages",
    https://arxiv.org/abs/2305.13516.

    Arguments
    ---------
    config : TransformerConfig
        Configuration with ``hidden_size`` and ``adapter_size``.

    Example
    -------
    >>> from s3prl_sb.lobes.networks.transformer import TransformerConfig
    >>> config = TransformerConfig(hidden_size=12, num_heads=2, norm_first=True,
    ...     adapter_size=4)
    >>> LanguageAdapter(config)(torch.randn(7, 12)).shape
    torch.Size([7, 12])
    """

    def __init__(self, config):
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden_size)
        self.contract = nn.Linear(config.hidden_size, config.adapter_size)
        self.expand = nn.Linear(config.adapter_size, config.hidden_size)

    def forward(self, x):
        """[frames, hidden_size] -> the residual [frames, hidden_size]."""
        return self.expand(F.relu(self.contract(self.norm(x))))


class EncoderLayer(RecomputableLayer):
    """Self-attention and feed-forward over packed frames.

    Arguments
    ---------
    config : TransformerConfig
        Sizes and options.
    attention : torch.nn.Module, optional
        Module from packed frames to packed frames. None: self-attention without
        positions.
    """

    residual_scale = 1.0  #: factor of the residuals without ``norm_first``

    def __init__(self, config, attention=None):
        super().__init__()
        size, eps = config.hidden_size, config.norm_eps
        self.config = config
        self.activation = ACTIVATIONS[config.activation]
        self.attention = attention or SelfAttention(
            size, config.num_heads, config.attention_dropout
        )
        self.attention_norm = nn.LayerNorm(size, eps)
        self.expand = nn.Linear(size, config.ffn_size)
        self.contract = nn.Linear(config.ffn_size, size)
        self.ffn_norm = nn.LayerNorm(size, eps)
        self.language_adapter = None  # or a LanguageAdapter, where norm_first

    def forward(self, x, frames):
        """Runs the layer.

        Arguments
        ---------
        x : torch.Tensor
            [total_frames, hidden_size].
        frames : list of int
            Number of frames of each utterance.

        Returns
        -------
        x : torch.Tensor
            [total_frames, hidden_size].
        ffn : torch.Tensor
            Output of the feed-forward, before the residual, [total_frames,
            hidden_size].
        """
        if self.config.norm_first:
            x = x + self._attention(self.attention_norm(x), frames)
            ffn = self._feed_forward(self.ffn_norm(x))
            x = x + ffn
            if self.language_adapter is not None:
                x = x + self.language_adapter(x)
            return x, ffn
        scale = self.residual_scale
        x = torch.add(self._attention(x, frames), x, alpha=scale)
        x = self.attention_norm(x)
        ffn = self._feed_forward(x)
        return self.ffn_norm(torch.add(ffn, x, alpha=scale)), ffn

    def _attention(self, x, frames):
        return self._drop(self.attention(x, frames), self.config.dropout)

    def _feed_forward(self, x):
        if torch.is_grad_enabled() or len(x) <= FFN_ROWS:
            return self._expanded(x)
        return torch.cat([self._expanded(rows) for rows in x.split(FFN_ROWS)])

    def _expanded(self, x):
        x = self._drop(self.activation(self.expand(x)), self.config.activation_dropout)
        return self._drop(self.contract(x), self.config.dropout)

    def _drop(self, x, p):
        return F.dropout(x, p, self.training) if self.training and p else x


class ConvolutionalPositions(nn.Module):
    """Convolutional positional embedding.

    Arguments
    ---------
    config : TransformerConfig
        Configuration with the ``position_`` entries.
    """

    def __init__(self, config):
        super().__init__()
        size, groups = config.hidden_size, config.position_groups
        kernel, depth = config.position_kernel, config.position_depth
        kernel = kernel if depth == 1 else max(3, kernel // depth)
        self.convolutions = nn.ModuleList()
        for _ in range(depth):
            convolution, self.reach = same_length(size, kernel, groups, config.causal)
            self.convolutions.append(convolution)

    def initialize(self, random):
        """Sets random weights, of a scale that fits the length of the kernels."""
        for module in self.convolutions:
            std = math.sqrt(4 / (module.kernel_size[0] * module.out_channels))
            nn.init.normal_(module.weight, std=std, generator=random)

    def forward(self, x, frames):
        """[total_frames, hidden_size] -> the same."""
        for convolution in self.convolutions:
            x = along_time(convolution, x, frames, self.reach)
            if len(self.convolutions) > 1:
                x = F.layer_norm(x, x.shape[-1:])
            x = gelu(x)
        return x


class SinusoidalPositions(nn.Module):
    """Sines and cosines of the position of a frame in its utterance.

    Example
    -------
    >>> SinusoidalPositions()(torch.zeros(5, 32), [3, 2]).shape
    torch.Size([5, 32])
    """

    def initialize(self, random):
        """Does nothing: there are no weights."""

    def forward(self, x, frames):
        """[total_frames, hidden_size] -> the same."""
        table = sines(torch.arange(max(frames)), x.shape[1])[:, : x.shape[1]]
        return torch.cat([table[:n] for n in frames]).to(x.device, x.dtype)


#: Classes of layers by ``config.layer``.
LAYERS = {
    "transformer": EncoderLayer,
    "conformer": ConformerLayer,
    "e_branchformer": EBranchformerLayer,
}


class Encoder(nn.Module):
    """Positions and layers, the network after the front-end.

    Arguments
    ---------
    config : TransformerConfig
        Sizes and options.

    Example
    -------
    >>> from s3prl_sb.lobes.networks.transformer import TransformerConfig
    >>> config = TransformerConfig(hidden_size=32, ffn_size=64, num_layers=2,
    ...     num_heads=4)
    >>> states = Encoder(config).eval()(torch.randn(10, 32), [7, 3])
    >>> [list(state.shape) for state in states]
    [[10, 32], [10, 32], [10, 32]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.positions = None
        if config.positions == "convolutional":
            self.positions = ConvolutionalPositions(config)
        elif config.positions == "sinusoidal":
            self.positions = SinusoidalPositions()
        self.norm = nn.LayerNorm(config.hidden_size, config.norm_eps)
        layer = LAYERS[config.layer]
        attention = self._attention(config)
        self.layers = nn.ModuleList(
            layer(config, attention(i)) for i in range(config.num_layers)
        )
        if config.adapter_size:
            for module in self.layers:
                module.language_adapter = LanguageAdapter(config)
        for module in self.layers:
            module.attention.causal = config.causal
            if config.deep_norm:
                module.residual_scale = (2 * config.num_layers) ** 0.25

    def initialize(self, random):
        """Sets the random weights that need a scale of their own.

        Arguments
        ---------
        random : torch.Generator
            Source of random numbers.
        """
        for module in self.modules():
            if isinstance(module, GatedRelativeAttention):
                nn.init.ones_(module.gate_scale)
        if self.positions is not None:
            self.positions.initialize(random)
        if self.config.deep_norm:
            for layer in self.layers:
                self._initialize_deep(layer, random)

    def _initialize_deep(self, layer, random):
        """Sets the smaller weights that deep norm needs at the start."""
        attention, gain = layer.attention, (8 * self.config.num_layers) ** -0.25
        for module in (attention.query, attention.key):
            nn.init.xavier_normal_(module.weight, generator=random)
        for module in (attention.value, attention.output, layer.expand, layer.contract):
            nn.init.xavier_normal_(module.weight, gain, generator=random)

    @staticmethod
    def _attention(config):
        """Returns a function from the index of a layer to its attention."""
        p = config.dropout if config.layer == "conformer" else config.attention_dropout
        sizes = (config.hidden_size, config.num_heads, p)
        if config.attention == "gated_relative":
            buckets = BucketedDistances(
                config.num_heads, config.num_buckets, config.max_distance
            )
            gate = config.gate_input
            return lambda i: GatedRelativeAttention(*sizes, buckets, i == 0, gate)
        if config.attention == "plain":
            return lambda i: SelfAttention(*sizes, config.qkv_bias)
        kind = {
            "transformer_xl": TransformerXLAttention,
            "rotary": RotaryAttention,
        }[config.attention]
        return lambda i: kind(*sizes)

    def forward(self, x, frames, selection="inputs", window=None):
        """Yields the hidden states.

        Arguments
        ---------
        x : torch.Tensor
            [total_frames, hidden_size].
        frames : list of int
            Number of frames of each utterance.
        selection : str
            "inputs": the input of every layer, then the encoder's output;
            "outputs": the output of every layer; "ffn": the output of its
            feed-forward, before the residual.
        window : (int, int), optional
            Size of the windows that the layers run over, in frames, and their
            context on either side. None: whole utterances.

        Yields
        ------
        torch.Tensor
            [total_frames, hidden_size].
        """
        if self.positions is not None:
            positions = self.positions(x, frames)
            x = x + positions if self.config.position_residual else positions
        if not self.config.norm_first:
            x = self.norm(x)
        x = F.dropout(x, self.config.dropout, self.training)
        states = functools.partial(self._states, selection=selection)
        if window is None or max(frames) <= sum(window):
            yield from states(x, frames)
            return
        rows, sizes, kept = windows(frames, *window)
        for state in states(x[rows.to(x.device)], sizes):
            yield state[kept.to(x.device)]

    def _states(self, x, frames, selection):
        for layer in self.layers:
            if selection == "inputs":
                yield x
            ffn = torch.zeros_like(x) if selection == "ffn" else None
            if not self._skipped():
                x, ffn = layer(x, frames)
            if selection != "inputs":
                yield x if selection == "outputs" else ffn
        if selection == "inputs":
            yield self.norm(x) if self.config.norm_first else x

    def _skipped(self):
        p = self.config.layerdrop
        return self.training and p > 0 and torch.rand(()).item() < p
