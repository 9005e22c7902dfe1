"""Encoders of neural codecs: from a waveform to continuous latents.

Their layers are those of the library transformers. Convolutions over the waveform run
in pieces with the context that they see, so that memory does not grow with the audio;
the result is that of the whole waveform.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib
import math

import torch
import torch.nn.functional as F
from torch import nn

#: Seconds of audio in a piece of the convolutions.
PIECE = 10
#: Number of frames in a piece of Mimi's Transformer.
FRAMES = 2000
#: Samples around its own that an activation of X-Codec 2 sees through its two filters.
ANTI_ALIASING = 16


def classes_of(kind):
    """Returns the module of transformers with the layers of a model type."""
    return importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")


def pieces(total, size, before, after):
    """Cuts frames into pieces with context.

    Arguments
    ---------
    total : int
        Number of frames.
    size : int
        Number of frames of a piece.
    before, after : int
        Number of frames of context.

    Returns
    -------
    list of (int, int, int, int)
        First frame and end of each piece, alone and with its context.

    Example
    -------
    >>> pieces(10, 4, before=2, after=1)
    [(0, 4, 0, 5), (4, 8, 2, 9), (8, 10, 6, 10)]
    >>> pieces(5, 4, before=2, after=1)  # the first piece sees all of it
    [(0, 5, 0, 5)]
    """
    if total <= size + after:
        return [(0, total, 0, total)]
    firsts = range(0, total, size)
    ends = [min(first + size, total) for first in firsts]
    return [
        (first, end, max(0, first - before), min(total, end + after))
        for first, end in zip(firsts, ends)
    ]


class Strided(nn.Module):
    """Base class of encoders that begin with strided convolutions over the waveform.

    Each maps a waveform [samples] to a list of hidden states [frames, size]. The last
    one are the latents, which are quantized.

    Arguments
    ---------
    rate : int
        Sample rate, Hz.
    ratios : iterable of int
        Strides of the convolutions, from first to last.
    """

    ceil = True  #: whether a frame that is not full counts
    sizes: list[int]  #: size of each hidden state

    def __init__(self, rate, ratios):
        super().__init__()
        self.semantic = None  # network of other authors, which is never trained
        self.ratios = list(ratios)
        self.hop = math.prod(self.ratios)
        self.piece = math.ceil(PIECE * rate / self.hop)

    def convolved(self, samples):
        """Returns the number of frames of the convolutions."""
        if self.ceil:
            return math.ceil(samples / self.hop)
        for ratio in self.ratios:  # kernels of 2 ratio, padded by ceil(ratio / 2)
            samples = (samples + 2 * math.ceil(ratio / 2)) // ratio - 1
        return max(0, samples)

    @property
    def stride(self):
        """Samples from one frame of the latents to the next."""
        return self.hop

    def frames(self, samples):
        """Returns the number of frames of the latents, 0 if audio is too short."""
        return self.convolved(samples)

    def renew(self):
        """Computes values that no checkpoint has, if there are any."""

    def run(self, layers, wav):
        """Applies convolutions to a waveform, piece by piece.

        Arguments
        ---------
        layers : torch.nn.Module
            [1, 1, samples] -> [1, channels, frames].
        wav : torch.Tensor
            [samples].

        Returns
        -------
        torch.Tensor
            [1, channels, frames].
        """
        total, reach = self.convolved(len(wav)), self._reach(layers)
        parts = []
        for first, end, start, stop in pieces(total, self.piece, reach, reach):
            last = len(wav) if stop == total else stop * self.hop
            part = layers(wav[None, None, start * self.hop : last])
            parts.append(part[..., first - start : end - start])
        return torch.cat(parts, -1)

    def _reach(self, layers):
        """Returns the number of frames that the convolutions see to either side."""
        samples, scale = 0, 1
        for module in layers.modules():
            if type(module).__name__.endswith("AntiAliasedActivation1d"):
                samples += scale * ANTI_ALIASING
            elif isinstance(module, nn.Conv1d):
                samples += scale * module.dilation[0] * (module.kernel_size[0] - 1)
                scale *= module.stride[0]
        return math.ceil(samples / self.hop) + 1


def without_parametrizations(network):
    """Replaces weight norm, which prevents pickling, and sizes of kernels in tensors.

    Sizes are tensors on the CPU, where they cost no synchronization, and attributes, as
    buffers have no values on the "meta" device.
    """
    for module in network.modules():
        if nn.utils.parametrize.is_parametrized(module, "weight"):
            nn.utils.parametrize.remove_parametrizations(module, "weight")
            module._load_state_dict_pre_hooks.clear()
    for module in network.modules():
        if hasattr(module, "_get_extra_padding_for_conv1d"):
            (stride,), (kernel,) = module.conv.stride, module.conv.kernel_size
            kernel = (kernel - 1) * module.conv.dilation[0] + 1
            sizes = {"stride": stride, "kernel_size": kernel}
            for name, size in {**sizes, "padding_total": kernel - stride}.items():
                module._buffers.pop(name, None)
                setattr(module, name, torch.tensor(size, device="cpu"))
            right = (kernel - stride) // 2  # of convolutions that are not causal
            module.padding_left, module.padding_right = kernel - stride - right, right


class EncodecEncoder(Strided):
    """Encoder of EnCodec: convolutions, and an LSTM over their frames.

    Arguments
    ---------
    config : transformers.EncodecConfig
        Configuration.
    """

    def __init__(self, config):
        super().__init__(config.sampling_rate, reversed(config.upsampling_ratios))
        self.normalize, self.sizes = config.normalize, [config.hidden_size]
        self.layers = classes_of("encodec").EncodecEncoder(config).layers
        without_parametrizations(self)

    def forward(self, wav):
        """[samples] -> [latents], each [frames, size]."""
        if self.normalize:
            wav = wav / (wav.pow(2).mean().sqrt() + 1e-8)
        names = [type(layer).__name__ for layer in self.layers]
        recurrent = names.index("EncodecLSTM")
        x = self.run(nn.Sequential(*self.layers[:recurrent]), wav)
        for layer in self.layers[recurrent:]:
            x = layer(x)
        return [x[0].T]


class DacEncoder(Strided):
    """Encoder of DAC: convolutions.

    Arguments
    ---------
    config : transformers.DacConfig
        Configuration.
    """

    ceil = False

    def __init__(self, config):
        super().__init__(config.sampling_rate, config.downsampling_ratios)
        self.sizes = [config.hidden_size]
        self.acoustic = classes_of("dac").DacEncoder(config)

    def forward(self, wav):
        """[samples] -> [latents], each [frames, size]."""
        return [self.run(self.acoustic, wav)[0].T]


class MimiEncoder(Strided):
    """Encoder of Mimi: convolutions, a causal Transformer, and half the frames.

    Its hidden states are the inputs and outputs of the Transformer's layers, as means
    of the two frames that a frame of the latents stands for, and the latents.

    Arguments
    ---------
    config : transformers.MimiConfig
        Configuration.
    """

    def __init__(self, config):
        super().__init__(config.sampling_rate, reversed(config.upsampling_ratios))
        config._attn_implementation = "sdpa"
        classes, size = classes_of("mimi"), config.hidden_size
        self.halving = round(config.encodec_frame_rate / config.frame_rate)
        self.sizes = [size] * (config.num_hidden_layers + 2)
        self.context = config.num_hidden_layers * (config.sliding_window - 1)
        self.layers = classes.MimiEncoder(config).layers
        self.transformer = classes.MimiTransformerModel(config)
        options = {"kernel_size": 2 * self.halving, "stride": self.halving}
        self.downsample = classes.MimiConv1d(
            config, size, size, bias=False, pad_mode="replicate", **options
        )
        without_parametrizations(self)

    @property
    def stride(self):
        """Samples from one frame of the latents to the next."""
        return self.hop * self.halving

    def frames(self, samples):
        """Returns the number of frames of the latents."""
        return math.ceil(self.convolved(samples) / self.halving)

    def forward(self, wav):
        """[samples] -> hidden states, each [frames, size]."""
        x = self.run(nn.Sequential(*self.layers), wav).mT
        parts = []
        for first, end, start, stop in pieces(x.shape[1], FRAMES, self.context, 0):
            states = self._transformed(x[:, start:stop])
            parts.append([state[:, first - start : end - start] for state in states])
        states = [torch.cat(state, 1) for state in zip(*parts)]
        latents = self.downsample(states[-1].mT)
        options = {"ceil_mode": True, "count_include_pad": False}
        halved = [F.avg_pool1d(x.mT, self.halving, **options) for x in states]
        return [state[0].T for state in (*halved, latents)]

    def _transformed(self, x):
        """Returns the input and the outputs of all layers."""
        states = [x]

        def keep(module, args, output):
            states.append(output[0] if isinstance(output, tuple) else output)

        hooks = [m.register_forward_hook(keep) for m in self.transformer.layers]
        try:
            self.transformer(x, use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return states

    def renew(self):
        """Computes the frequencies of the positions, which no checkpoint has."""
        device = self.downsample.conv.weight.device
        for module in self.transformer.modules():
            if hasattr(module, "rotary_emb"):
                rotary = type(module.rotary_emb)(self.transformer.config)
                module.rotary_emb = rotary.to(device)
