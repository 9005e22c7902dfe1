"""Frames of the patches of a spectrogram: those at one time become one.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

BANDS = ("mean", "concat")


def check_bands(bands: str) -> None:
    """Refuses an unknown arrangement of the patches at one time.

    Arguments
    ---------
    bands : str
        "mean": a frame is the mean of its patches; "concat": they are side by side,
        lowest band first.

    Raises
    ------
    ValueError
        For any other.

    Example
    -------
    >>> check_bands("sum")
    Traceback (most recent call last):
    ValueError: Unknown bands 'sum'. Known: mean, concat
    """
    if bands not in BANDS:
        raise ValueError(f"Unknown bands '{bands}'. Known: {', '.join(BANDS)}")


def frame_size(size: int, patches: int, bands: str) -> int:
    """Returns the size of a frame.

    Arguments
    ---------
    size : int
        Size of a patch.
    patches : int
        Number of patches at one time.
    bands : str
        See :func:`check_bands`.

    Returns
    -------
    int

    Example
    -------
    >>> frame_size(768, 8, "mean"), frame_size(768, 8, "concat")
    (768, 6144)
    """
    return size * patches if bands == "concat" else size


def framed(x: torch.Tensor, bands: str) -> torch.Tensor:
    """Returns frames of patches.

    Arguments
    ---------
    x : torch.Tensor
        [..., patches at one time, size].
    bands : str
        See :func:`check_bands`.

    Returns
    -------
    torch.Tensor
        [..., size of a frame].

    Example
    -------
    >>> x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    >>> framed(x, "mean").tolist(), framed(x, "concat").tolist()
    ([[2.0, 3.0]], [[1.0, 2.0, 3.0, 4.0]])
    """
    return x.mean(-2) if bands == "mean" else x.flatten(-2)
