"""Scaling of gradients.

wav2vec 2.0 and HuBERT train the convolutions over the waveform with a tenth of their
gradient, because they are shallow and learn faster than the encoder.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


class _Scaled(torch.autograd.Function):
    """Identity whose gradient is scaled."""

    @staticmethod
    def forward(ctx, x, factor):
        """Returns ``x`` itself."""
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        """Returns the scaled gradient."""
        return gradient * ctx.factor, None


def scale_gradient(x: torch.Tensor, factor: float) -> torch.Tensor:
    """Returns the same values, whose gradient is scaled on the way back.

    Arguments
    ---------
    x : torch.Tensor
        Tensor of any shape, such as the output of convolutions.
    factor : float
        Factor of the gradient. 0: none at all, without the cost of computing it.

    Returns
    -------
    torch.Tensor

    Example
    -------
    >>> x = torch.ones(3, requires_grad=True)
    >>> scale_gradient(x, 0.5).sum().backward()
    >>> x.grad
    tensor([0.5000, 0.5000, 0.5000])
    """
    if factor == 0:
        return x.detach()
    return x if factor == 1 else _Scaled.apply(x, factor)
