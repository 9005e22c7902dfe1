"""Strided convolutions over the waveform: the first half of wav2vec 2.0.

Most of the memory of such a network is the output of its first convolution.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn


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
    >>> from s3prl_sb.lobes.upstreams.transformer import TransformerConfig
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
        if self.layer_norm or torch.is_grad_enabled() or wavs.is_cuda:
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

    def packed(self, wavs):
        """Waveforms of unequal lengths in one go, for devices that need much
        work at once.

        The waveforms are laid end to end, each on a multiple of the total
        stride, so that in every layer an utterance begins on a frame. Frames
        that see two utterances lie between them and are left out.

        Arguments
        ---------
        wavs : list of torch.Tensor
            [samples_i].

        Returns
        -------
        list of torch.Tensor
            [frames_i, channels], as :meth:`forward` gives each alone.
        """
        total = 1
        for _, stride in self.sizes:
            total *= stride
        starts, line = [], []
        for wav in wavs:
            starts.append(sum(map(len, line)))
            line += [wav, wav.new_zeros(-len(wav) % total)]
        # The last one's neighbour, which keeps the count of frames whole.
        line.append(wavs[0].new_zeros(self.receptive_field))
        x = torch.cat(line)[None, None]
        lengths, scale = [len(wav) for wav in wavs], 1
        for i, (kernel, stride) in enumerate(self.sizes):
            x = self.convolutions[i](x)
            scale *= stride
            lengths = [(n - kernel) // stride + 1 for n in lengths]
            if self.layer_norm:
                x = self._normed(x, i)
            elif i == 0:
                firsts = [start // scale for start in starts]
                x = self._group_normed(x, firsts, lengths)
            x = gelu(x)
        x = x[0].transpose(0, 1)
        return [x[s // scale :][:n] for s, n in zip(starts, lengths)]

    def _group_normed(self, x, firsts, lengths):
        """Group norm of each utterance by its own statistics."""
        parts = []
        for first, count, end in zip(firsts, lengths, [*firsts[1:], x.shape[-1]]):
            parts.append(self.norms[0](x[..., first : first + count]))
            parts.append(x[..., first + count : end])
        return torch.cat(parts, dim=-1)
