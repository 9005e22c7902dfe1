"""CNN14, the convolutional network of PANNs over a log mel spectrogram.

Paper: Kong et al., "PANNs: Large-Scale Pretrained Audio Neural Networks for Audio
Pattern Recognition", TASLP 2020, https://arxiv.org/abs/1912.10211.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm2d
from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.lobes.networks.mel_spectrogram import MelSpectrogram

MELS, LOWEST = 64, 50.0  # mel bands, Hz
#: Sample rates in Hz that there are networks for, and the highest frequency of each.
HIGHEST = {32000: 14000.0, 16000: 8000.0, 8000: 4000.0}
#: Frames of the spectrogram in a frame of the last block.
POOLED = 32
#: Frames of the last block on each side that one of them depends on: twelve
#: convolutions of three frames, two at each of six rates, reach 2 (1 + 2 + … + 32) =
#: 126 frames of the spectrogram.
REACH = 4
#: Frames of the last block that are computed together, 20 s.
TOGETHER = 64


@dataclasses.dataclass
class Cnn14Config:
    """Sizes of CNN14; defaults: those published.

    Arguments
    ---------
    sample_rate : int
        32000, 16000 or 8000 Hz.
    channels : list of int
        Channels of the six blocks.
    dropout, embedding_dropout : float
        Dropout after each block, and around the linear map of the embedding.
    """

    sample_rate: int = 32000
    channels: list = dataclasses.field(
        default_factory=lambda: [64, 128, 256, 512, 1024, 2048]
    )
    dropout: float = 0.2
    embedding_dropout: float = 0.5

    def __post_init__(self):
        if self.sample_rate not in HIGHEST:
            rates = ", ".join(map(str, HIGHEST))
            raise ValueError(f"sample_rate {self.sample_rate}: CNN14 is for {rates} Hz")
        if len(self.channels) != 6:
            raise ValueError("channels must be 6 numbers")

    @property
    def front_end(self) -> MelSpectrogram:
        """Front end: frames of 32 ms, every 10 ms."""
        return MelSpectrogram(
            sample_rate=self.sample_rate,
            n_fft=self.sample_rate * 32 // 1000,
            hop=self.sample_rate // 100,
            n_mels=MELS,
            fmin=LOWEST,
            fmax=HIGHEST[self.sample_rate],
            scale="slaney",
            norm="slaney",
        )


class ConvBlock(nn.Module):
    """Two convolutions with batch norm.

    Arguments
    ---------
    inputs, outputs : int
        Channels.
    """

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1 = FixedBatchNorm2d(outputs)
        self.bn2 = FixedBatchNorm2d(outputs)

    def forward(self, x):
        """[batch, inputs, frames, bands] -> [batch, outputs, frames, bands]"""
        x = self.bn1(self.conv1(x)).relu()
        return self.bn2(self.conv2(x)).relu()


class Cnn14(nn.Module):
    """CNN14 from waveforms to frames, and the linear map of its embedding.

    Arguments
    ---------
    config : Cnn14Config

    Example
    -------
    >>> network = Cnn14(Cnn14Config(channels=[4] * 6))
    >>> network.reset_parameters()
    >>> frames = network(torch.randn(2, 32000))
    >>> frames.shape, network.of_clips(frames).shape
    (torch.Size([2, 3, 4]), torch.Size([2, 1, 4]))
    """

    def __init__(self, config):
        super().__init__()
        self.config, self.mel_spectrogram = config, config.front_end
        channels = config.channels
        # A part of every checkpoint: the matrix of the training.
        self.register_buffer("mel", torch.empty(config.front_end.n_fft // 2 + 1, MELS))
        self.bn0 = FixedBatchNorm2d(MELS)
        self.blocks = nn.ModuleList(map(ConvBlock, [1, *channels], channels))
        self.fc1 = nn.Linear(channels[-1], channels[-1])

    def reset_parameters(self, seed=0):
        """Sets random weights, and the mel matrix of the training."""
        initialize(self, seed)
        self.mel.copy_(self.mel_spectrogram.filters())

    @property
    def stride(self):
        """Samples from one frame to the next: 320 ms."""
        return POOLED * self.mel_spectrogram.hop

    @property
    def min_samples(self):
        """Samples of one frame."""
        return (POOLED - 1) * self.mel_spectrogram.hop

    def frames(self, samples):
        """Returns the number of frames."""
        return self.mel_spectrogram.frames(samples) // POOLED

    def forward(self, wavs):
        """Computes the frames of the last block.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples] at the sample rate of the configuration.

        Returns
        -------
        torch.Tensor
            [batch, frames, channels], the mean over bands.
        """
        x = self.log_mel(wavs).to(self.fc1.weight.dtype)
        frames, parts = x.shape[1] // POOLED, []
        # Pieces with all that they depend on, so that hours take little memory.
        for start in range(0, frames, TOGETHER):
            end = min(start + TOGETHER, frames)
            first, last = max(start - REACH, 0), end + REACH
            whole = last >= frames  # the frames that the pooling leaves out count too
            part = x[:, first * POOLED : None if whole else last * POOLED]
            parts.append(self._blocks(part)[:, start - first : end - first])
        return torch.cat(parts, dim=1)

    def log_mel(self, wavs):
        """[batch, samples] -> [batch, frames, mels] in decibels, fp32."""
        return torch.stack(self.mel_spectrogram(list(wavs), self.mel)).mT

    def _blocks(self, x):
        """[batch, frames, mels] -> [batch, frames // 32, channels]"""
        x = self.bn0(x.mT[..., None]).permute(0, 3, 2, 1)
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i < 5:
                x = F.avg_pool2d(x, 2)
            x = F.dropout(x, self.config.dropout, self.training)
        return x.mean(3).mT

    def of_clips(self, frames):
        """Computes the embeddings of CNN14: one for each clip.

        Arguments
        ---------
        frames : torch.Tensor
            [batch, frames, channels], of :meth:`forward`.

        Returns
        -------
        torch.Tensor
            [batch, 1, channels].
        """
        return self._embed(frames.amax(1, keepdim=True) + frames.mean(1, keepdim=True))

    def of_frames(self, frames):
        """Computes the embeddings of CNN14_DecisionLevelMax: one for each frame.

        Arguments
        ---------
        frames : torch.Tensor
            [batch, frames, channels], of :meth:`forward`.

        Returns
        -------
        torch.Tensor
            [batch, frames, channels], over a frame and its two neighbours. Zeros
            around the clip count in the mean, as in training.
        """
        x = frames.mT
        x = F.max_pool1d(x, 3, 1, 1) + F.avg_pool1d(x, 3, 1, 1)
        return self._embed(x.mT)

    def _embed(self, x):
        rate = self.config.embedding_dropout
        x = self.fc1(F.dropout(x, rate, self.training)).relu()
        return F.dropout(x, rate, self.training)
