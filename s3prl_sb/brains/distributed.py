"""Distributed training: shared losses, unused weights, orderly exit.

Authors
 * The s3prl_sb developers, 2026
"""

import atexit
import sys
import time

import torch

from s3prl_sb.lobes.gradients import unreached


def leave_in_order():
    """Destroys the process group at exit, as torch may abort otherwise.

    After an error the group stays, as other processes may wait in it; torchrun ends
    them.
    """
    atexit.register(_leave)


def _leave():
    failed = getattr(sys, "last_value", None) is not None
    if torch.distributed.is_initialized() and not failed:
        torch.distributed.destroy_process_group()
        # A thread of gloo may still release the last collective, for which it needs
        # the interpreter: one that has ended by then aborts the process.
        time.sleep(0.2)


def share(loss, count):
    """Weights a loss so that its mean over processes is the mean over all items.

    DDP averages gradients over processes; without weights, a process with fewer items
    would count as much as the others.

    Arguments
    ---------
    loss : torch.Tensor
        Mean loss over this process's items of a batch, a scalar.
    count : torch.Tensor
        Number of these items, a scalar.

    Returns
    -------
    torch.Tensor
        Weighted loss; the loss itself if there is one process.
    """
    if not torch.distributed.is_initialized():
        return loss
    count = count.float()
    total = count.clone()
    torch.distributed.all_reduce(total)
    return loss * count * torch.distributed.get_world_size() / total.clamp_min(1)


def may_leave_weights_out(upstream, featurizer):
    """Returns whether a step may leave weights of an unfrozen upstream unused.

    DDP fails if it waits for the gradient of an unused weight.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen or unfrozen upstream.
    featurizer : s3prl_sb.lobes.featurizer.Featurizer
        Featurizer that chooses the hidden states.

    Returns
    -------
    bool
    """
    if upstream.freeze:
        return False
    if getattr(getattr(upstream, "config", None), "layerdrop", 0):
        return True
    if len(featurizer.layers) == upstream.num_layers:
        return False  # all weights are used in some hidden state
    return bool(unreached(upstream, _Features(upstream, featurizer)))


class _Features(torch.nn.Module):
    """Features as a function of waveforms."""

    def __init__(self, upstream, featurizer):
        super().__init__()
        self.upstream, self.featurizer = upstream, featurizer

    def forward(self, wavs):
        hidden_states, _ = self.upstream(wavs)
        return self.featurizer(hidden_states)


def summed(values):
    """Returns sums over all processes, in the order of the processes.

    Arguments
    ---------
    values : dict
        Names to tensors of this process; a name may be missing.

    Returns
    -------
    dict
        Names to tensors on the CPU.

    Example
    -------
    >>> summed({"loss": torch.tensor(2.0)})
    {'loss': tensor(2.)}
    """
    total = {}
    for part in _gathered({name: value.cpu() for name, value in values.items()}):
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total


def merged(values):
    """Returns the union of the mappings of all processes.

    Arguments
    ---------
    values : dict
        Mapping of this process.

    Returns
    -------
    dict

    Example
    -------
    >>> merged({"a.wav": "it is empty"})
    {'a.wav': 'it is empty'}
    """
    return {name: value for part in _gathered(values) for name, value in part.items()}


def share_buffers(module):
    """Gives all processes the buffers of the first one, such as means of batch norms.

    Arguments
    ---------
    module : torch.nn.Module
        Module, changed in place.
    """
    if torch.distributed.is_initialized():
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, 0)


def _gathered(value):
    """Returns a value of each process, in their order."""
    if not torch.distributed.is_initialized():
        return [value]
    parts = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, value)
    return parts
