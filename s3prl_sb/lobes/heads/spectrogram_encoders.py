"""Encoders of the network of voice conversion, over resampled features.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.networks.masked_batch_norm import MaskedBatchNorm


class LinearEncoder(nn.Module):
    """Linear layer with ReLU.

    Arguments
    ---------
    input_size, output_size : int
        Sizes of the frames.

    Example
    -------
    >>> LinearEncoder(4, 8)(torch.randn(2, 5, 4), torch.tensor([5, 3])).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, input_size: int, output_size: int):
        super().__init__()
        self.linear = nn.Linear(input_size, output_size)

    def forward(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] to [batch, frames, output_size]."""
        return self.linear(x).relu()


class ConvolutionalEncoder(nn.Module):
    """Encoder of Tacotron 2: a linear layer, convolutions with batch norm, a BLSTM.

    Arguments
    ---------
    input_size, output_size : int
        Sizes of the frames; the output's is even.
    channels : int
        Size of the convolutions.
    dropout : float
        Probability to drop a value after each convolution.
    layers : int
        Number of convolutions.
    kernel_size : int
        Frames that a convolution sees, odd.

    Example
    -------
    >>> encoder = ConvolutionalEncoder(4, 8, channels=6)
    >>> encoder(torch.randn(2, 5, 4), torch.tensor([5, 3])).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        channels: int = 512,
        dropout: float = 0.5,
        layers: int = 3,
        kernel_size: int = 5,
    ):
        super().__init__()
        self.linear = nn.Linear(input_size, channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel_size, padding="same", bias=False)
            for _ in range(layers)
        )
        for weight in self.convolutions.parameters():
            nn.init.xavier_uniform_(weight, nn.init.calculate_gain("relu"))
        self.norms = nn.ModuleList(MaskedBatchNorm(channels) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.blstm = nn.LSTM(
            channels, output_size // 2, batch_first=True, bidirectional=True
        )

    def forward(self, x: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] to [batch, frames, output_size]; ``frames``
        are the numbers of true frames, [batch]."""
        mask = frame_mask(x, frames / x.shape[1])
        x = self.linear(x) * mask[..., None]
        for convolution, norm in zip(self.convolutions, self.norms):
            x = norm(convolution(x.mT).mT, mask)
            # The bias of a norm does not reach into the padding, which the next
            # convolution sees as it sees the end of a single utterance.
            x = self.dropout(x.relu())
        packed = pack_padded_sequence(
            x, frames.cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = self.blstm(packed)
        return pad_packed_sequence(states, True, total_length=x.shape[1])[0]
