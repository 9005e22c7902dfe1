"""Packed frames: all utterances of a batch, concatenated in one tensor.

The tensor is [total_frames, size]; a list has the number of frames of each utterance.
Layers that work frame by frame run over all of them at once. Layers that look along
time use the functions of this module, which separate utterances without computing any
padding.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def along_time(convolution, x, frames, reach):
    """Applies a convolution over time to each utterance separately.

    On a CPU utterances run one after the other, which is faster than all at once and
    makes the results bit-identical to those of single utterances. On other devices
    they are concatenated with ``reach`` zeros between them, as their padding.

    Arguments
    ---------
    convolution : callable
        [1, size, time] -> [1, other size, time or more], padding with
        ``reach`` zeros at either end.
    x : torch.Tensor
        [total_frames, size].
    frames : list of int
        Number of frames of each utterance.
    reach : int
        Number of frames that the kernel sees on either side.

    Returns
    -------
    torch.Tensor
        [total_frames, other size].

    Example
    -------
    >>> mean = torch.nn.AvgPool1d(3, 1, padding=1)
    >>> along_time(mean, torch.tensor([[3.0], [3.0], [9.0]]), [2, 1], 1).tolist()
    [[2.0], [2.0], [3.0]]
    """
    if len(frames) == 1 or x.device.type == "cpu":
        pieces = (convolution(piece.T[None])[0].T for piece in x.split(frames))
        # An even kernel returns one frame too many.
        return torch.cat([piece[:n] for piece, n in zip(pieces, frames)])
    zeros = x.new_zeros(reach, x.shape[1])
    line = [part for piece in x.split(frames) for part in (piece, zeros)]
    line = convolution(torch.cat(line[:-1]).T[None])[0].T
    parts, start = [], 0
    for count in frames:
        parts.append(line[start : start + count])
        start += count + reach
    return torch.cat(parts)


def chunk_sizes(frame_rate, chunk_seconds, overlap_seconds):
    """Converts the lengths of chunks and of their overlap to frames.

    Arguments
    ---------
    frame_rate : float
        Frames in a second.
    chunk_seconds : float, optional
        Length of the chunks. None: there are none.
    overlap_seconds : float
        Context on either side.

    Returns
    -------
    (int, int) or None
        Arguments of :func:`windows`.

    Raises
    ------
    ValueError
        If a chunk has no frame.

    Example
    -------
    >>> chunk_sizes(50, 30, 2)
    (1500, 100)
    """
    if chunk_seconds is None:
        return None
    size, overlap = (
        round(chunk_seconds * frame_rate),
        round(overlap_seconds * frame_rate),
    )
    if size < 1 or overlap < 0:
        raise ValueError(
            f"chunk_seconds {chunk_seconds} and overlap_seconds "
            f"{overlap_seconds} are {size} and {overlap} frames; chunks have "
            "one at least, overlaps none or more."
        )
    return size, overlap


def windows(frames, size, overlap):
    """Cuts packed frames into overlapping windows.

    Arguments
    ---------
    frames : list of int
        Number of frames of each utterance.
    size : int
        Number of frames that a window covers. An utterance that one window sees
        completely is not cut.
    overlap : int
        Number of frames of context on either side.

    Returns
    -------
    rows : torch.Tensor
        Indices of the windows' frames in the packed frames.
    sizes : list of int
        Number of frames of each window.
    kept : torch.Tensor
        Indices of the packed frames in the windows' frames.

    Example
    -------
    >>> rows, sizes, kept = windows([5], size=2, overlap=1)
    >>> rows.tolist(), sizes, rows[kept].tolist()
    ([0, 1, 2, 1, 2, 3, 4, 3, 4], [3, 4, 2], [0, 1, 2, 3, 4])
    """
    rows, sizes, kept, start = [], [], [], 0
    for count in frames:
        whole = count <= size + overlap  # the first window sees all of it
        for first in range(0, count, count if whole else size):
            last = count if whole else min(first + size, count)
            left, right = max(0, first - overlap), min(count, last + overlap)
            before = sum(sizes)
            rows.append(torch.arange(start + left, start + right))
            kept.append(torch.arange(first - left, last - left) + before)
            sizes.append(right - left)
        start += count
    return torch.cat(rows), sizes, torch.cat(kept)
