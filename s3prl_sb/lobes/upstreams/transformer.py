"""The network of wav2vec 2.0 and its descendants.

Waveform -> strided convolutions -> projection -> convolutional positions ->
Transformer encoder. One network for wav2vec 2.0, HuBERT and what follows them;
the base and the large kind differ by two named options.

Everything after the convolutions works on *packed* frames: those of all
utterances in one tensor [total_frames, hidden_size]. Linear layers run over
all of them at once, attention and convolutions over each utterance by itself.
So no padding is ever computed, and no mask is needed.

Papers: Baevski et al., "wav2vec 2.0", https://arxiv.org/abs/2006.11477; Hsu et
al., "HuBERT", https://arxiv.org/abs/2106.07447.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn

CONV_LAYERS = [[512, 10, 5]] + [[512, 3, 2]] * 4 + [[512, 2, 2]] * 2


@dataclasses.dataclass
class TransformerConfig:
    """Sizes and options of a :class:`SpeechTransformer`; defaults: base.

    Arguments
    ---------
    conv_layers : list of [int, int, int]
        Channels, kernel size and stride of each convolution.
    conv_norm : str
        "group": group norm (one channel a group) after the first convolution,
        as in base models; "layer": layer norm after each, as in large ones.
    conv_bias : bool
        Whether the convolutions have a bias.
    hidden_size, ffn_size, num_layers, num_heads : int
        Of the encoder.
    norm_first : bool
        Layer norm before attention and feed-forward (large) or after (base).
    position_kernel, position_groups : int
        Of the positional convolution.
    normalize_wav : bool
        Whether waveforms are scaled to zero mean and unit variance.
    dropout, attention_dropout, activation_dropout, input_dropout : float
        Active only in training mode.
    layerdrop : float
        Probability to skip a layer in training mode.
    """

    conv_layers: list = dataclasses.field(
        default_factory=lambda: [list(layer) for layer in CONV_LAYERS]
    )
    conv_norm: str = "group"
    conv_bias: bool = False
    hidden_size: int = 768
    ffn_size: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    norm_first: bool = False
    position_kernel: int = 128
    position_groups: int = 16
    normalize_wav: bool = False
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    input_dropout: float = 0.1
    layerdrop: float = 0.0

    def __post_init__(self):
        if self.conv_norm not in ("group", "layer"):
            raise ValueError(
                f"conv_norm must be 'group' or 'layer', not '{self.conv_norm}'"
            )
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of "
                f"num_heads {self.num_heads}"
            )


def gelu(x):
    """GELU, in place where no gradient needs the input."""
    return F.gelu(x) if torch.is_grad_enabled() else torch.ops.aten.gelu_(x)


class ConvolutionalFrontEnd(nn.Module):
    """Strided convolutions over the waveform.

    Arguments
    ---------
    config : TransformerConfig
        Its ``conv_`` entries.

    Example
    -------
    >>> front_end = ConvolutionalFrontEnd(TransformerConfig())
    >>> front_end(torch.randn(1, 16000)).shape, front_end.frames(16000)
    (torch.Size([1, 49, 512]), 49)
    """

    def __init__(self, config):
        super().__init__()
        self.sizes = [(kernel, stride) for _, kernel, stride in config.conv_layers]
        self.layer_norm = config.conv_norm == "layer"
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        channels = 1
        for i, (out, kernel, stride) in enumerate(config.conv_layers):
            self.convolutions.append(
                nn.Conv1d(channels, out, kernel, stride, bias=config.conv_bias)
            )
            if self.layer_norm:
                self.norms.append(nn.LayerNorm(out))
            elif i == 0:
                self.norms.append(nn.GroupNorm(out, out))
            channels = out

    def frames(self, samples):
        """Frames of a waveform of ``samples`` samples, 0 if it is too short."""
        for kernel, stride in self.sizes:
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples

    @property
    def receptive_field(self):
        """Samples that one frame sees, the shortest input."""
        samples = 1
        for kernel, stride in reversed(self.sizes):
            samples = (samples - 1) * stride + kernel
        return samples

    def forward(self, wavs):
        """[batch, samples] -> [batch, frames, channels]."""
        x = self._first(wavs.unsqueeze(1))
        for i in range(1, len(self.convolutions)):
            x = self.convolutions[i](x)
            x = gelu(self._normed(x, i) if self.layer_norm else x)
        return x.transpose(1, 2)

    def _first(self, wavs):
        """The first layer, the largest activation of the whole network."""
        convolution, norm = self.convolutions[0], self.norms[0]
        if self.layer_norm or torch.is_grad_enabled():
            x = convolution(wavs)
            return gelu(self._normed(x, 0) if self.layer_norm else norm(x))
        # Every channel is normed by itself: compute a few at a time, so that
        # they stay in the processor's cache and no second copy is ever made.
        blocks = range(0, norm.num_channels, 64)
        out = None
        for block in (slice(start, start + 64) for start in blocks):
            bias = None if convolution.bias is None else convolution.bias[block]
            part = F.conv1d(wavs, convolution.weight[block], bias, convolution.stride)
            part = F.group_norm(
                part, part.shape[1], norm.weight[block], norm.bias[block], norm.eps
            )
            if out is None:
                shape = (len(wavs), norm.num_channels, part.shape[-1])
                out = part.new_empty(shape)
            out[:, block] = gelu(part)
        return out

    def _normed(self, x, i):
        return self.norms[i](x.transpose(1, 2)).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward over packed frames.

    Arguments
    ---------
    config : TransformerConfig
        Sizes and options.
    """

    def __init__(self, config):
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(size, size)
        self.value = nn.Linear(size, size)
        self.output = nn.Linear(size, size)
        self.attention_norm = nn.LayerNorm(size)
        self.expand = nn.Linear(size, config.ffn_size)
        self.contract = nn.Linear(config.ffn_size, size)
        self.ffn_norm = nn.LayerNorm(size)

    def forward(self, x, frames):
        """One layer.

        Arguments
        ---------
        x : torch.Tensor
            [total_frames, hidden_size].
        frames : list of int
            Frames of each utterance.

        Returns
        -------
        x : torch.Tensor
            [total_frames, hidden_size].
        ffn : torch.Tensor
            The same, of the feed-forward alone, before the residual.
        """
        if self.config.norm_first:
            x = x + self._attention(self.attention_norm(x), frames)
            ffn = self._feed_forward(self.ffn_norm(x))
            return x + ffn, ffn
        x = self.attention_norm(x + self._attention(x, frames))
        ffn = self._feed_forward(x)
        return self.ffn_norm(x + ffn), ffn

    def _attention(self, x, frames):
        q, k, v = self.query(x), self.key(x), self.value(x)
        if len(set(frames)) == 1:
            x = self._attend(*(t.unflatten(0, (len(frames), -1)) for t in (q, k, v)))
            x = x.flatten(0, 1)
        else:
            pieces = zip(*(t.split(frames) for t in (q, k, v)))
            x = torch.cat([self._attend(*(t[None] for t in p))[0] for p in pieces])
        return self._drop(self.output(x), self.config.dropout)

    def _attend(self, *qkv):
        """[batch, frames, hidden_size] each -> the same."""
        heads = [t.unflatten(-1, (self.config.num_heads, -1)) for t in qkv]
        dropout = self.config.attention_dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(
            *(t.transpose(1, 2) for t in heads), dropout_p=dropout
        )
        return x.transpose(1, 2).flatten(2)

    def _feed_forward(self, x):
        x = self._drop(gelu(self.expand(x)), self.config.activation_dropout)
        return self._drop(self.contract(x), self.config.dropout)

    def _drop(self, x, p):
        return F.dropout(x, p, self.training) if self.training and p else x


