"""Strided convolutions over the waveform: the first half of wav2vec 2.0.

The output of the first is the largest tensor of the whole network, a hundred times
the waveform. Without gradients it is never held: the waveform runs through all
convolutions in pieces of a second.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

#: Number of output frames that are computed at a time on a CPU: about a second of
#: audio, so that all intermediate tensors stay in the processor's cache.
PIECE = 50


def gelu(x):
    """Computes GELU, in place without gradients."""
    return F.gelu(x) if torch.is_grad_enabled() else torch.ops.aten.gelu_(x)


def frames_of(samples, sizes):
    """Returns the number of frames that strided convolutions make of a waveform.

    Arguments
    ---------
    samples : int
        Length of the waveform in samples.
    sizes : list of (int, int)
        Kernel size and stride of each convolution.

    Returns
    -------
    int
        0 if the waveform is too short.

    Example
    -------
    >>> frames_of(16000, [(10, 5), (8, 4)]), frames_of(9, [(10, 5)])
    (798, 0)
    """
    for kernel, stride in sizes:
        samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
    return samples


def samples_of(frames, sizes):
    """Returns the number of samples that frames see, the reverse of :func:`frames_of`.

    Arguments
    ---------
    frames : int
        Number of consecutive frames.
    sizes : list of (int, int)
        Kernel size and stride of each convolution.

    Returns
    -------
    int

    Example
    -------
    >>> samples_of(1, [(10, 5), (8, 4)])
    45
    """
    for kernel, stride in reversed(sizes):
        frames = (frames - 1) * stride + kernel
    return frames


class StridedConvolutions(nn.Module):
    """Base class of front-ends of strided convolutions over waveforms.

    Arguments
    ---------
    sizes : list of (int, int)
        Kernel size and stride of each convolution.
    """

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()

    def frames(self, samples):
        """Returns the number of frames of a waveform, 0 if it is too short."""
        return frames_of(samples, self.sizes)

    @property
    def min_samples(self):
        """Number of samples that one frame sees, the length of the shortest input."""
        return samples_of(1, self.sizes)

    @property
    def stride(self):
        """Number of samples from one frame to the next."""
        return math.prod(stride for _, stride in self.sizes)


class ConvolutionalFrontEnd(StridedConvolutions):
    """Strided convolutions over waveforms.

    Arguments
    ---------
    config : TransformerConfig
        Configuration with the ``conv_`` entries.

    Example
    -------
    >>> from s3prl_sb.lobes.networks.transformer import TransformerConfig
    >>> front_end = ConvolutionalFrontEnd(TransformerConfig())
    >>> front_end([torch.randn(16000)])[0].shape, front_end.frames(16000)
    (torch.Size([49, 512]), 49)
    """

    def __init__(self, config):
        super().__init__([layer[1:] for layer in config.conv_layers])
        self.layer_norm = config.conv_norm == "layer"
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

    def forward(self, wavs):
        """Returns the frames of waveforms of any lengths.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i], none shorter than a frame.

        Returns
        -------
        list of torch.Tensor
            [frames_i, channels].
        """
        wavs = [wav.to(self.convolutions[0].weight.dtype) for wav in wavs]
        trained = any(p.requires_grad for p in self.parameters())
        graph = trained or any(wav.requires_grad for wav in wavs)
        with torch.set_grad_enabled(torch.is_grad_enabled() and graph):
            if wavs[0].is_cuda:
                return self.packed(wavs)
            if torch.is_grad_enabled():
                return [self.whole(wav) for wav in wavs]
            return [self.streamed(wav) for wav in wavs]

    def whole(self, wav):
        """[samples] -> [frames, channels], layer by layer."""
        x = wav[None, None]
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if self.layer_norm:
                x = self._layer_normed(x, i)
            elif i == 0:
                x = self.norms[0](x)
            x = gelu(x)
        return x[0].T

    def streamed(self, wav):
        """Computes :meth:`whole` piece by piece, without gradients. Only the result
        grows with the audio."""
        total, step, field = self.frames(len(wav)), self.stride, self.min_samples
        weight, bias = self._first_folded(wav)
        out = wav.new_empty(total, self.convolutions[-1].out_channels)
        for start in range(0, total, PIECE):
            end = min(start + PIECE, total)
            x = wav[None, None, start * step : (end - 1) * step + field]
            for i, convolution in enumerate(self.convolutions):
                if i == 0:
                    x = F.conv1d(x, weight, bias, convolution.stride)
                else:
                    x = convolution(x)
                x = gelu(self._layer_normed(x, i) if self.layer_norm else x)
            out[start:end] = x[0].T
        return out

    def _first_folded(self, wav):
        """Returns weight and bias of the first convolution, its group norm included.

        Each channel is normalized by its mean and variance over the whole
        utterance. Both follow from the mean m and the covariance C of the samples
        under the kernel, without the channels' values: w m + b and w C w.
        """
        convolution = self.convolutions[0]
        weight, bias = convolution.weight, convolution.bias
        if self.layer_norm:
            return weight, bias
        kernel, stride = self.sizes[0]
        seen = wav.double().unfold(0, kernel, stride)
        mean = seen.mean(0)
        covariance = sum(
            (part - mean).T @ (part - mean) for part in seen.split(1 << 16)
        ) / len(seen)
        rows, norm = weight[:, 0].double(), self.norms[0]
        variance = ((rows @ covariance) * rows).sum(1)
        scale = norm.weight.double() / (variance + norm.eps).sqrt()
        shift = norm.bias.double() - scale * (rows @ mean)  # the norm cancels its bias
        return (weight * scale[:, None, None]).to(wav.dtype), shift.to(wav.dtype)

    def _layer_normed(self, x, i):
        return self.norms[i](x.transpose(1, 2)).transpose(1, 2)

    def packed(self, wavs):
        """Computes :meth:`whole` for all waveforms at once, for GPUs.

        The waveforms are concatenated, each starting at a multiple of the total
        stride, so that in every layer an utterance begins on a frame. Frames
        that see two utterances are between them and are left out.
        """
        starts, line = [], []
        for wav in wavs:
            starts.append(sum(map(len, line)))
            line += [wav, wav.new_zeros(-len(wav) % self.stride)]
        # Padding after the last one, so that it keeps all its frames.
        line.append(wavs[0].new_zeros(self.min_samples))
        x = torch.cat(line)[None, None]
        lengths, scale = [len(wav) for wav in wavs], 1
        for i, (kernel, stride) in enumerate(self.sizes):
            x = self.convolutions[i](x)
            scale *= stride
            lengths = [(n - kernel) // stride + 1 for n in lengths]
            if self.layer_norm:
                x = self._layer_normed(x, i)
            elif i == 0:
                firsts = [start // scale for start in starts]
                x = self._group_normed(x, firsts, lengths)
            x = gelu(x)
        x = x[0].transpose(0, 1)
        return [x[s // scale :][:n] for s, n in zip(starts, lengths)]

    def _group_normed(self, x, firsts, lengths):
        """Applies group norm to each utterance separately."""
        parts = []
        for first, count, end in zip(firsts, lengths, [*firsts[1:], x.shape[-1]]):
            parts.append(self.norms[0](x[..., first : first + count]))
            parts.append(x[..., first + count : end])
        return torch.cat(parts, dim=-1)
