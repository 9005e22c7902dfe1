"""Batch norm over the true rows of a batch, in all processes.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torch import nn


class MaskedBatchNorm(nn.Module):
    """Batch norm whose statistics are those of true frames alone.

    Padding would count as speech in those of ``BatchNorm1d``, whose weights it has.
    With several processes, the statistics of a training batch are those of all
    processes, so that two processes learn what one learns. A batch of one row has no
    variance; the running statistics normalize it.

    Arguments
    ---------
    size : int
        Size of the frames.
    eps : float
        Number that is added to variances.
    momentum : float
        Share of a batch in the running statistics.

    Note
    ----
    It is no subclass of ``BatchNorm1d``: SpeechBrain would replace that by torch's
    ``SyncBatchNorm``, which knows no padding and does not work on CPUs.

    Example
    -------
    >>> norm = MaskedBatchNorm(3)
    >>> mask = torch.tensor([[True, True], [True, False]])
    >>> y = norm(torch.randn(2, 2, 3), mask)
    >>> y[1, 1].tolist(), bool(y[mask].mean(0).abs().max() < 1e-6)
    ([0.0, 0.0, 0.0], True)
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(self, size: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Normalizes true rows; padding is zero.

        Arguments
        ---------
        x : torch.Tensor
            [..., size], such as [batch, frames, size].
        mask : torch.Tensor, optional
            [...], True for true rows. Default: all are.

        Returns
        -------
        torch.Tensor
            [..., size].
        """
        rows = (x.flatten(0, -2) if mask is None else x[mask]).float()
        mean, variance = self._statistics(rows)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        rows = (rows - mean) * scale + self.bias
        if mask is None:
            return rows.view(x.shape)
        return torch.zeros_like(x, dtype=rows.dtype).index_put((mask,), rows)

    def _statistics(self, rows):
        """Returns mean and variance of a batch, which change the running ones; in
        evaluation, and for a single row, the running ones."""
        if not self.training:
            return self.running_mean, self.running_var
        count = _total(rows.new_tensor([len(rows)]))
        if count <= 1:
            return self.running_mean, self.running_var
        mean = _total(rows.sum(0)) / count
        variance = _total((rows - mean).square().sum(0)) / count
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
