"""Distance of two spectrograms along their best alignment in time.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def warped_distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Computes the mean absolute difference of aligned frames.

    The alignment is the path of dynamic time warping with the smallest sum: it advances
    one frame in one of the two spectrograms or in both.

    Arguments
    ---------
    one, other : torch.Tensor
        [frames, size] and [other frames, size].

    Returns
    -------
    float
        Mean over the path and over the values of a frame.

    Example
    -------
    >>> one = torch.tensor([[0.0], [1.0], [1.0], [2.0]])
    >>> warped_distance(one, torch.tensor([[0.0], [1.0], [2.0], [2.5]]))
    0.1
    """
    one, other = one.double(), other.double().flip(0)
    rows, columns = len(one), len(other)
    # Cell i of a diagonal is that of row i - 1; no path comes from row 0.
    cost = [torch.full((rows + 1,), torch.inf).double() for _ in range(3)]
    steps = [torch.zeros(rows + 1) for _ in range(3)]
    cost[1][0] = 0.0  # two diagonals before the first cell, where each path begins
    for diagonal in range(rows + columns - 1):
        # The distances of a diagonal alone: all of them are gigabytes for minutes
        here, before, long_before = ((diagonal - k) % 3 for k in range(3))
        low, high = max(0, diagonal - columns + 1), min(diagonal + 1, rows)
        row = torch.arange(low, high)
        start = columns - 1 - diagonal
        distances = one[low:high] - other[start + low : start + high]
        ways = torch.stack(
            [cost[long_before][row], cost[before][row], cost[before][row + 1]]
        )
        lengths = torch.stack(
            [steps[long_before][row], steps[before][row], steps[before][row + 1]]
        )
        best, way = ways.min(0)
        cost[here].fill_(torch.inf)
        cost[here][row + 1] = best + distances.abs().mean(1)
        steps[here][row + 1] = lengths.gather(0, way[None])[0] + 1
        if diagonal == 0:
            cost[1][0] = torch.inf
    last = (rows + columns - 2) % 3
    return float(cost[last][rows] / steps[last][rows])
