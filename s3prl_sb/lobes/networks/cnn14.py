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
#: Frames of the last block that are computed together, by device; 64 are 20 s.
TOGETHER = {"cpu": 64, "cuda": 1024}


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

    def forward(self, x, gaps):
        """[1, inputs, frames, bands], [frames, 1] -> [1, outputs, frames, bands]"""
        x = self.bn1(self.conv1(x)).relu()
        return self.bn2(self.conv2(x.masked_fill(gaps, 0))).relu()


class Cnn14(nn.Module):
    """CNN14 from waveforms to frames, and the linear map of its embedding.

    Utterances of any lengths run one after the other as one long image: most of the
    weights are in the last blocks, and to read them for each utterance alone would take
    as long as to compute with them. Between two utterances is a gap of one frame of the
    last block, which is set to the zeros that a convolution sees at the edges.

    Arguments
    ---------
    config : Cnn14Config

    Example
    -------
    >>> network = Cnn14(Cnn14Config(channels=[4] * 6))
    >>> network.reset_parameters()
    >>> frames = network([torch.randn(32000), torch.randn(64000)])
    >>> [list(x.shape) for x in frames], network.of_clips(frames).shape
    ([[3, 4], [6, 4]], torch.Size([2, 4]))
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
        wavs : list of torch.Tensor
            Waveforms [samples_i] at the sample rate of the configuration.

        Returns
        -------
        list of torch.Tensor
            [frames_i, channels], the mean over bands.
        """
        spectra = self.mel_spectrogram(wavs, self.mel)
        most = TOGETHER.get(wavs[0].device.type, TOGETHER["cpu"])
        frames, row = [[] for _ in wavs], []
        for utterance, spectrum in enumerate(spectra):
            for piece in _pieces(spectrum.shape[1], most):
                if row and sum(len(part) for *_, part in row) + len(piece) > most:
                    self._run(row, frames)
                    row = []
                row.append((utterance, spectrum, piece))
        self._run(row, frames)
        return [torch.cat(parts) for parts in frames]

    def _run(self, row, frames):
        """Appends the frames of the pieces in a row to those of their utterances."""
        parts = self._blocks([spectrum[:, piece.inputs] for _, spectrum, piece in row])
        for (utterance, _, piece), part in zip(row, parts):
            frames[utterance].append(part[piece.outputs])

    def _blocks(self, spectra):
        """List of [mels, frames_i] -> list of [frames_i // 32, channels]"""
        counts = [spectrum.shape[1] for spectrum in spectra]
        slots = [POOLED * (count // POOLED + 1) for count in counts]
        sizes = list(zip(counts, slots))
        padded = [F.pad(x, (0, slot - x.shape[1])) for x, slot in zip(spectra, slots)]
        x = torch.cat(padded, dim=1).to(self.fc1.weight.dtype)
        gaps = _gaps(sizes, 1, x.device)
        x = self.bn0(x[None, :, :, None]).permute(0, 3, 2, 1).masked_fill(gaps, 0)
        for i, block in enumerate(self.blocks):
            x = block(x, gaps)
            if i < 5:
                gaps = _gaps(sizes, 2 ** (i + 1), x.device)
                x = F.avg_pool2d(x, 2).masked_fill(gaps, 0)
            x = F.dropout(x, self.config.dropout, self.training)
        rows = x.mean(3)[0].T.split([slot // POOLED for slot in slots])
        return [part[: count // POOLED] for part, count in zip(rows, counts)]

    def of_clips(self, frames):
        """Computes the embeddings of CNN14: one for each clip.

        Arguments
        ---------
        frames : list of torch.Tensor
            [frames_i, channels], of :meth:`forward`.

        Returns
        -------
        torch.Tensor
            [clips, channels].
        """
        return self._embed(torch.stack([x.amax(0) + x.mean(0) for x in frames]))

    def of_frames(self, frames):
        """Computes the embeddings of CNN14_DecisionLevelMax: one for each frame.

        Arguments
        ---------
        frames : list of torch.Tensor
            [frames_i, channels], of :meth:`forward`.

        Returns
        -------
        torch.Tensor
            [frames_0 + frames_1 + …, channels], over a frame and its two neighbours.
            Zeros around the clip count in the mean, as in training.
        """
        pooled = [
            F.max_pool1d(x.T, 3, 1, 1) + F.avg_pool1d(x.T, 3, 1, 1) for x in frames
        ]
        return self._embed(torch.cat(pooled, dim=1).T)

    def _embed(self, x):
        rate = self.config.embedding_dropout
        x = self.fc1(F.dropout(x, rate, self.training)).relu()
        return F.dropout(x, rate, self.training)


@dataclasses.dataclass
class _Piece:
    """Part of an utterance with all that it depends on."""

    inputs: slice  #: frames of the spectrogram
    outputs: slice  #: frames of the last block, among those of the inputs

    def __len__(self):
        return self.outputs.stop


def _pieces(frames, most):
    """Yields the pieces of a spectrogram, so that hours take little memory."""
    total = frames // POOLED
    for start in range(0, total, most):
        end = min(start + most, total)
        first, last = max(start - REACH, 0), end + REACH
        # At the end the frames that the pooling leaves out count too.
        stop = frames if last >= total else last * POOLED
        inputs = slice(first * POOLED, stop)
        yield _Piece(inputs, slice(start - first, end - first))


def _gaps(sizes, pooled, device):
    """Returns which frames are no utterance's, [frames, 1], after a pooling."""
    gaps = [
        torch.arange(slot // pooled, device=device) >= count // pooled
        for count, slot in sizes
    ]
    return torch.cat(gaps)[:, None]
