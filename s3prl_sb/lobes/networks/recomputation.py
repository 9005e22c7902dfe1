"""Recomputation of layers in the backward pass, to save memory in training.

Paper: Chen et al., "Training Deep Nets with Sublinear Memory Cost",
https://arxiv.org/abs/1604.06174.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib

import torch
from torch.utils.checkpoint import checkpoint

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm1d


class RecomputationError(UserError, ValueError):
    """Error of a network whose layers cannot be recomputed."""


class RecomputableLayer(torch.nn.Module):
    """Base class of layers that :func:`recompute_layers` switches.

    A layer that recomputes keeps its input only, and runs a second time in the backward
    pass: with the same dropout, and without counting its frames a second time in the
    statistics of batch norms. Loss and gradients stay the same.

    Example
    -------
    >>> class Layer(RecomputableLayer):
    ...     def forward(self, x):
    ...         return x.exp().exp()
    >>> layer = Layer()
    >>> layer.recomputes = True
    >>> x = torch.zeros(1, requires_grad=True)
    >>> layer(x).backward()
    >>> round(x.grad.item(), 4)
    2.7183
    """

    recomputes = False  #: whether the backward pass computes it again

    def __call__(self, *args):
        """Runs the layer."""
        run = super().__call__
        if self.recomputes and torch.is_grad_enabled():
            return checkpoint(run, *args, use_reentrant=False, context_fn=self._passes)
        return run(*args)

    def _passes(self):
        """Returns the contexts of the first and of the second run."""
        return contextlib.nullcontext(), self._uncounted()

    @contextlib.contextmanager
    def _uncounted(self):
        norms = [m for m in self.modules() if isinstance(m, FixedBatchNorm1d)]
        for norm in norms:
            norm.counts = False
        try:
            yield
        finally:
            for norm in norms:
                norm.counts = True


def recompute_layers(network: torch.nn.Module) -> int:
    """Makes the layers of a network recompute in the backward pass.

    The memory of a training step no longer grows with what is inside the layers, at the
    cost of one more forward pass. The names of the weights stay the same.

    Arguments
    ---------
    network : torch.nn.Module
        Upstream, or a module that contains one. It is changed.

    Returns
    -------
    int
        Number of layers.

    Raises
    ------
    RecomputationError
        If the network has no such layers.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> recompute_layers(load("hubert_small_random", freeze=False))
    4
    """
    layers = [m for m in network.modules() if isinstance(m, RecomputableLayer)]
    if not layers:
        raise RecomputationError(
            f"activation_checkpointing: {type(network).__name__} has no layers that "
            "can be computed again, which are those of Transformers and conformers. "
            "Set it to False; smaller batch_seconds save memory as well."
        )
    for layer in layers:
        layer.recomputes = True
    return len(layers)
