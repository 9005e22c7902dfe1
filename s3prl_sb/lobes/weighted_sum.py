"""Weighted sum of a stack of hidden states, in blocks of frames.

The cache gives hidden states as one tensor [batch, frames, layers, size], often in
half precision. A whole copy of it, transposed and in fp32, costs several times the sum
itself; a block of frames stays in the processor's cache.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

#: Frames of a block: 3 MB in fp32 for 13 hidden states of size 768.
BLOCK = 64


def in_blocks(states: torch.Tensor) -> bool:
    """Returns whether :class:`WeightedSum` suits a stack: on a CPU, without gradient,
    and larger than a block, as pooled features are not.

    Arguments
    ---------
    states : torch.Tensor
        [batch, frames, layers, size].

    Example
    -------
    >>> in_blocks(torch.zeros(2, 100, 3, 4)), in_blocks(torch.zeros(32, 1, 3, 4))
    (True, False)
    """
    is_long = states.shape[0] * states.shape[1] > BLOCK
    return is_long and states.device.type == "cpu" and not states.requires_grad


class WeightedSum(torch.autograd.Function):
    """Weighted sum over the layers of a stack, with a gradient for the weights alone.

    The sum has the bits of ``torch.tensordot``, unless frames are of a single value.
    The gradient is summed over blocks, which is nearer to that in double precision.

    Example
    -------
    >>> weights = torch.tensor([0.25, 0.75], requires_grad=True)
    >>> states = torch.tensor([[[[0.0], [4.0]]]])  # one frame of two layers
    >>> total = WeightedSum.apply(weights, states)
    >>> total.item()
    3.0
    >>> total.sum().backward()
    >>> weights.grad.tolist()
    [0.0, 4.0]
    """

    @staticmethod
    def forward(weights, states):
        """Returns the sum.

        Arguments
        ---------
        weights : torch.Tensor
            [layers], fp32.
        states : torch.Tensor
            [batch, frames, layers, size], of any precision, without gradient.

        Returns
        -------
        torch.Tensor
            [batch, frames, size], fp32.
        """
        frames = states.flatten(0, 1)
        total = weights.new_empty(len(frames), 1, frames.shape[-1])
        for part, block in zip(total.split(BLOCK), frames.split(BLOCK)):
            torch.matmul(weights.expand(len(block), 1, -1), block.float(), out=part)
        return total[:, 0].unflatten(0, states.shape[:2])

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Keeps what the gradient needs: the states as they came."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        """Returns the gradient of the weights; the states have none."""
        weights, states = ctx.saved_tensors
        total = torch.zeros_like(weights)
        with torch.autocast(states.device.type, enabled=False):
            parts = grad.float().flatten(0, 1).unsqueeze(1).split(BLOCK)
            for part, block in zip(parts, states.flatten(0, 1).split(BLOCK)):
                total += torch.matmul(part, block.float().mT).sum(0)[0]
        return total, None

    @staticmethod
    def vmap(info, in_dims, weights, states):
        """Returns the sums of several weights over the same states.

        One product for all of them, as copies of a Brain that train together need.
        """
        if in_dims[1] is not None:
            raise NotImplementedError("the states must be the same for all weights")
        weights = weights.movedim(in_dims[0], 0)
        return torch.tensordot(weights, states.float(), dims=([1], [2])), 0
