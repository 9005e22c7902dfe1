"""Alignment of features with frames of another rate.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch

CLOSE = 1e-6  # frames by which a time that is a tie may be off, as times are decimals


def count_frames(seconds: float, frame_seconds: float) -> int:
    """Returns the number of frames of an utterance, those whose centres lie in it.

    Arguments
    ---------
    seconds : float
        Duration of the utterance.
    frame_seconds : float
        Duration of a frame; frame ``i`` begins at ``i * frame_seconds``.

    Returns
    -------
    int
        1 at least.

    Example
    -------
    >>> count_frames(0.034, 0.01), count_frames(0.036, 0.01), count_frames(0.001, 0.01)
    (3, 4, 1)
    """
    return max(1, math.ceil(seconds / frame_seconds - 0.5 - CLOSE))


def align(
    features: torch.Tensor,
    lens: torch.Tensor,
    stride_seconds: float,
    frame_seconds: float,
    label_frames: torch.Tensor,
) -> torch.Tensor:
    """Returns the features of frames of another rate.

    A frame gets the features of the feature frame that its centre lies in. Beyond the
    last feature frame of an utterance, this one is repeated.

    Arguments
    ---------
    features : torch.Tensor
        [batch, frames, size].
    lens : torch.Tensor
        [batch], relative lengths.
    stride_seconds : float
        Seconds from one feature frame to the next.
    frame_seconds : float
        Seconds from one frame of the result to the next.
    label_frames : torch.Tensor
        [batch], numbers of frames of the result.

    Returns
    -------
    torch.Tensor
        [batch, longest, size]. Padding repeats the last feature frame.

    Note
    ----
    S3PRL repeats every feature frame k times, where k is the rounded ratio of the
    numbers of label frames and feature frames, and then cuts the end off or repeats the
    last frame. With labels every 10 ms and features every 10 or 20 ms both are equal,
    except at the ends of the shorter utterances of a batch, where S3PRL trains on the
    zeros of the padding. With other rates S3PRL's features and labels drift apart.

    Example
    -------
    >>> features = torch.arange(3.0)[None, :, None]
    >>> longer = align(features, torch.ones(1), 0.02, 0.01, torch.tensor([7]))
    >>> longer.flatten().tolist()
    [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 2.0]
    >>> align(features, torch.ones(1), 0.02, 0.04, torch.tensor([2])).flatten().tolist()
    [1.0, 2.0]
    """
    longest = int(label_frames.max())
    centres = torch.arange(longest, device=features.device).double() + 0.5
    places = (centres * (frame_seconds / stride_seconds) + CLOSE).long()
    last = (lens * features.shape[1]).round().long().to(features.device) - 1
    places = torch.minimum(places[None], last.clamp_min(0)[:, None])
    index = places[..., None].expand(-1, -1, features.shape[-1])
    return features.gather(1, index)
