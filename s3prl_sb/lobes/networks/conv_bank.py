"""Bank of convolutions of several widths over frames.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class ConvBank(nn.Module):
    """Linear layer and parallel convolutions of several widths over it.

    Arguments
    ---------
    input_size : int
        Size of the frames.
    hidden_size : int
        Size of the linear layer.
    cnn_size : int
        Channels of each convolution.
    kernels : list of int
        Kernel sizes of the convolutions, in frames.
    dropout : float
        Dropout probability after both, in training mode.

    Note
    ----
    S3PRL's ``timit_phone`` drops values in evaluation, too, so that its results are
    random. Here evaluation is deterministic.

    Example
    -------
    >>> ConvBank(80)(torch.randn(2, 50, 80)).shape
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
        self.dropout = dropout
        self.enter = nn.Linear(input_size, hidden_size)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(hidden_size, cnn_size, kernel, padding=kernel // 2)
            for kernel in kernels
        )
        self.output_size = cnn_size * len(kernels)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None):
        """Encodes frames.

        Arguments
        ---------
        x : torch.Tensor
            [batch, frames, input_size].
        mask : torch.Tensor, optional
            [batch, frames], bool, True in true frames. Others are zero for the
            convolutions, as the frames beyond an utterance.

        Returns
        -------
        torch.Tensor
            [batch, frames, output_size].
        """
        frames = x.shape[1]
        x = self._dropped(self.enter(x))
        if mask is not None:
            x = x.masked_fill(~mask[..., None], 0.0)
        # An even kernel returns one frame too many.
        parts = [c(x.transpose(1, 2))[..., :frames] for c in self.convolutions]
        return self._dropped(torch.cat(parts, 1).transpose(1, 2))

    def _dropped(self, x):
        # The order in memory decides which values are dropped: the same in every copy
        # of a stacked search of learning rates
        return F.dropout(x.relu().contiguous(), self.dropout, self.training)
