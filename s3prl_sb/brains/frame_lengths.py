"""Lengths of labels of frames, which are made by the manifest, and of features.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch

from s3prl_sb.startup.configuration import RecipeError

TOLERANCE = 0.1  # seconds by which the features of an utterance may be too short


def check_lengths(
    names: Sequence[str],
    wanted: torch.Tensor,
    seconds: torch.Tensor,
    stride: float,
    frame_seconds: float,
) -> None:
    """Checks that labels, made by the manifest, and features are equally long.

    Arguments
    ---------
    names : list of str
        Ids of the utterances.
    wanted, seconds : torch.Tensor
        [batch], seconds of the labels and of the features.
    stride, frame_seconds : float
        Seconds from one frame to the next, of the features and of the labels.

    Raises
    ------
    RecipeError
        Names an utterance whose audio has changed.
    """
    # The last frame may end up to half a frame before the audio or after it
    tolerance = TOLERANCE + 2 * stride + frame_seconds / 2
    for name, need, have in zip(names, wanted.tolist(), seconds.tolist()):
        is_one = need < 1.5 * frame_seconds  # also of audio that is shorter
        if have - need > tolerance or (need - have > tolerance and not is_one):
            raise RecipeError(
                f"'{name}' has {have:.2f} s of features, but by its duration in "
                f"the manifest {need:.2f} s. Has the audio changed since? Prepare "
                "again, into another save_folder."
            )
