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

from s3prl_sb.lobes.upstreams.front_end import ConvolutionalFrontEnd, gelu

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
    normalize_eps : float
        Added to that variance: fairseq's 1e-5, Hugging Face's 1e-7.
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
    normalize_eps: float = 1e-5
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
        elif x.is_cuda:
            x = self._attend_padded(q, k, v, frames)
        else:
            pieces = zip(*(t.split(frames) for t in (q, k, v)))
            x = torch.cat([self._attend(*(t[None] for t in p))[0] for p in pieces])
        return self._drop(self.output(x), self.config.dropout)

    def _attend_padded(self, q, k, v, frames):
        """[total_frames, hidden_size] each -> the same, in one kernel: for
        devices that padding costs less than many small kernels."""
        padded = [
            torch.nn.utils.rnn.pad_sequence(t.split(frames), batch_first=True)
            for t in (q, k, v)
        ]
        counts = torch.tensor(frames, device=q.device)
        true = torch.arange(max(frames), device=q.device) < counts[:, None]
        return self._attend(*padded, mask=true[:, None, None])[true]

    def _attend(self, *qkv, mask=None):
        """[batch, frames, hidden_size] each -> the same."""
        heads = [t.unflatten(-1, (self.config.num_heads, -1)) for t in qkv]
        dropout = self.config.attention_dropout if self.training else 0.0
        x = F.scaled_dot_product_attention(
            *(t.transpose(1, 2) for t in heads), attn_mask=mask, dropout_p=dropout
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
    [[23, 32], [23, 32], [23, 32]]
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
        x, frames = self._front(wavs)
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
        """List of [samples_i] -> packed input of the layers, frames of each."""
        if self.config.normalize_wav:
            wavs = [
                F.layer_norm(wav, wav.shape, eps=self.config.normalize_eps)
                for wav in wavs
            ]
        wavs = [wav.to(self.front_end_norm.weight.dtype) for wav in wavs]
        if len({len(wav) for wav in wavs}) == 1:
            features = list(self.front_end(torch.stack(wavs)))
        elif wavs[0].is_cuda:
            features = self.front_end.packed(wavs)
        else:  # one after the other stays in the processor's cache
            features = [self.front_end(wav[None])[0] for wav in wavs]
        frames = [len(piece) for piece in features]
        features = torch.cat(features)  # and lets go of the pieces
        x = self.projection(self.front_end_norm(features))
        x = F.dropout(x, self.config.input_dropout, self.training)
        return x + self._positions(x, frames), frames

    def _positions(self, x, frames):
        """Convolutional positions of packed frames.

        Utterances are laid out with as many zeros between them as the kernel
        reaches, which are the zeros that each would be padded with alone.
        """
        gap = self.config.position_kernel // 2
        zeros = x.new_zeros(gap, x.shape[1])
        line = [part for piece in x.split(frames) for part in (piece, zeros)]
        line = torch.cat(line[:-1]).T[None]
        # An even kernel gives one frame too many.
        line = gelu(self.positions(line)[0, :, : line.shape[-1]]).T
        return torch.cat(
            [
                line[start : start + count]
                for start, count in zip(_starts(frames, gap), frames)
            ]
        )

    def _skipped(self):
        p = self.config.layerdrop
        return self.training and p > 0 and torch.rand(()).item() < p


def _starts(frames, gap):
    """Where utterances begin that follow each other at a distance."""
    starts = [0]
    for count in frames[:-1]:
        starts.append(starts[-1] + count + gap)
    return starts
