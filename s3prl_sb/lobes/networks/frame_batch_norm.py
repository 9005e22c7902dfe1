"""Batch norm over the true frames of all utterances of a batch, in all processes.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torch import nn


class FrameBatchNorm(nn.Module):
    """Batch norm whose statistics are those of true frames alone.

    Padding would count as speech in those of ``BatchNorm1d``, whose weights it has.
    With several processes, the statistics of a training batch are those of all
    processes, so that two processes learn what one learns; torch's ``SyncBatchNorm``
    does not work on CPUs.

    Arguments
    ---------
    size : int
        Size of the frames.
    eps : float
        Number that is added to variances.
    momentum : float
        Share of a batch in the running statistics.

    Example
    -------
    >>> norm = FrameBatchNorm(3)
    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> y = norm(torch.randn(2, 2, 3), mask)
    >>> y[1, 1].tolist(), bool(y[mask].mean(0).abs().max() < 1e-6)
    ([0.0, 0.0, 0.0], True)
    """

    def __init__(self, size: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Normalizes true frames; padding is zero.

        Arguments
        ---------
        x : torch.Tensor
            [batch, frames, size].
        mask : torch.Tensor
            [batch, frames], True for true frames.

        Returns
        -------
        torch.Tensor
            [batch, frames, size].
        """
        frames = x[mask].float()
        mean, variance = self._statistics(frames)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        frames = (frames - mean) * scale + self.bias
        return torch.zeros_like(x, dtype=frames.dtype).index_put((mask,), frames)

    def _statistics(self, frames):
        """Returns mean and variance of a batch, which change the running ones; in
        evaluation, and for a single frame, the running ones."""
        if not self.training:
            return self.running_mean, self.running_var
        count = _total(frames.new_tensor([len(frames)]))
        if count <= 1:
            return self.running_mean, self.running_var
        mean = _total(frames.sum(0)) / count
        variance = _total((frames - mean).square().sum(0)) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        return mean, variance


def _total(x):
    """Returns the sum over all processes; gradients flow to each of them."""
    if not torch.distributed.is_initialized():
        return x
    from torch.distributed.nn.functional import all_reduce

    return all_reduce(x)
