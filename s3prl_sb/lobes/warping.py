"""Dynamic time warping of two whole sequences: the mean distance on the best path.

A path advances one frame in one sequence, in the other, or in both::

    cost[i, j] = distance[i, j] + min(cost[i-1, j-1], cost[i, j-1], cost[i-1, j])

and the cost at the end is divided by the number of frame pairs on the path. Many pairs
of sequences are computed at once, one anti-diagonal after the other.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

BLOCK = 1 << 17  # cells of one row of all pairs at once; fits into a CPU's cache
BLOCK_GPU = 1 << 24


def path_means(
    distances: torch.Tensor,
    offsets: torch.Tensor,
    widths: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> torch.Tensor:
    """Returns the mean distance on the best path of each pair of sequences.

    Arguments
    ---------
    distances : torch.Tensor
        Distances of frames, flat. Frames ``i`` and ``j`` of pair ``p`` have the
        distance ``distances[offsets[p] + i * widths[p] + j]``, so that pairs may be
        parts of common matrices.
    offsets : torch.Tensor
        [pairs], int64, place of the first distance.
    widths : torch.Tensor
        [pairs], int64, places from one row to the next.
    rows, columns : torch.Tensor
        [pairs], int64, numbers of frames of both sequences.

    Returns
    -------
    torch.Tensor
        [pairs], in the precision of the distances.

    Note
    ----
    Of paths with equal costs the one is counted that libri-light and the ZeroSpeech
    challenges count: seen from the end, the diagonal step is preferred, then the step
    in the second sequence. The lengths of equally good paths may differ.

    Example
    -------
    >>> distances = torch.tensor([1.0, 1.0, 3.0, 3.0, 2.0, 2.0])  # 2 by 3 frames
    >>> path_means(distances, *torch.tensor([[0], [3], [2], [3]]))
    tensor([1.3333])
    """
    means = distances.new_empty(len(offsets))
    on_cpu = distances.device.type == "cpu"
    order = (rows * (columns.max() + 1) + columns).argsort() if len(rows) else rows
    block = BLOCK if on_cpu else BLOCK_GPU
    first = 0
    while first < len(order):
        # Of pairs sorted by their rows, the last one of a block has most.
        size = max(1, block // int(rows[order[first]]))
        longest = int(rows[order[first : first + size][-1]])
        part = order[first : first + max(1, block // longest)]
        chosen = (values[part] for values in (offsets, widths, rows, columns))
        means[part] = _block_means(distances, *chosen)
        first += len(part)
    return means


def _block_means(distances, offsets, widths, rows, columns):
    most, widest = int(rows.max()), int(columns.max())
    pairs = len(offsets)
    # Row 0 stands for the frame before the first one, from which no path comes.
    costs = [distances.new_full((most + 1, pairs), torch.inf) for _ in range(3)]
    lengths = [distances.new_zeros(most + 1, pairs) for _ in range(3)]
    costs[1][0] = 0  # two diagonals before the first cell, where each path begins
    frames = torch.arange(most, device=distances.device)[:, None]
    places = (offsets + frames * (widths - 1)).int()
    ends = rows + columns - 2  # the diagonal of the last cell
    last = torch.stack([rows, torch.arange(pairs, device=rows.device)])
    means = distances.new_empty(pairs)
    for diagonal in range(most + widest - 1):
        low, high = max(0, diagonal - widest + 1), min(diagonal + 1, most)
        here, before, long_before = (costs[(diagonal - k) % 3] for k in range(3))
        length, shorter, shortest = (lengths[(diagonal - k) % 3] for k in range(3))
        same, above = slice(low + 1, high + 1), slice(low, high)
        # Cells beyond a pair's own frames read any distance: no path comes back.
        place = (places[above] + diagonal).clamp_(max=len(distances) - 1)
        local = distances.index_select(0, place.flatten()).view(place.shape)
        beside = torch.minimum(before[same], before[above])
        steps = _either(before[same], before[above], shorter[same], shorter[above])
        steps = _either(long_before[above], beside, shortest[above], steps)
        torch.add(steps, 1, out=length[same])
        torch.add(torch.minimum(long_before[above], beside), local, out=here[same])
        if diagonal == 0:
            costs[1][0] = torch.inf
        ended = (ends == diagonal).nonzero()[:, 0]
        if len(ended):
            row, pair = last[:, ended]
            means[ended] = here[row, pair] / length[row, pair]
    return means


def _either(cost, other_cost, one, other):
    """Returns `one` where `cost <= other_cost`, else `other`, which are whole numbers.

    On a CPU this is ten times as fast as `torch.where`.
    """
    first = torch.le(cost, other_cost, out=torch.empty_like(one))
    return torch.addcmul(other, first, one - other)
