"""Network of MR-HuBERT: encoders at several resolutions.

Paper: Shi et al., "Multi-resolution HuBERT: Multi-resolution Speech
Self-Supervised Learning with Masked Unit Prediction", ICLR 2024,
https://arxiv.org/abs/2310.02720.

The encoders run from the finest resolution down to the coarsest in the middle and up
again, as in a U-net. They work on packed frames (``packing.py``).

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import math

import torch
from torch import nn

from s3prl_sb.lobes.networks.encoder import Encoder
from s3prl_sb.lobes.networks.front_end import gelu
from s3prl_sb.lobes.networks.transformer import SpeechTransformer, TransformerConfig

SCALE = math.sqrt(0.4)  # factor of each sum of a convolution and its shortcut


@dataclasses.dataclass
class MultiresConfig(TransformerConfig):
    """Sizes and options of a :class:`MultiresTransformer`; defaults: base.

    The other entries are those of
    :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`.

    Arguments
    ---------
    num_layers : list of int
        Number of layers of each encoder, in the order they run; an odd number of
        encoders.
    ratios : list of [int, int]
        Ratio of each resolution to the next coarser one: [1, 2] halves the frame
        rate, [2, 3] turns three frames into two.
    resampling_kernel : int
        Kernel size of the convolutions between the encoders, odd.
    plain_resampling : bool
        Use one convolution between two encoders instead of two (one to more
        frames, one to fewer); ratios are then [1, n].
    """

    num_layers: list = dataclasses.field(default_factory=lambda: [4, 4, 4])
    ratios: list = dataclasses.field(default_factory=lambda: [[1, 2]])
    resampling_kernel: int = 1
    plain_resampling: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.layer != "transformer":
            raise ValueError(f"layer must be transformer, not '{self.layer}'")
        if len(self.num_layers) != 2 * len(self.ratios) + 1:
            raise ValueError(
                f"{len(self.ratios)} ratios are of {2 * len(self.ratios) + 1} "
                f"encoders; num_layers is {self.num_layers}"
            )
        if self.resampling_kernel % 2 == 0:
            raise ValueError(
                f"resampling_kernel must be odd, not {self.resampling_kernel}"
            )
        if self.plain_resampling and any(up != 1 for up, _ in self.ratios):
            raise ValueError(
                f"plain_resampling is for ratios [1, n], not {self.ratios}"
            )

    def of_encoder(self, i):
        """Returns the :class:`TransformerConfig` of the i-th encoder."""
        names = [field.name for field in dataclasses.fields(TransformerConfig)]
        entries = {name: getattr(self, name) for name in names}
        return TransformerConfig(**{**entries, "num_layers": self.num_layers[i]})


class ResamplingConvolution(nn.Module):
    """Convolution to fewer or more frames, norm over time and channels, and GELU.

    Arguments
    ---------
    convolution : torch.nn.Module
        Strided or transposed convolution without a bias.
    """

    def __init__(self, convolution):
        super().__init__()
        self.convolution = convolution
        self.norm = nn.GroupNorm(1, convolution.out_channels)

    def forward(self, x):
        """[1, size, time] -> [1, size, other time]."""
        return gelu(self.norm(self.convolution(x)))


class Resampler(nn.Module):
    """Change of the frame rate: first to more frames, then to fewer.

    Arguments
    ---------
    size : int
        Size of the frames.
    kernel : int
        Kernel size of the convolutions, odd.
    up, down : int, optional
        Factors of upsampling and downsampling. None: no such convolution.

    Example
    -------
    >>> resampler = Resampler(8, 7, up=2, down=3)
    >>> x, frames = resampler(torch.randn(13, 8), [10, 3])
    >>> list(x.shape), frames, resampler.frames(10)
    ([9, 8], [7, 2], 7)
    """

    def __init__(self, size, kernel, up=None, down=None):
        super().__init__()
        self.rates = (up, down)
        self.up = self.down = None
        sizes = (size, size, kernel)
        if up is not None:
            convolution = nn.ConvTranspose1d(
                *sizes, up, output_padding=up - 1, bias=False
            )
            self.up = ResamplingConvolution(convolution)
        if down is not None:
            convolution = nn.Conv1d(*sizes, down, padding=kernel // 2, bias=False)
            self.down = ResamplingConvolution(convolution)

    def frames(self, count):
        """Returns the number of frames that ``count`` frames become."""
        up, down = self.rates
        return -(-count * (up or 1) // (down or 1))

    def forward(self, x, frames):
        """Resamples each utterance separately.

        Arguments
        ---------
        x : torch.Tensor
            [total_frames, size].
        frames : list of int
            Number of frames of each utterance.

        Returns
        -------
        x : torch.Tensor
            [new_total_frames, size].
        frames : list of int
            New number of frames of each utterance.
        """
        # One by one: the norm is over the whole utterance.
        pieces = [self._resampled(piece.T[None])[0].T for piece in x.split(frames)]
        return torch.cat(pieces), [len(piece) for piece in pieces]

    def _resampled(self, x):
        (up, down), whole = self.rates, None
        if self.up is not None:
            whole = x.repeat_interleave(up, 2)
            # The frames that the kernel adds at the end count in the norm only.
            x = (self.up(x)[..., : whole.shape[2]] + whole) * SCALE
        if self.down is not None:
            x = (self.down(x) + x[..., ::down]) * SCALE
            if whole is not None:
                x = (x + whole[..., ::down]) * SCALE
        return x


class MultiresTransformer(SpeechTransformer):
    """Network of MR-HuBERT, from the waveform.

    Arguments
    ---------
    config : MultiresConfig
        Sizes and options.

    Example
    -------
    >>> config = MultiresConfig(hidden_size=32, ffn_size=64, num_layers=[1, 2, 1],
    ...     num_heads=4, conv_layers=[[16, 10, 5], [16, 8, 64]])
    >>> network = MultiresTransformer(config).eval()
    >>> states = network([torch.randn(4000), torch.randn(3000)])
    >>> [list(state.shape) for state in states]
    [[23, 32], [23, 32], [23, 32], [23, 32], [23, 32], [23, 32], [23, 32]]
    """

    def __init__(self, config):
        super().__init__(config.of_encoder(0))
        size, kernel = config.hidden_size, config.resampling_kernel
        self.later_encoders = nn.ModuleList(
            Encoder(config.of_encoder(i)) for i in range(1, len(config.num_layers))
        )
        for encoder in self.later_encoders:
            encoder.positions = None  # their input has positions already
        self.downsamplers, self.upsamplers = nn.ModuleList(), nn.ModuleList()
        for up, down in config.ratios:
            one = None if config.plain_resampling else up
            self.downsamplers.append(Resampler(size, kernel, one, down))
            self.upsamplers.append(Resampler(size, kernel, down, one))
        self.repeats = _repeats(self.front_end.stride, config.ratios)

    def frames(self, count):
        """Returns the number of frames of the hidden states.

        Arguments
        ---------
        count : int
            Number of frames of the front-end.

        Returns
        -------
        int
        """
        descent = [count]
        for resampler in self.downsamplers:
            descent.append(resampler.frames(descent[-1]))
        counts, count = list(descent), descent.pop()
        for resampler in self.upsamplers:
            counts.append(resampler.frames(count))
            count = min(counts[-1], descent.pop())
        return min(n * repeat for n, repeat in zip(counts, self.repeats))

    def forward(self, wavs):
        """Yields the hidden states.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i], none shorter than a frame.

        Yields
        ------
        torch.Tensor
            The input of every layer and the output of each encoder, all at one
            frame rate, [total_frames, hidden_size].
        """
        x, frames = self.front(wavs)
        counts = [self.frames(n) for n in frames]
        descent, middle = [], len(self.downsamplers)
        for i, encoder in enumerate([self.encoder, *self.later_encoders]):
            rows = _rows(frames, counts, self.repeats[i], x.device)
            for state in encoder(x, frames):
                yield state if rows is None else state[rows]
            if i < middle:
                descent.append((state, frames))
                x, frames = self.downsamplers[i](state, frames)
            elif i < 2 * middle:
                if i == middle:
                    x = x + state
                else:
                    x, frames = _sum(state, frames, *descent.pop())
                x, frames = self.upsamplers[i - middle](x, frames)


def _repeats(stride, ratios):
    """Returns the number of repetitions of each encoder's frames."""
    strides = [stride]
    for up, down in ratios:
        strides.append(strides[-1] * down // up)
    common = math.lcm(*strides)
    descent = [common // stride for stride in strides][::-1]
    return descent + descent[-2::-1]


def _rows(frames, counts, repeat, device):
    """Returns the packed frames to repeat for ``counts``; None: no change."""
    if repeat == 1 and frames == counts:
        return None
    rows, start = [], 0
    for n, count in zip(frames, counts):
        rows.append(start + torch.arange(count, device=device) // repeat)
        start += n
    return torch.cat(rows)


def _sum(x, frames, other, other_frames):
    """Adds packed frames; each utterance gets the length of the shorter one."""
    if frames == other_frames:
        return x + other, frames
    pairs = list(zip(x.split(frames), other.split(other_frames)))
    sums = [a[: len(b)] + b[: len(a)] for a, b in pairs]
    return torch.cat(sums), [len(piece) for piece in sums]
