"""Deltas of features over time, and their normalization within an utterance.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

EPSILON = 1e-10
COLUMNS = 8  # dimensions that the in-place functions compute together


def add_deltas(x, order=2, window=5):
    """Appends deltas over time, up to a given order.

    Arguments
    ---------
    x : torch.Tensor
        [batch, frames, size].
    order : int
        Order of the highest deltas.
    window : int
        Number of frames that a delta spans, odd. The first and the last frame
        are repeated beyond the ends.

    Returns
    -------
    torch.Tensor
        [batch, frames, (order + 1) * size].

    Example
    -------
    >>> ramp = torch.arange(9.0).view(1, 9, 1)
    >>> add_deltas(ramp, order=1)[0, 4].tolist()
    [4.0, 1.0]
    """
    reach, frames, streams = (window - 1) // 2, x.shape[1], [x]
    steps = range(1, reach + 1)
    # By indexing and pairs, not a convolution: exactly zero in silence.
    times = torch.arange(-reach, frames + reach, device=x.device).clamp(0, frames - 1)
    for _ in range(order):
        x = streams[-1][:, times].unfold(1, frames, 1)  # [batch, shift, size, frames]
        slope = sum(n * (x[:, reach + n] - x[:, reach - n]) for n in steps)
        streams.append(slope.transpose(1, 2) / (2 * sum(n * n for n in steps)))
    return torch.cat(streams, dim=-1)


def normalize(x):
    """Normalizes each dimension to zero mean and unit variance over time (CMVN).

    Arguments
    ---------
    x : torch.Tensor
        Whole utterances, [batch, frames, size].

    Returns
    -------
    torch.Tensor

    Note
    ----
    The standard deviation is the unbiased one. For an utterance of a single
    frame S3PRL returns NaN; here the result is zero, as for any constant dimension.

    Example
    -------
    >>> normalize(torch.tensor([[[1.0, 7.0], [3.0, 7.0]]]))[0].tolist()
    [[-0.7071067690849304, 0.0], [0.7071067690849304, 0.0]]
    >>> normalize(torch.ones(1, 1, 2)).tolist()
    [[[0.0, 0.0]]]
    """
    # Minus the first frame, a constant is exactly zero. Otherwise the rounding
    # error of its mean would be divided by an epsilon of 1e-10.
    x = x - x[:, :1]
    # The rounding error of a mean grows with its size, which an unusual first frame
    # makes large. It remains in every frame, and is subtracted with a second mean.
    x = x - x.mean(1, keepdim=True)
    x = x - x.mean(1, keepdim=True)
    return x / (x.std(1, correction=int(x.shape[1] > 1), keepdim=True) + EPSILON)


def gathered(pieces, frames, deltas):
    """Concatenates pieces of features, with room for their deltas.

    Arguments
    ---------
    pieces : iterable of torch.Tensor
        Consecutive pieces [batch, frames_i, size].
    frames : int
        Total number of frames.
    deltas : int
        Highest order of the deltas.

    Returns
    -------
    torch.Tensor
        [batch, frames, size * (deltas + 1)]; the room for deltas is undefined.

    Example
    -------
    >>> gathered([torch.zeros(1, 3, 2), torch.ones(1, 2, 2)], 5, 0)[0, :, 0].tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0]
    """
    features, first = None, 0
    for piece in pieces:
        if features is None:
            size = piece.shape[-1]
            features = piece.new_empty(len(piece), frames, size * (deltas + 1))
        features[:, first : first + piece.shape[1], :size] = piece
        first += piece.shape[1]
    return features


def fill_deltas(x, order, window):
    """Computes :func:`add_deltas` in place and in little memory.

    Arguments
    ---------
    x : torch.Tensor
        [batch, frames, size * (order + 1)], from :func:`gathered`.
    order, window : int
        See :func:`add_deltas`.

    Example
    -------
    >>> x = torch.zeros(1, 5, 2)
    >>> x[..., 0] = torch.arange(5)
    >>> fill_deltas(x, 1, 3)
    >>> x[0, :, 1].tolist()
    [0.5, 1.0, 1.0, 1.0, 0.5]
    """
    size = x.shape[-1] // (order + 1)
    for last in range(order):
        for first in range(0, size, COLUMNS):
            start, stop = last * size + first, last * size + min(first + COLUMNS, size)
            deltas = add_deltas(x[..., start:stop], 1, window)
            x[..., start + size : stop + size] = deltas[..., stop - start :]


def normalize_in_place(x):
    """Computes :func:`normalize` in place and in little memory.

    Arguments
    ---------
    x : torch.Tensor
        [batch, frames, size].

    Example
    -------
    >>> x = torch.tensor([[[1.0, 7.0], [3.0, 7.0]]])
    >>> normalize_in_place(x)
    >>> x[0].tolist()
    [[-0.7071067690849304, 0.0], [0.7071067690849304, 0.0]]
    """
    for first in range(0, x.shape[-1], COLUMNS):
        x[..., first : first + COLUMNS] = normalize(x[..., first : first + COLUMNS])
