"""The weighted sum in blocks: bits of the plain sum, gradients, copies, memory."""

import pytest
import torch
from torch.func import vmap

from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.weighted_sum import BLOCK, WeightedSum

SHAPES = [
    (1, 1, 2, 3),
    (0, 5, 3, 4),
    (2, BLOCK, 5, 16),
    (3, BLOCK + 1, 13, 64),
    (4, 211, 13, 768),
]


def inputs(shape, dtype):
    states = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    weights = torch.linspace(-1, 1, shape[2]).softmax(0).requires_grad_()
    return weights, states


def plain(weights, states):
    return torch.tensordot(weights, states.to(weights.dtype), dims=([0], [2]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_bits_and_gradient(shape, dtype):
    weights, states = inputs(shape, dtype)
    total = WeightedSum.apply(weights, states)
    assert total.dtype == torch.float32
    assert torch.equal(total, plain(weights, states))
    grad = torch.randn_like(total)
    total.backward(grad)
    exact = weights.detach().double().requires_grad_()
    plain(exact, states).backward(grad.double())
    error = (weights.grad - exact.grad).abs().max()
    assert error <= 1e-6 * states.float().abs().sum().sqrt().clamp(min=1)


def test_gradient_is_nearer_to_double_precision():
    """The one that it replaces adds a million products in a row."""
    weights, states = inputs((16, 200, 13, 256), torch.float16)
    errors = []
    exact = weights.detach().double().requires_grad_()
    grad = torch.randn(16, 200, 256, generator=torch.Generator().manual_seed(2))
    plain(exact, states).backward(grad.double())
    for function in (WeightedSum.apply, plain):
        (mine,) = torch.autograd.grad(function(weights, states), weights, grad)
        errors.append((mine - exact.grad).abs().max() / exact.grad.abs().max())
    assert errors[0] < 1e-6 and errors[0] < errors[1] < 1e-4


def test_copies_together():
    """Gradients of stacked copies are those of each alone."""
    _, states = inputs((3, 70, 5, 32), torch.float16)
    scalars = torch.randn(4, 5, generator=torch.Generator().manual_seed(3))
    stacked = scalars.clone().requires_grad_()

    def loss(function, row):
        return function(row.softmax(0), states).square().mean()

    together = vmap(lambda row: loss(WeightedSum.apply, row))(stacked)
    together.sum().backward()
    for i, row in enumerate(scalars):
        row = row.clone().requires_grad_()
        alone = loss(WeightedSum.apply, row)
        alone.backward()
        torch.testing.assert_close(together[i], alone)
        torch.testing.assert_close(stacked.grad[i], row.grad)


def test_bits_of_copies_are_as_before():
    _, states = inputs((3, 70, 5, 32), torch.float16)
    rows = torch.randn(4, 5).softmax(1)
    assert torch.equal(
        vmap(lambda row: WeightedSum.apply(row, states))(rows),
        vmap(lambda row: plain(row, states))(rows),
    )


def test_pooled_features_have_the_bits_that_they_had():
    """The sum and its gradient; frames have those of the sum alone."""
    featurizer = Featurizer(5)
    for shape, same in (((32, 1, 5, 16), True), ((4, 211, 5, 16), False)):
        states = torch.randn(shape, generator=torch.Generator().manual_seed(4))
        grads = []
        for total in (featurizer(states), plain(featurizer.weights, states)):
            grads += torch.autograd.grad(total.square().sum(), featurizer.scalars)
            assert torch.equal(total, plain(featurizer.weights, states))
        assert torch.equal(*grads) or not same


def test_states_are_not_copied():
    """The backward pass needs the half precision alone."""
    weights, states = inputs((2, 100, 5, 16), torch.float16)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor
    ):
        WeightedSum.apply(weights, states)
    assert [t.data_ptr() for t in kept if t.numel() > 5] == [states.data_ptr()]


@pytest.mark.parametrize("normalize", [False, True])
def test_featurizer_gives_the_states_their_gradient(normalize):
    """A stack that needs a gradient has one, as before."""
    featurizer = Featurizer(3, normalize=normalize)
    states = torch.randn(2, 70, 3, 8, requires_grad=True)
    total = featurizer(states)
    total.square().sum().backward()
    assert states.grad.abs().min() > 0
    assert torch.equal(total, featurizer(states.detach()))


def test_autocast_changes_nothing():
    featurizer, states = Featurizer(3), torch.randn(2, 70, 3, 8).half()
    expected = featurizer(states)
    expected.sum().backward()
    grad, featurizer.scalars.grad = featurizer.scalars.grad, None
    with torch.autocast("cpu", torch.bfloat16):
        total = featurizer(states)
        total.sum().backward()
    assert torch.equal(total, expected) and torch.equal(featurizer.scalars.grad, grad)
