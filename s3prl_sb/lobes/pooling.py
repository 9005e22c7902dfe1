"""Pooling over time, over true frames only.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def frame_mask(x, lens):
    """Which frames are true.

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


class MeanPooling(torch.nn.Module):
    """Mean over the true frames of each utterance.

    ``linear`` tells the feature cache that pooling may come before any layer
    that is linear too.

    Example
    -------
    >>> x = torch.tensor([[[1.0], [3.0]], [[5.0], [99.0]]])
    >>> MeanPooling()(x, torch.tensor([1.0, 0.5])).tolist()
    [[2.0], [5.0]]
    """

    linear = True

    def forward(self, x, lens):
        """[batch, frames, size], relative [batch] -> [batch, size]."""
        mask = frame_mask(x, lens).unsqueeze(-1)
        return (x * mask).sum(1) / mask.sum(1)
