"""Convolution over time that sees the past only.

Authors
 * The s3prl_sb developers, 2026
"""

import torch.nn.functional as F

from s3prl_sb.lobes.networks.time_convolution import TimeConvolution


class CausalConvolution(TimeConvolution):
    """Convolution whose output depends on its own frame and those before it.

    Arguments
    ---------
    inputs, outputs, kernel : int
        Numbers of channels, and length of the kernel in frames.
    **options
        Options of ``torch.nn.Conv1d`` except padding, stride and dilation.

    Example
    -------
    >>> import torch
    >>> convolution = CausalConvolution(1, 1, 3)
    >>> x = torch.zeros(1, 1, 6)
    >>> y = convolution(x)
    >>> x[0, 0, 3] = 1
    >>> (convolution(x) != y)[0, 0].tolist()
    [False, False, False, True, True, True]
    """

    def __init__(self, inputs, outputs, kernel, **options):
        super().__init__(inputs, outputs, kernel, **options)

    def forward(self, x):
        """[batch, inputs, time] -> [batch, outputs, time]."""
        return super().forward(F.pad(x, (self.kernel_size[0] - 1, 0)))


def same_length(size, kernel, groups, causal, bias=True):
    """Returns a convolution that keeps the size of frames, and its reach.

    Arguments
    ---------
    size, kernel, groups : int
        Number of channels, length of the kernel in frames, and number of groups.
    causal : bool
        See the past only, instead of as many frames on either side.
    bias : bool
        Add a bias.

    Returns
    -------
    convolution : torch.nn.Conv1d
        With an even kernel and both sides, it returns one frame too many.
    reach : int
        Number of frames that it sees on either side at most, see
        :func:`~s3prl_sb.lobes.networks.packing.along_time`.

    Example
    -------
    >>> same_length(4, kernel=3, groups=1, causal=True)[1]
    2
    """
    options = {"groups": groups, "bias": bias}
    if causal:
        return CausalConvolution(size, size, kernel, **options), kernel - 1
    reach = kernel // 2
    return TimeConvolution(size, size, kernel, padding=reach, **options), reach