class SpeechTransformer(nn.Module):
    """The whole network.

    Arguments
    ---------
    config : TransformerConfig
        Sizes and options.

    Example
    -------
    >>> config = TransformerConfig(hidden_size=32, ffn_size=64, num_layers=2,
    ...     num_heads=4, conv_layers=[[16, 10, 5], [16, 8, 64]])
    >>> network = SpeechTransformer(config).eval()
    >>> states = network([torch.randn(4000), torch.randn(3000)], "inputs")
    >>> [list(state.shape) for state in states]
    [[22, 32], [22, 32], [22, 32]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        channels, size = config.conv_layers[-1][0], config.hidden_size
        self.front_end = ConvolutionalFrontEnd(config)
        self.front_end_norm = nn.LayerNorm(channels)
        self.projection = (
            nn.Linear(channels, size) if channels != size else nn.Identity()
        )
        self.positions = nn.Conv1d(
            size,
            size,
            config.position_kernel,
            padding=config.position_kernel // 2,
            groups=config.position_groups,
        )
        self.encoder_norm = nn.LayerNorm(size)
        self.layers = nn.ModuleList(
            EncoderLayer(config) for _ in range(config.num_layers)
        )

    def reset_parameters(self, seed=0):
        """Initial values for training from scratch, as in the papers.

        Arguments
        ---------
        seed : int
            Equal seeds give equal weights, in every process.
        """
        random = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02, generator=random)
            elif isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, generator=random)
            elif isinstance(module, (nn.LayerNorm, nn.GroupNorm)):
                nn.init.ones_(module.weight)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)
        kernel, size = self.config.position_kernel, self.config.hidden_size
        std = math.sqrt(4 / (kernel * size))
        nn.init.normal_(self.positions.weight, std=std, generator=random)

    def forward(self, wavs, selection="inputs"):
        """Hidden states, one at a time.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i], none shorter than a frame.
        selection : str
            "inputs": the input of every layer, then the encoder's output;
            "outputs": the output of every layer; "ffn": that of its
            feed-forward before the residual.

        Yields
        ------
        torch.Tensor
            [total_frames, hidden_size].
        """
        if len({len(wav) for wav in wavs}) == 1:  # one stack, no loop
            features = self._front(torch.stack(wavs))
            frames = [features.shape[1]] * len(wavs)
            x = features.flatten(0, 1)
        else:
            pieces = [self._front(wav[None])[0] for wav in wavs]
            frames = [len(piece) for piece in pieces]
            x = torch.cat(pieces)
        if not self.config.norm_first:
            x = self.encoder_norm(x)
        x = F.dropout(x, self.config.dropout, self.training)
        for i, layer in enumerate(self.layers):
            if selection == "inputs":
                yield x
            ffn = torch.zeros_like(x) if selection == "ffn" else None
            if not self._skipped():
                x, ffn = layer(x, frames)
            if selection != "inputs":
                yield x if selection == "outputs" else ffn
        if selection == "inputs":
            yield self.encoder_norm(x) if self.config.norm_first else x

    def _front(self, wavs):
        """[batch, samples] -> [batch, frames, hidden_size], with positions."""
        dtype = self.front_end.convolutions[0].weight.dtype
        if self.config.normalize_wav:
            wavs = F.layer_norm(wavs, wavs.shape[-1:])
        x = self.front_end_norm(self.front_end(wavs.to(dtype)))
        x = F.dropout(self.projection(x), self.config.input_dropout, self.training)
        positions = self.positions(x.transpose(1, 2))
        # An even kernel gives one frame too many.
        return x + gelu(positions[..., : x.shape[1]]).transpose(1, 2)

    def _skipped(self):
        p = self.config.layerdrop
        return self.training and p > 0 and torch.rand(()).item() < p
