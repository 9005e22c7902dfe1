"""SI-SDR and its improvement, against torchmetrics and by hand; the best order."""

import itertools

import numpy as np
import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from s3prl_sb.metrics.separation import best_permutation, si_sdr, si_sdr_improvement


def signals(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("zero_mean", [False, True])
def test_si_sdr_is_torchmetrics(zero_mean):
    references = signals(3, 2, 4000) + 0.3
    estimates = 0.4 * references + 0.2 * signals(3, 2, 4000, seed=1) + 0.1
    expected = scale_invariant_signal_distortion_ratio(
        estimates.double(), references.double(), zero_mean=zero_mean
    )
    found = si_sdr(estimates, references, zero_mean)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)
    other = si_sdr(estimates, references, not zero_mean)
    assert (found - other).abs().min() > 0.01


def test_scale_and_offset():
    reference = signals(2000)
    estimate = reference + 0.1 * signals(2000, seed=1)
    level = si_sdr(estimate, reference)
    torch.testing.assert_close(si_sdr(-1e4 * estimate, reference), level)
    torch.testing.assert_close(si_sdr(estimate + 1, reference - 2), level)
    with_means = si_sdr(estimate + 1, reference, zero_mean=False)
    assert with_means < si_sdr(estimate, reference, zero_mean=False) - 5


def test_si_sdr_is_s3prls():
    """Values of pb_bss_eval 0.0.2, which asteroid 0.4.4 measures with."""
    random = np.random.RandomState(0).randn(100)
    reference = torch.from_numpy(random)
    expected = {
        -25.667776414307276: [reference.flip(0), reference.flip(0) + 3],
        0.45209389949800527: [reference + reference.flip(0)],
        -80.0: [0 * reference],
    }
    for value, estimates in expected.items():
        for estimate in estimates:
            assert si_sdr(estimate, reference).item() == pytest.approx(value, abs=1e-4)


def test_perfect_and_silent_signals():
    reference, silent = signals(2000), torch.zeros(2000)
    assert si_sdr(reference, reference) == 100
    assert si_sdr(silent, reference) == -80
    assert si_sdr(silent, reference, zero_mean=False) == -80
    assert si_sdr(reference, silent).isnan() and si_sdr(silent, silent).isnan()


def test_improvement_over_the_mixture():
    sources = signals(2, 3000)
    mixture = sources.sum(0)
    estimates = sources + 0.05 * signals(2, 3000, seed=4)
    found = si_sdr_improvement(estimates, sources, mixture)
    by_hand = [si_sdr(e, s) - si_sdr(mixture, s) for e, s in zip(estimates, sources)]
    torch.testing.assert_close(found, torch.stack(by_hand))
    batch = si_sdr_improvement(estimates[None], sources[None], mixture[None])
    torch.testing.assert_close(batch[0], found)
    nothing = si_sdr_improvement(mixture.expand(2, -1), sources, mixture)
    assert nothing.tolist() == [0, 0]


@pytest.mark.parametrize("number", [1, 2, 4])
def test_the_best_order_is_that_of_all_orders(number):
    for seed in range(5):
        sources = signals(number, 500, seed=seed)
        estimates = sources.flip(0) + signals(number, 500, seed=seed + 100)
        order = best_permutation(estimates, sources)
        orders = itertools.permutations(range(number))
        best = max(orders, key=lambda o: si_sdr(estimates[list(o)], sources).mean())
        assert order == list(best)


def test_order_with_silence():
    sources = signals(2, 500)
    estimates = torch.stack([sources[1], sources[0]])
    sources = torch.stack([sources[0], 0 * sources[1]])
    assert best_permutation(estimates, sources) == [1, 0]
    assert best_permutation(0 * estimates, sources) in ([0, 1], [1, 0])


def test_faulty_shapes():
    with pytest.raises(ValueError, match="samples"):
        si_sdr(torch.ones(4), torch.ones(5))
    with pytest.raises(ValueError, match="1 estimates of 2 sources"):
        best_permutation(torch.ones(1, 4), torch.ones(2, 4))
