"""Dynamic time warping of whole sequences against plain loops."""

import numpy
import pytest
import torch

from s3prl_sb.lobes import warping


def naive(distances):
    """Mean distance on the best path, one cell at a time, then back from the end."""
    rows, columns = distances.shape
    costs = numpy.full((rows + 1, columns + 1), numpy.inf, dtype="float32")
    costs[0, 0] = 0
    for i in range(rows):
        for j in range(columns):
            before = min(costs[i, j], costs[i + 1, j], costs[i, j + 1])
            costs[i + 1, j + 1] = distances[i, j] + before
    i, j, length = rows, columns, 1
    while (i, j) != (1, 1):
        across, left, up = costs[i - 1, j - 1], costs[i, j - 1], costs[i - 1, j]
        if across <= left and across <= up:
            i, j = i - 1, j - 1
        elif left <= up:
            j -= 1
        else:
            i -= 1
        length += 1
    return costs[-1, -1] / numpy.float32(length)


@pytest.mark.parametrize("block", [1, 40, 1 << 20])
@pytest.mark.parametrize("ties", [False, True])
def test_equals_loops(monkeypatch, block, ties):
    monkeypatch.setattr(warping, "BLOCK", block)
    random = numpy.random.default_rng(0)
    flat, places, expected = [], [], []
    for _ in range(40):
        rows, columns = random.integers(1, 9, 2)
        width = columns + random.integers(0, 3)  # a part of a wider matrix
        matrix = random.random((rows, width)).astype("float32")
        if ties:
            matrix = random.integers(0, 2, (rows, width)).astype("float32")
        places.append((sum(map(len, flat)), width, rows, columns))
        flat.append(matrix.ravel())
        expected.append(naive(matrix[:, :columns]))
    joined = torch.from_numpy(numpy.concatenate(flat))
    means = warping.path_means(joined, *torch.tensor(places).T)
    assert means.tolist() == numpy.array(expected).tolist()


def test_no_pairs():
    none = torch.empty(0, dtype=torch.int64)
    assert len(warping.path_means(torch.ones(1), none, none, none, none)) == 0
