"""Pooling over the true frames of utterances.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Protocol, runtime_checkable

import torch


@runtime_checkable
class Poolable(Protocol):
    """Module that declares whether a mean over time may come before it.

    The feature cache then keeps one vector per hidden state instead of all frames.
    """

    linear: bool


class Pooling(Protocol):
    """Maps [batch, frames, size] and relative lengths [batch] to [batch, output_size].

    A pooling by name is made with the size of the frames. One that is not
    :class:`~s3prl_sb.lobes.heads.contract.Sized` keeps the size.
    """

    def __call__(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Pools over the true frames."""


def is_poolable(module: object) -> bool:
    """Returns whether a mean over time may come before a module.

    Arguments
    ---------
    module : torch.nn.Module
        Any module. One that is not :class:`Poolable` is taken to be non-linear.

    Returns
    -------
    bool

    Example
    -------
    >>> is_poolable(MeanPooling()), is_poolable(torch.nn.ReLU())
    (True, False)
    """
    # A layer that happens to be called `linear` declares nothing.
    return isinstance(module, Poolable) and module.linear is True


def frame_mask(x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
    """Returns a mask of the true frames.

    Arguments
    ---------
    x : torch.Tensor
        [batch, frames, ...].
    lens : torch.Tensor
        [batch], relative lengths.

    Returns
    -------
    torch.Tensor
        [batch, frames], bool.

    Example
    -------
    >>> frame_mask(torch.zeros(2, 4, 1), torch.tensor([1.0, 0.5])).sum(1)
    tensor([4, 2])
    """
    frames = (lens * x.shape[1]).round()
    return torch.arange(x.shape[1], device=x.device) < frames.to(x.device)[:, None]


def precise(x: torch.Tensor) -> torch.Tensor:
    """Returns a tensor in float32, or in float64 if it has that precision.

    A sum over frames needs it: bfloat16 cannot represent a count such as 1501.

    Arguments
    ---------
    x : torch.Tensor
        Any shape.

    Returns
    -------
    torch.Tensor

    Example
    -------
    >>> [precise(torch.zeros(1).to(t)).dtype for t in (torch.bfloat16, torch.float64)]
    [torch.float32, torch.float64]
    """
    return x.to(torch.promote_types(x.dtype, torch.float32))


class MeanPooling(torch.nn.Module):
    """Mean over the true frames of each utterance.

    It is :class:`Poolable`: a mean over time may come before it.

    Arguments
    ---------
    input_size : int, optional
        Size of the frames, and ``output_size``; it need not be given.

    Example
    -------
    >>> x = torch.tensor([[[1.0], [3.0]], [[5.0], [99.0]]])
    >>> MeanPooling()(x, torch.tensor([1.0, 0.5])).tolist()
    [[2.0], [5.0]]
    """

    linear = True

    def __init__(self, input_size: int | None = None):
        super().__init__()
        self.output_size = input_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, size] and relative lengths [batch] to [batch, size]."""
        if x.shape[1] == 1:  # the mean of cached features is the frame itself
            return x[:, 0]
        mask = frame_mask(x, lens).unsqueeze(-1)
        return (x * mask).sum(1) / mask.sum(1)
