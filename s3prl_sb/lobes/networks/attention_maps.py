"""Recording of the attention weights of a network, for pictures.

The kernel of attention never holds the weights. While they are recorded, it runs a
second time with one-hot values: its output then is the weights, with the positions,
masks and gates of every kind of attention. Nothing changes for other calls.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
from collections.abc import Sequence
from typing import Any

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.networks.attention import SelfAttention
from s3prl_sb.lobes.networks.patch_encoder import PatchEncoder
from s3prl_sb.lobes.networks.vision_transformer import VisionTransformer


class AttentionError(UserError, ValueError):
    """A network whose attention cannot be shown."""


class AttentionMaps:
    """Context manager that records the attention weights of one utterance.

    Arguments
    ---------
    network : torch.nn.Module
        Network in eval mode, with :class:`SelfAttention` over frames.
    heads : list of int, optional
        Heads to record. Default: the mean of all heads.

    Raises
    ------
    AttentionError
        If the network has no attention over frames, or not these heads.

    Example
    -------
    >>> from s3prl_sb.lobes.networks.attention import SelfAttention
    >>> attention = SelfAttention(32, num_heads=4).eval()
    >>> with torch.no_grad(), AttentionMaps(attention) as maps:
    ...     _ = attention(torch.randn(7, 32), frames=[7])
    >>> [each.shape for each in maps.weights()]
    [torch.Size([1, 7, 7])]
    """

    def __init__(self, network: torch.nn.Module, heads: Sequence[int] | None = None):
        name = type(network).__name__
        modules = list(network.modules())
        self.layers = [each for each in modules if isinstance(each, SelfAttention)]
        if not self.layers:
            raise AttentionError(
                f"{name} has no self-attention that can be shown: convolutions, "
                "recurrent networks and models of other libraries have none. Show "
                "its hidden states or their similarity."
            )
        if any(_sees_parts_of_frames(each) for each in modules):
            raise AttentionError(
                f"{name} attends to patches of the spectrogram, not to frames: there "
                "is no map over time. Show its hidden states or their similarity."
            )
        most = min(layer.num_heads for layer in self.layers)
        missing = [head for head in heads or () if not 0 <= head < most]
        if missing:
            raise AttentionError(
                f"{name} has the heads 0 to {most - 1}, not {missing}."
            )
        self.heads = heads
        self._pieces: list[list[torch.Tensor]] = [[] for _ in self.layers]

    def __enter__(self):
        for layer, pieces in zip(self.layers, self._pieces):
            compute = layer.kernel
            layer.kernel = functools.partial(self._record, compute, pieces)
        return self

    def __exit__(self, *error: Any) -> None:
        for layer in self.layers:
            del layer.kernel

    def _record(self, compute, pieces, q, k, v, bias=None):
        """Runs the kernel, and once more for the weights of each head."""
        one_hot = torch.eye(k.shape[2], dtype=q.dtype, device=q.device)[None, None]
        total, kept = None, []
        for head in range(q.shape[1]) if self.heads is None else self.heads:
            part = slice(head, head + 1)
            bias_of_head = None if bias is None else bias[:, part]
            weights = compute(q[:, part], k[:, part], one_hot, bias_of_head)[0].float()
            if self.heads is None:
                total = weights if total is None else total + weights
            else:
                kept.append(weights)
        pieces.append(torch.stack(kept or [total / q.shape[1]]).cpu())
        return compute(q, k, v, bias)

    def weights(self) -> list[torch.Tensor]:
        """Returns the weights of each layer that ran.

        Returns
        -------
        list of torch.Tensor
            [heads, queries, keys], float32 on the CPU; one "head" for the mean. The
            weights of a query sum to one.

        Raises
        ------
        AttentionError
            If the network ran in chunks, or over several utterances.
        """
        ran = [pieces for pieces in self._pieces if pieces]
        maps = [torch.cat(p, 1) for p in ran if len({x.shape[2] for x in p}) == 1]
        if len(maps) < len(ran) or any(x.shape[1] != x.shape[2] for x in maps):
            raise AttentionError(
                "Attention within chunks has no map of the whole. Choose an excerpt "
                "shorter than chunk_seconds."
            )
        return maps


def _sees_parts_of_frames(module):
    """Returns whether a network attends to several patches at one time."""
    if isinstance(module, VisionTransformer):
        return not module.config.patches_are_frames
    return isinstance(module, PatchEncoder)
