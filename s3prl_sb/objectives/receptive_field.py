"""Checks of the frames that a network sees, before it is pre-trained.

A network that sees the frame that it should predict copies it, and learns nothing. The
checks run the network on random frames, whatever its class.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Any

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.causality import is_causal

FRAMES = 47  #: frames of the check; more than a convolution of NPC spans
TOLERANCE = 1e-5  #: relative; above the noise of sums in another order


class UnfitNetwork(UserError, ValueError):
    """Network that an objective cannot train; the message names one that it can."""


def last_state(network: Any, x: torch.Tensor, frames: list[int]) -> torch.Tensor:
    """Returns the last hidden state.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.stages.Stages
        Network.
    x : torch.Tensor
        Input of the encoder, [total_frames, embedded_size].
    frames : list of int
        Number of frames of each utterance.

    Returns
    -------
    torch.Tensor
        [total_frames, output_size].

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> last_state(Apc(config={"hidden_size": 8}), torch.randn(9, 80), [5, 4]).shape
    torch.Size([9, 8])
    """
    *_, state = network.contextualize(x, frames)
    return state


def require_past_only(network: Any) -> None:
    """Checks that no frame of a network sees a later one.

    Raises
    ------
    UnfitNetwork
        If one does.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> require_past_only(Apc(config={"hidden_size": 8}))
    """
    if not is_causal(network):
        raise UnfitNetwork(
            f"APC predicts future frames, but {type(network).__name__} sees them: its "
            "hidden states depend on later frames. Choose a network of the past alone: "
            "s3prl_sb.lobes.upstreams.apc.Apc, or AcousticEncoder with causal: True."
        )


def sees_itself(network: Any) -> bool:
    """Returns whether a frame of the last hidden state depends on the local frame at
    its place.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.stages.Stages
        Network. It is run on random frames, in eval mode, and not changed.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> from s3prl_sb.lobes.upstreams.npc import Npc
    >>> sees_itself(Apc(config={"hidden_size": 8})), sees_itself(Npc())
    (True, False)
    """
    middle, random = FRAMES // 2, torch.Generator().manual_seed(0)
    x = torch.randn(FRAMES, network.local_size, generator=random)
    other = x.clone()
    other[middle] *= -10
    weight = next(network.network.parameters())
    training, _ = network.training, network.eval()
    try:
        with torch.no_grad():
            a, b = (
                last_state(network, network.embed(frames.to(weight)), [FRAMES])
                for frames in (x, other)
            )
    finally:
        network.train(training)
    difference = (a[middle] - b[middle]).abs().max()
    return bool(difference > TOLERANCE * a.abs().max())


def require_hidden_frame(network: Any) -> None:
    """Checks that no frame of a network's last hidden state sees itself.

    Raises
    ------
    UnfitNetwork
        If it does.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.npc import Npc
    >>> require_hidden_frame(Npc(config={"hidden_size": 8}))
    """
    if sees_itself(network):
        raise UnfitNetwork(
            "NPC reconstructs a frame from those around it, but "
            f"{type(network).__name__} sees the frame itself. Choose a network that "
            "masks it: s3prl_sb.lobes.upstreams.npc.Npc."
        )


def learns_frames(network: Any) -> bool:
    """Returns whether a network learns its local frames.

    Acoustic features have no weights, convolutions over the waveform have.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> learns_frames(Apc(config={"hidden_size": 8}, freeze=False))
    False
    """
    device = next(network.parameters()).device
    with torch.enable_grad():
        x, _ = network.local([torch.ones(network.min_samples, device=device)])
    return x.requires_grad


def require_features(network: Any, objective: str) -> None:
    """Checks that a network's local frames are acoustic features.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.stages.Stages
        Network.
    objective : str
        Name of the objective, for the message.

    Raises
    ------
    UnfitNetwork
        If the network learns them: predicting them, it would make them constant.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> require_features(Apc(config={"hidden_size": 8}), "APC")
    """
    if learns_frames(network):
        raise UnfitNetwork(
            f"{objective} predicts acoustic features, but {type(network).__name__} "
            "learns its frames from the waveform. Choose a network over features, "
            "such as AcousticEncoder."
        )
