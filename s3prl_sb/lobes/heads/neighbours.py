"""Encoders that see the neighbours of a frame: concatenated, or by convolutions.

Each is an :class:`~s3prl_sb.lobes.heads.contract.Encoder`.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.networks.conv_bank import ConvBank


class FrameConcat(torch.nn.Module):
    """Concatenates every frame with its neighbours.

    Beyond the ends of an utterance, its first and its last frame are repeated.

    Arguments
    ---------
    input_size : int
        Size of the features.
    window : int
        Number of frames that are concatenated, odd: the frame itself is in the middle.

    Raises
    ------
    HeadError
        If the window is even or not positive.

    Note
    ----
    S3PRL concatenates the frames from the latest to the earliest, here they are in the
    order of time. In a batch of S3PRL's, the last frame of a shorter utterance is
    followed by the zeros of the padding.

    Example
    -------
    >>> x = torch.tensor([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [0.0]]])
    >>> FrameConcat(1, window=3)(x, torch.tensor([1.0, 0.67]))[:, :2].int().tolist()
    [[[1, 1, 2], [1, 2, 3]], [[4, 4, 5], [4, 5, 5]]]
    """

    def __init__(self, input_size: int, window: int = 9):
        super().__init__()
        if window < 1 or window % 2 == 0:
            raise HeadError(f"window: an odd number of frames, not {window}.")
        self.window, self.output_size = window, window * input_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] and relative lengths [batch] to
        [batch, frames, output_size]."""
        frames, size = x.shape[1:]
        last = (lens.to(x.device) * frames).round().long().clamp_min(1) - 1
        offsets = torch.arange(self.window, device=x.device) - self.window // 2
        places = torch.arange(frames, device=x.device)[:, None] + offsets
        places = torch.minimum(places.clamp_min(0).flatten(), last[:, None])
        index = places[..., None].expand(-1, -1, size)
        return x.gather(1, index).unflatten(1, (frames, self.window)).flatten(2)


class ConvBankEncoder(torch.nn.Module):
    """Bank of convolutions, S3PRL's ``timit_phone``.

    Arguments
    ---------
    input_size : int
        Size of the features.
    hidden_size, cnn_size, kernels, dropout
        See :class:`~s3prl_sb.lobes.networks.conv_bank.ConvBank`.

    Example
    -------
    >>> ConvBankEncoder(80)(torch.randn(2, 50, 80), torch.ones(2)).shape
    torch.Size([2, 50, 96])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 64,
        cnn_size: int = 32,
        kernels: Sequence[int] = (3, 5, 7),
        dropout: float = 0.5,
    ):
        super().__init__()
        self.bank = ConvBank(input_size, hidden_size, cnn_size, kernels, dropout)
        self.output_size = self.bank.output_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] and relative lengths [batch] to
        [batch, frames, output_size]."""
        return self.bank(x, frame_mask(x, lens))
