"""Frames that a head leaves out, and the lengths of what is left.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Protocol, runtime_checkable

import torch


@runtime_checkable
class Subsampling(Protocol):
    """Head that returns one frame for each ``subsampling`` frames of the features."""

    subsampling: int


def factor_of(head: object) -> int:
    """Returns the number of frames for which a head returns one.

    Arguments
    ---------
    head : torch.nn.Module
        Any head. One that is not :class:`Subsampling` returns as many as it gets.

    Returns
    -------
    int

    Example
    -------
    >>> factor_of(torch.nn.ReLU())
    1
    """
    return head.subsampling if isinstance(head, Subsampling) else 1


def subsampled_lens(lens: torch.Tensor, frames: int, factor: int) -> torch.Tensor:
    """Returns the relative lengths after every ``factor``-th frame is taken.

    Arguments
    ---------
    lens : torch.Tensor
        [batch], relative lengths before.
    frames : int
        Number of frames before, padding included.
    factor : int
        Number of frames of which one is taken.

    Returns
    -------
    torch.Tensor
        [batch], relative lengths of the ceil(frames / factor) frames. An utterance
        has whole groups of frames, and one at least, whatever batch it is in.

    Example
    -------
    >>> subsampled_lens(torch.tensor([1.0, 0.6, 0.1]), frames=10, factor=4) * 3
    tensor([2., 1., 1.])
    """
    if factor == 1:
        return lens
    counts = (lens * frames).round()
    kept = torch.div(counts, factor, rounding_mode="floor").clamp_min(1)
    return kept / -(-frames // factor)
