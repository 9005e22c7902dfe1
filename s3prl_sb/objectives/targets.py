"""Acoustic features that an objective predicts instead of those of its network.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Any

import torch

from s3prl_sb.lobes.pretext.arguments import require_object
from s3prl_sb.lobes.upstreams.features import AcousticFeatures, StftFeatures
from s3prl_sb.objectives.receptive_field import UnfitNetwork, learns_frames


def stacked(network: Any, target: Any, wish: str) -> tuple[int, int]:
    """Returns how frames of the target are stacked to the stride of a network.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.stages.Stages
        Network.
    target : s3prl_sb.lobes.upstreams.features.AcousticFeatures or None
        Features; None: those that the network sees.
    wish : str
        Participle of the objective's use of them, for errors: "reconstructed".

    Returns
    -------
    stack : int
        Number of frames of the target for a frame of the network.
    size : int
        Size of that many frames together.

    Raises
    ------
    ArgumentError
        If ``target`` is no such object.
    UnfitNetwork
        If the network learns its frames and there is no target, or if its stride is no
        multiple of the target's.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> network = load("hubert_small_random", freeze=False)  # a stride of 20 ms
    >>> stacked(network, load("fbank_no_cmvn"), "reconstructed")
    (2, 480)
    """
    name = type(network).__name__
    if target is None and learns_frames(network):
        raise UnfitNetwork(
            f"{name} learns its frames from the waveform, so that they cannot be "
            f"{wish}. Set target: to acoustic features, such as "
            "!new:s3prl_sb.lobes.upstreams.features.StftFeatures."
        )
    if target is None:
        return 1, network.local_size
    example = "s3prl_sb.lobes.upstreams.features.StftFeatures"
    require_object(AcousticFeatures, example, target=target)
    if network.stride % target.stride:
        raise UnfitNetwork(
            f"A frame of {name} is {network.stride} samples long, which is no multiple "
            f"of the {target.stride} samples of target:. Change its hop."
        )
    stack = network.stride // target.stride
    return stack, stack * target.output_size


def unit_of(features: Any) -> str:
    """Returns the unit of acoustic features, for plots.

    Arguments
    ---------
    features : s3prl_sb.lobes.upstreams.features.AcousticFeatures
        Features.

    Returns
    -------
    str

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> unit_of(load("fbank")), unit_of(load("fbank_no_cmvn"))
    ('standard deviations', 'natural logarithm of the power')
    """
    if features.cmvn:
        return "standard deviations"
    if features.feature == "mfcc":
        return "cepstral coefficient"
    quantity = "magnitude" if features.feature == "magnitude" else "power"
    if isinstance(features, StftFeatures) and not features.log:
        return quantity
    return f"natural logarithm of the {quantity}"


@torch.no_grad()
def frames_of(target: Any, wav: torch.Tensor) -> torch.Tensor:
    """Returns the features of a waveform, one frame of them at least.

    Arguments
    ---------
    target : s3prl_sb.lobes.upstreams.features.AcousticFeatures
        Features.
    wav : torch.Tensor
        [samples].

    Returns
    -------
    torch.Tensor
        [frames, size].

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> frames_of(load("fbank_no_cmvn"), torch.randn(100)).shape
    torch.Size([1, 240])
    """
    hidden_states, _ = target(wav[None])
    return hidden_states[-1][0]
