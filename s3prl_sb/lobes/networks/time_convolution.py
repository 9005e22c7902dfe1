"""Convolution over time that is fast on packed frames.

Authors
 * The s3prl_sb developers, 2026
"""

import torch.nn.functional as F
from torch import nn


class TimeConvolution(nn.Conv1d):
    """``torch.nn.Conv1d`` with a fast way for one kernel per channel on a CPU.

    torch runs such a convolution over one dimension channel by channel. Over two, with
    the channels of a frame side by side as packed frames have them, it takes a tenth of
    the time.

    Example
    -------
    >>> import torch
    >>> convolution = TimeConvolution(64, 64, 5, padding=2, groups=64)
    >>> x = torch.randn(1, 64, 20)
    >>> torch.allclose(convolution(x), nn.Conv1d.forward(convolution, x), atol=1e-6)
    True
    """

    def forward(self, x):
        """[batch, inputs, time] -> [batch, outputs, time]."""
        if self.groups != self.in_channels or x.device.type != "cpu":
            return super().forward(x)
        batch, channels, time = x.shape
        # A view of packed frames has its channels side by side, but strides of its
        # dimensions of size 1 by which torch does not see it.
        rows = x.transpose(1, 2).flatten(0, 1).contiguous()
        x = rows.view(batch, 1, time, channels).permute(0, 3, 1, 2)
        x = F.conv2d(
            x,
            self.weight.unsqueeze(2),
            self.bias,
            stride=(1, *self.stride),
            padding=(0, *self.padding),
            dilation=(1, *self.dilation),
            groups=self.groups,
        )
        return x.squeeze(2)
