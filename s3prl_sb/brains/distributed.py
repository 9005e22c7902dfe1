"""Several processes: what they agree on, and how they part.

Authors
 * The s3prl_sb developers, 2026
"""

import atexit
import sys

import torch

from s3prl_sb.lobes.gradients import unreached


def leave_in_order():
    """Ends the group of processes when this one ends: else it may abort.

    After an error it does not, as others may wait for it: torchrun ends them.
    """
    atexit.register(_leave)


def _leave():
    failed = getattr(sys, "last_value", None) is not None
    if torch.distributed.is_initialized() and not failed:
        torch.distributed.destroy_process_group()


def share(loss, count):
    """A loss per item, so weighed that its mean over processes is one over all items.

    Gradients are such means: a process with fewer items would else count as much.

    Arguments
    ---------
    loss : torch.Tensor
        A scalar: the mean over this process's items of a batch.
    count : torch.Tensor
        How many these are, a scalar.

    Returns
    -------
    torch.Tensor
        The loss itself if there is one process.
    """
    if not torch.distributed.is_initialized():
        return loss
    count = count.float()
    total = count.clone()
    torch.distributed.all_reduce(total)
    return loss * count * torch.distributed.get_world_size() / total.clamp_min(1)


def may_leave_weights_out(upstream, featurizer):
    """Whether a step may pass by some of an unfrozen upstream's weights.

    Gradients are shared out step by step, and waiting for one that never comes
    would be an error.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        To be trained or not.
    featurizer : s3prl_sb.lobes.featurizer.Featurizer
        Says which hidden states are used.

    Returns
    -------
    bool
    """
    if upstream.freeze:
        return False
    if getattr(getattr(upstream, "config", None), "layerdrop", 0):
        return True
    if len(featurizer.layers) == upstream.num_layers:
        return False  # all that there is has a part in all hidden states
    return bool(unreached(upstream, _Features(upstream, featurizer)))


class _Features(torch.nn.Module):
    """What a head gets."""

    def __init__(self, upstream, featurizer):
        super().__init__()
        self.upstream, self.featurizer = upstream, featurizer

    def forward(self, wavs):
        hidden_states, _ = self.upstream(wavs)
        return self.featurizer(hidden_states)
