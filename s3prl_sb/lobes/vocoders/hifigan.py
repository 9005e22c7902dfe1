"""HiFi-GAN: a network that makes a waveform of a log mel spectrogram.

The network is SpeechBrain's lobe (Kong et al., https://arxiv.org/abs/2010.05646). Its
weights are those that a user gives.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from speechbrain.lobes.models.HifiGAN import HifiganGenerator
from speechbrain.nnet.CNN import Conv1d

from s3prl_sb.lobes.checkpoints import reading
from s3prl_sb.lobes.mel import MelSettings


@dataclass
class VocoderWeights:
    """Weights and facts of a HiFi-GAN, as its files have them.

    Arguments
    ---------
    source : str
        File of the weights.
    options : dict
        Arguments of SpeechBrain's ``HifiganGenerator``.
    weights : dict
        Its parameters, without weight normalization.
    settings : MelSettings
        Spectrograms that the network was trained with.
    zero_padding : bool
        Whether convolutions pad with zeros, as ParallelWaveGAN's do; SpeechBrain's
        reflect.
    context : int
        Number of frames that are repeated at both ends, and then cut off.
    mean, scale : torch.Tensor, optional
        Statistics of the spectrograms that the network expects, [n_mels].
    """

    source: str
    options: dict[str, Any]
    weights: dict[str, torch.Tensor]
    settings: MelSettings
    zero_padding: bool = False
    context: int = 0
    mean: torch.Tensor | None = field(default=None, repr=False)
    scale: torch.Tensor | None = field(default=None, repr=False)


class HifiganVocoder(torch.nn.Module):
    """HiFi-GAN with fixed weights.

    Arguments
    ---------
    files : VocoderWeights
        Its weights.
    log_base : float
        Base of the logarithm of the spectrograms that it gets. It is converted to that
        of the network.

    Raises
    ------
    s3prl_sb.lobes.checkpoints.values.CheckpointError
        If the weights do not fit the options.
    """

    def __init__(self, files: VocoderWeights, log_base: float = 10.0):
        super().__init__()
        self.generator = HifiganGenerator(**files.options)
        self.generator.remove_weight_norm()
        if files.zero_padding:
            _pad_with_zeros(self.generator, files.options["upsample_factors"])
        reading.load_weights(self.generator, files.weights, files.source)
        settings = files.settings
        self.context, self.hop = files.context, settings.hop
        self.factor = math.log(log_base) / math.log(settings.log_base)
        self.floor = math.log(settings.floor) / math.log(settings.log_base)
        zeros, ones = torch.zeros(settings.n_mels), torch.ones(settings.n_mels)
        self.register_buffer("mean", zeros if files.mean is None else files.mean)
        self.register_buffer("scale", ones if files.scale is None else files.scale)
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def waveform(self, log_mel: torch.Tensor) -> torch.Tensor:
        """Makes a waveform.

        Arguments
        ---------
        log_mel : torch.Tensor
            [frames, n_mels].

        Returns
        -------
        torch.Tensor
            [frames * hop], within -1 and 1.
        """
        frames = len(log_mel)
        spectrogram = log_mel.to(self.mean) * self.factor
        spectrogram = (spectrogram.clamp_min(self.floor) - self.mean) / self.scale
        spectrogram = torch.nn.functional.pad(
            spectrogram.T[None], (self.context, self.context), "replicate"
        )
        start = self.context * self.hop
        return self.generator(spectrogram)[0, 0, start : start + frames * self.hop]


def _pad_with_zeros(generator, factors):
    """Changes the padding of SpeechBrain's network to that of ParallelWaveGAN."""
    for module in generator.modules():
        if isinstance(module, Conv1d):
            module.padding_mode = "constant"
    for layer, factor in zip(generator.ups, factors):
        layer.conv.padding = (factor // 2 + factor % 2,)
        layer.conv.output_padding = (factor % 2,)
