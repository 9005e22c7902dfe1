"""Whose fault it is that features are not finite: the audio's or the weights'.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.checkpoints.values import is_finite

#: Audio is within [-1, 1]; what is louder than this is no audio, but numbers.
LOUDEST = 1e5


class WeightsError(UserError, ValueError):
    """Weights that make features of sound audio that are not finite."""


class Loud(ValueError):
    """Samples that are finite, but far from what audio is."""


def check(upstream, states, wavs):
    """Makes sure that hidden states are finite, or says why they are not.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        That has computed them.
    states : list of torch.Tensor
        Its hidden states, of any shapes.
    wavs : list of torch.Tensor
        The waveforms, finite ones.

    Raises
    ------
    WeightsError
        That names a weight, or else the layer.
    Loud
        If it is the audio.

    Example
    -------
    >>> network = torch.nn.Linear(2, 2)
    >>> network.precision = "fp32"
    >>> _ = torch.nn.init.constant_(network.bias, float("nan"))
    >>> check(network, [network(torch.zeros(1, 2))], [torch.zeros(2)])
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.upstreams.finiteness.WeightsError: The weights of Linear are …
    """
    # One look at all of them, for on a GPU each would wait for it.
    sums = torch.stack([state.detach().float().sum() for state in states])
    if bool(torch.isfinite(sums).all()):
        return
    bad = [i for i, state in enumerate(states) if not is_finite(state)]
    if not bad:  # finite ones that add up to more than there is
        return
    name = type(upstream).__name__
    tensors = [*upstream.named_parameters(), *upstream.named_buffers()]
    damaged = [label for label, tensor in tensors if not is_finite(tensor)]
    if damaged:
        raise WeightsError(
            f"The weights of {name} are at fault, not the audio: not finite are "
            f"{', '.join(damaged[:6])}{' …' * (len(damaged) > 6)}. {_again(upstream)}"
        )
    loudest = max(float(wav.abs().max()) for wav in wavs)
    if loudest > LOUDEST:
        raise Loud(f"holds samples of up to {loudest:.2g}: audio is within -1 and 1")
    half = getattr(upstream, "precision", "fp32") != "fp32"
    fix = "Use precision: fp32." if half else _again(upstream)
    raise WeightsError(
        f"{name} is at fault, not the audio: hidden state {bad[0]} is not finite in "
        f"{upstream.precision}, and its weights are. Some are too large, or its code "
        f"divides by zero. {fix}"
    )


def _again(upstream):
    source = getattr(upstream, "arguments", {}).get("source")
    return f"Get its checkpoint again: {source}" if source else "Get other weights."
