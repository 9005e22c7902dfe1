"""Diagnosis of features that are not finite: damaged weights, or loud audio.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.checkpoints.values import is_finite

#: Audio is within [-1, 1]; samples above this are not audio.
LOUDEST = 1e5


class WeightsError(UserError, ValueError):
    """Weights with which features of valid audio are not finite."""


class Loud(ValueError):
    """Samples that are finite, but far outside of [-1, 1]."""


def check(
    upstream: torch.nn.Module,
    states: Sequence[torch.Tensor],
    wavs: Sequence[torch.Tensor] | torch.Tensor,
) -> None:
    """Raises an error that names the cause if hidden states are not finite.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream that has computed the hidden states.
    states : list of torch.Tensor
        Hidden states of any shapes.
    wavs : list of torch.Tensor
        Finite waveforms.

    Raises
    ------
    WeightsError
        If the weights are the cause; it names a weight, or else the layer.
    Loud
        If the audio is the cause.

    Example
    -------
    >>> network = torch.nn.Linear(2, 2)
    >>> network.precision = "fp32"
    >>> _ = torch.nn.init.constant_(network.bias, float("nan"))
    >>> check(network, [network(torch.zeros(1, 2))], [torch.zeros(2)])
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.finiteness.WeightsError: The weights of Linear are …
    """
    # One test of the sums, because on a GPU each test waits for the computation.
    sums = torch.stack([state.detach().float().sum() for state in states])
    if bool(torch.isfinite(sums).all()):
        return
    bad = [i for i, state in enumerate(states) if not is_finite(state)]
    if not bad:  # finite states whose sum overflows
        return
    name, precision = type(upstream).__name__, getattr(upstream, "precision", "fp32")
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
    fix = "Use precision: fp32." if precision != "fp32" else _again(upstream)
    raise WeightsError(
        f"{name} is at fault, not the audio: hidden state {bad[0]} is not finite in "
        f"{precision}, and its weights are. Some are too large, or its code "
        f"divides by zero. {fix}"
    )


def _again(upstream):
    source = getattr(upstream, "arguments", {}).get("source")
    return f"Get its checkpoint again: {source}" if source else "Get other weights."
