"""A vocoder that is a network with the weights of a user.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from s3prl_sb.lobes.checkpoints.building import build
from s3prl_sb.lobes.mel import MelSettings


@dataclass
class VocoderFiles:
    """Network, weights and facts of a vocoder, as its files have them.

    Arguments
    ---------
    source : str
        File of the weights.
    make : callable
        Returns the network for them, from [1, n_mels, frames] to [1, 1, samples]. It
        runs on the "meta" device, so that a configuration alone takes no memory.
    weights : dict
        Its parameters.
    settings : MelSettings
        Spectrograms that the network was trained with.
    context : int
        Number of frames that are repeated at both ends, and then cut off.
    mean, scale : torch.Tensor, optional
        Statistics by which the network's input is normalized, [n_mels].
    """

    source: str
    make: Callable[[], torch.nn.Module] = field(repr=False)
    weights: dict[str, torch.Tensor] = field(repr=False)
    settings: MelSettings
    context: int = 0
    mean: torch.Tensor | None = field(default=None, repr=False)
    scale: torch.Tensor | None = field(default=None, repr=False)


class NeuralVocoder(torch.nn.Module):
    """Network with fixed weights.

    Arguments
    ---------
    files : VocoderFiles
        Network and weights.
    log_base : float
        Base of the logarithm of the spectrograms that it gets. It is converted to that
        of the network.

    Raises
    ------
    s3prl_sb.lobes.checkpoints.values.CheckpointError
        If the weights do not fit the network.
    """

    band: float | None = None  #: it makes all frequencies
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, files: VocoderFiles, log_base: float = 10.0):
        super().__init__()
        self.generator = build(files.make, files.weights, files.source)
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
            [frames * hop].
        """
        frames = len(log_mel)
        spectrogram = log_mel.to(self.mean) * self.factor
        spectrogram = (spectrogram.clamp_min(self.floor) - self.mean) / self.scale
        spectrogram = torch.nn.functional.pad(
            spectrogram.T[None], (self.context, self.context), "replicate"
        )
        start = self.context * self.hop
        return self.generator(spectrogram)[0, 0, start : start + frames * self.hop]
