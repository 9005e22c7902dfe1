"""A probe that finds out whether a network sees the future.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Any

import torch

FRAMES = 64  # of the probe
CUTS = (1, 20, 33, 63)  # from which frame on the future is another one
TOLERANCE = 1e-6  # relative; a frame that sees the future changes by far more


def is_causal(upstream: Any) -> bool:
    """Returns whether no hidden state depends on later local frames.

    Only the steps after :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.local` count:
    local frames see their part of the waveform, and their normalization perhaps all of
    it.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream with :class:`~s3prl_sb.lobes.upstreams.stages.Stages`. It is run on
        random frames, in eval mode, and not changed.

    Returns
    -------
    bool

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> is_causal(Apc(config={"hidden_size": 8}))
    True
    >>> is_causal(load("hubert_small_random"))
    False
    """
    random = torch.Generator().manual_seed(0)
    parameter = next(upstream.network.parameters())

    def frames():
        shape = (FRAMES, upstream.local_size)
        return torch.randn(shape, generator=random).to(
            parameter.device, parameter.dtype
        )

    x = frames()
    training, _ = upstream.training, upstream.eval()
    try:
        with torch.no_grad():
            states = list(upstream.contextualize(upstream.embed(x), [FRAMES]))
            for cut in CUTS:
                other = torch.cat([x[:cut], 2 * frames()[cut:]])
                others = upstream.contextualize(upstream.embed(other), [FRAMES])
                for a, b in zip(states, others):
                    if (a[:cut] - b[:cut]).abs().max() > TOLERANCE * a.abs().max():
                        return False
    finally:
        upstream.train(training)
    return True
