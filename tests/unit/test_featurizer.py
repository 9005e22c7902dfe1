"""The weighted sum of hidden states."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.featurizer import Featurizer


def states(layers=4, batch=2, frames=5, size=8, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (layers, batch, frames, size)
    return list(torch.randn(shape, generator=generator).to(dtype))


def naive(hidden_states, scalars, normalize):
    """The formula: stack, norm, weigh, sum."""
    stack = torch.stack(hidden_states).float()
    if normalize:
        mean, var = (
            stack.mean(-1, keepdim=True),
            stack.var(-1, correction=0, keepdim=True),
        )
        stack = (stack - mean) / (var + 1e-5).sqrt()
    return (scalars.softmax(0)[:, None, None, None] * stack).sum(0)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("cached", [False, True])
def test_weighted_sum_and_its_gradient(cached, dtype, normalize):
    featurizer = Featurizer(4, normalize=normalize)
    featurizer.scalars.data = torch.tensor([0.3, -1.0, 2.0, 0.0])
    scalars = featurizer.scalars.detach().clone().requires_grad_()
    hidden = [state.requires_grad_() for state in states(dtype=dtype)]
    copies = [state.detach().clone().requires_grad_() for state in hidden]
    given = torch.stack(hidden, dim=2) if cached else hidden
    result, expected = featurizer(given), naive(copies, scalars, normalize)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected)
    pull = torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
    (result * pull).sum().backward()
    (expected * pull).sum().backward()
    torch.testing.assert_close(featurizer.scalars.grad, scalars.grad)
    for a, b in zip(hidden, copies):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize(
    "layers, chosen",
    [
        ("all", [0, 1, 2, 3]),
        ("last", [3]),
        (0, [0]),
        (-1, [3]),
        ([2], [2]),
        ([0, 2], [0, 2]),
        ([-1, 1], [1, 3]),
        ((2, 0), [0, 2]),
        (range(2), [0, 1]),
        (np.int64(2), [2]),
        ([np.int32(-1), 0], [0, 3]),
        (np.array([2, 1]), [1, 2]),
        (torch.tensor([3, 0]), [0, 3]),
    ],
)
def test_chosen_layers(layers, chosen):
    featurizer, hidden = Featurizer(4, layers=layers), states()
    assert featurizer.layers == chosen
    expected = sum(hidden[i] for i in chosen) / len(chosen)
    torch.testing.assert_close(featurizer(hidden), expected)
    torch.testing.assert_close(
        featurizer(torch.stack([hidden[i] for i in chosen], dim=2)), expected
    )
    assert len(featurizer.weights) == len(chosen)
    assert featurizer.weights.sum().item() == pytest.approx(1)
    assert bool(featurizer.state_dict()) == (len(chosen) > 1)


def test_one_layer_has_nothing_to_learn():
    featurizer, hidden = Featurizer(1), states(1, frames=1)
    assert list(featurizer.parameters()) == [] and featurizer.weights.tolist() == [1]
    assert torch.equal(featurizer(hidden), hidden[0])


@pytest.mark.parametrize(
    "layers, message",
    [
        (4, "no hidden state 4; .* has 4, 0 to 3"),
        (-5, "no hidden state -5"),
        ([0, 9], "no hidden state 9"),
        ([], "empty"),
        ([1, 1], "twice"),
        ([3, -1], "twice"),
        ("first", "'all' or 'last'"),
        ([0.5], "no hidden state 0.5"),
        (True, "no hidden state True"),
        (np.float64(1), "no hidden state 1.0"),
        (np.array([4]), "no hidden state 4"),
        (None, "no hidden state None"),
    ],
)
def test_bad_layers(layers, message):
    with pytest.raises(ValueError, match=message):
        Featurizer(4, layers=layers)


def test_the_order_of_layers_changes_nothing():
    """Nor is a stack of all of them taken for another order of them."""
    hidden, weights = states(), torch.randn(4)
    found = []
    for layers in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        featurizer = Featurizer(4, layers=layers)
        featurizer.scalars.data.copy_(weights)
        found += [featurizer(hidden), featurizer(torch.stack(hidden, dim=2))]
    assert all(torch.equal(one, found[0]) for one in found[::2])
    assert all(torch.equal(one, found[1]) for one in found[1::2])
    torch.testing.assert_close(found[0], found[1])


def test_the_default_type_of_torch_changes_nothing():
    hidden = states()
    expected = Featurizer(4)(hidden)
    torch.set_default_dtype(torch.float64)
    try:
        for layers in ("all", 1):
            featurizer = Featurizer(4, layers=layers)
            assert featurizer.weights.dtype == torch.float32
            assert featurizer(torch.stack(hidden, 2)).dtype == torch.float32
            assert featurizer(hidden).dtype == torch.float32
        assert torch.equal(Featurizer(4)(hidden), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_other_upstream():
    with pytest.raises(ValueError, match="got 3 hidden states, built for 4"):
        Featurizer(4)(states(3))


def test_other_cache():
    """The layers of a cache are those of the featurizer, or it is another cache."""
    with pytest.raises((ValueError, RuntimeError)):
        Featurizer(4)(torch.stack(states(3), dim=2))


@pytest.mark.parametrize("normalize", [False, True])
def test_linear_means_it_commutes_with_the_mean(normalize):
    featurizer = Featurizer(4, normalize=normalize)
    featurizer.scalars.data.normal_()
    hidden = [state + 3 for state in states()]
    after = featurizer(hidden).mean(1)
    before = featurizer([state.mean(1, keepdim=True) for state in hidden])[:, 0]
    assert featurizer.linear is not normalize
    assert torch.allclose(after, before, atol=1e-5) is featurizer.linear


def test_starts_as_the_average():
    hidden = states(dtype=torch.float16)
    result = Featurizer(4)(hidden)
    torch.testing.assert_close(result, torch.stack(hidden).float().mean(0))
    normed = Featurizer(4, layers=2, normalize=True)(hidden)
    torch.testing.assert_close(normed, F.layer_norm(hidden[2].float(), (8,)))


@pytest.mark.parametrize("layers", ["last", 1, [0, 2], "all"])
def test_a_stack_of_all_layers_gives_the_chosen_ones(layers):
    states = [torch.randn(2, 5, 8) for _ in range(3)]
    featurizer = Featurizer(3, layers=layers)
    stacked = featurizer(torch.stack(states, dim=2))
    assert torch.allclose(stacked, featurizer(states), atol=1e-6)


def test_a_stack_of_other_layers_is_an_error():
    with pytest.raises(ValueError, match="stack of 2 hidden states"):
        Featurizer(4, layers=[0, 1, 2])(torch.randn(2, 5, 2, 8))


def test_states_of_unequal_size():
    states = [torch.ones(1, 5, 8), torch.ones(1, 5, 6)]
    with pytest.raises(ValueError, match=r"sizes \[8, 6\]"):
        Featurizer(2)(states)
    assert Featurizer(2, layers="last")(states).shape == (1, 5, 6)
