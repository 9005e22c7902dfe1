"""Distances between frames of items, for the comparison of phones.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.dtw import frame_distances

#: Distances: the angle over pi; Euclidean; the symmetric divergence of posteriors.
DISTANCES = ("angular", "euclidean", "kl")
LEAST = 1e-6  # added to posteriors before the logarithm


class DistanceError(UserError, ValueError):
    """A distance that does not exist, or does not fit the features."""


def frames_between(
    start: float, stop: float, stride_seconds: float, count: int
) -> tuple[int, int]:
    """Returns the first frame of an item and the one after its last.

    As in libri-light, the last frame whose centre lies in the item is left out.

    Arguments
    ---------
    start, stop : float
        Seconds from the start of the utterance.
    stride_seconds : float
        Seconds from one frame to the next.
    count : int
        Number of frames of the utterance.

    Returns
    -------
    tuple of int

    Example
    -------
    >>> frames_between(0.1, 0.2, 0.02, 100)
    (5, 9)
    """
    rate = 1 / stride_seconds
    first = max(0, math.ceil(rate * start - 0.5))
    return first, min(count, math.floor(rate * stop - 0.5))


class FrameDistances:
    """Distances between frames of a hidden state.

    A frame of zeros has the largest angle, 1, to all frames that are not zeros.

    Arguments
    ---------
    frames : torch.Tensor
        [frames, size]; not negative for "kl".
    distance : str
        One of :data:`DISTANCES`.

    Raises
    ------
    DistanceError
        If there is no such distance, or it needs posteriors.

    Example
    -------
    >>> frames = torch.eye(2)
    >>> between = FrameDistances(frames, "angular")
    >>> between(torch.tensor([0]), torch.tensor([0, 1]))
    tensor([[0.0000, 0.5000]])
    """

    def __init__(self, frames: torch.Tensor, distance: str):
        if distance not in DISTANCES:
            there = ", ".join(DISTANCES)
            raise DistanceError(
                f"There is no distance '{distance}'. There are: {there}."
            )
        self.distance, self.frames = distance, frames
        if distance == "angular":
            self.frames = torch.nn.functional.normalize(frames, dim=-1)
            self.zero = (frames == 0).all(-1)
            self.has_zero = bool(self.zero.any())
        elif distance == "kl":
            if (frames < 0).any():
                raise DistanceError(
                    "Posteriors are not negative, and these features are. Choose "
                    "--distance angular or euclidean."
                )
            self.logs = (frames + LEAST).log()
            self.entropy = (frames * self.logs).sum(-1)

    def __call__(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Returns the distances [rows, columns] of frames with these numbers."""
        rows, columns = rows.to(self.frames.device), columns.to(self.frames.device)
        x, y = self.frames[rows], self.frames[columns]
        if self.distance == "euclidean":
            return frame_distances(x, y, "euclidean")
        if self.distance == "kl":
            crossed = x @ self.logs[columns].T + self.logs[rows] @ y.T
            own = self.entropy[rows][:, None] + self.entropy[columns]
            return (own - crossed).div_(2).clamp_(min=0)
        cosines = x @ y.T
        if self.has_zero:
            one, other = self.zero[rows][:, None], self.zero[columns]
            cosines.masked_fill_(one ^ other, -1).masked_fill_(one & other, 1)
        return cosines.clamp_(-1, 1).acos_().div_(math.pi)
