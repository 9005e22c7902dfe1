"""Batches gathered in one go are SpeechBrain's."""

import numpy as np
import pytest
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.utils.data_utils import batch_pad_right

from s3prl_sb.dataio.collation import collate, pad_right


def tensors(lengths, *rest, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = [(length, *rest) for length in lengths]
    return [torch.randn(s, generator=generator).mul(9).to(dtype) for s in shapes]


CASES = [
    tensors([1, 1, 1], 13, 8),
    tensors([7, 3, 11, 1], 13, 8, dtype=torch.float16),
    tensors([7, 3, 11, 1], dtype=torch.int64),
    tensors([5], 2),
    tensors([3, 0, 2], 4),
    tensors([3, 7, 49], 1),  # whose quotients are rounded
]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_padding_is_speechbrains(case):
    for mine, theirs in zip(pad_right(case), batch_pad_right(case)):
        assert mine.dtype == theirs.dtype and torch.equal(mine, theirs)


def test_gradients_pass():
    """A pipe may have weights."""
    weight = torch.ones(1, requires_grad=True)
    for lengths in ([2, 2], [3, 1]):
        batch, _ = pad_right([torch.ones(length) * weight for length in lengths])
        (grad,) = torch.autograd.grad(batch.sum(), weight)
        assert grad == sum(lengths)


@pytest.mark.parametrize(
    "case",
    [[], [torch.ones(2, 3), torch.ones(2, 4)], [torch.ones(2), torch.ones(1, 1)]],
)
def test_errors_are_speechbrains(case):
    with pytest.raises((IndexError, OSError)) as theirs:
        batch_pad_right(case)
    with pytest.raises(type(theirs.value)) as mine:
        pad_right(case)
    assert str(mine.value) == str(theirs.value)


def test_other_options_are_speechbrains():
    mine, theirs = pad_right(CASES[2], value=-1), batch_pad_right(CASES[2], value=-1)
    assert torch.equal(mine[0], theirs[0]) and -1 in mine[0]


EXAMPLES = {
    "feats": [torch.ones(1, 2, 3), torch.zeros(1, 2, 3)],
    "array": [np.ones(3), np.ones(2)],
    "text": ["a", "b"],
    "number": [1, 2],
    "rate": [0.5, 2.0],
    "flag": [True, False],
    "words": [["a"], ["b", "c"]],
    "nothing": [None, None],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_batches_are_speechbrains(name):
    rows = [{"id": f"u{i}", name: v} for i, v in enumerate(EXAMPLES[name])]
    mine, theirs = collate(rows), PaddedBatch(rows)
    assert mine.id == theirs.id and type(mine) is type(theirs)
    one, other = mine[name], theirs[name]
    assert type(one) is type(other)
    if hasattr(one, "lengths"):
        assert torch.equal(one.lengths, other.lengths)
        one, other = one.data, other.data
    if torch.is_tensor(one):
        assert one.dtype == other.dtype and torch.equal(one, other)
    else:
        assert one == other
