"""Packed frames: those of all utterances of a batch in one tensor.

[total_frames, size], utterances one after the other, and a list of how many
each has. What works on every frame by itself runs over all of them at once;
what looks along time uses the functions of this module, which keep utterances
apart without computing any padding.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def along_time(convolution, x, frames, reach):
    """A convolution over time, of each utterance by itself.

    On a CPU one after the other, which is faster than all at once and gives each the
    bits that it would get alone. On other devices they are laid out with as many zeros
    between them as the kernel reaches, which are those that each would be padded with.

    Arguments
    ---------
    convolution : callable
        [1, size, time] -> [1, other size, time or more], padding with
        ``reach`` zeros at either end.
    x : torch.Tensor
        [total_frames, size].
    frames : list of int
        Frames of each utterance.
    reach : int
        How far the kernel looks.

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
        # An even kernel gives one frame too many.
        return torch.cat([piece[:n] for piece, n in zip(pieces, frames)])
    zeros = x.new_zeros(reach, x.shape[1])
    line = [part for piece in x.split(frames) for part in (piece, zeros)]
    line = convolution(torch.cat(line[:-1]).T[None])[0].T
    parts, start = [], 0
    for count in frames:
        parts.append(line[start : start + count])
        start += count + reach
    return torch.cat(parts)


def windows(frames, size, overlap):
    """Overlapping windows of packed frames.

    Arguments
    ---------
    frames : list of int
        Frames of each utterance.
    size : int
        Frames that each window is there for; an utterance that one window
        sees to its end is not cut.
    overlap : int
        Frames that it sees on either side of them.

    Returns
    -------
    rows : torch.Tensor
        Where the frames of all windows lie among the packed frames.
    sizes : list of int
        Frames of each window.
    kept : torch.Tensor
        Where, among the frames of the windows, the packed frames lie.

    Example
    -------
    >>> rows, sizes, kept = windows([5], size=2, overlap=1)
    >>> rows.tolist(), sizes, rows[kept].tolist()
    ([0, 1, 2, 1, 2, 3, 4, 3, 4], [3, 4, 2], [0, 1, 2, 3, 4])
    """
    rows, sizes, kept, start = [], [], [], 0
    for count in frames:
        whole = count <= size + overlap  # the first window would see it all
        for first in range(0, count, count if whole else size):
            last = count if whole else min(first + size, count)
            left, right = max(0, first - overlap), min(count, last + overlap)
            before = sum(sizes)
            rows.append(torch.arange(start + left, start + right))
            kept.append(torch.arange(first - left, last - left) + before)
            sizes.append(right - left)
        start += count
    return torch.cat(rows), sizes, torch.cat(kept)
