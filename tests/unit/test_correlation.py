"""Squared error and correlations, against scipy."""

import warnings

import pytest
import scipy.stats
import torch

from s3prl_sb.metrics.correlation import mean_squared_error, pearson, ranks, spearman


@pytest.mark.parametrize("seed", range(5))
def test_against_scipy(seed):
    """With many ties, as whole scores have."""
    random = torch.Generator().manual_seed(seed)
    true = torch.randint(1, 6, (40,), generator=random).float()
    predicted = (true + 2 * torch.randn(40, generator=random)).round()
    x, y = predicted.double().numpy(), true.double().numpy()
    assert pearson(predicted, true) == pytest.approx(scipy.stats.pearsonr(x, y)[0])
    assert spearman(predicted, true) == pytest.approx(scipy.stats.spearmanr(x, y)[0])
    assert ranks(predicted).tolist() == scipy.stats.rankdata(x).tolist()
    assert mean_squared_error(predicted, true) == pytest.approx(((x - y) ** 2).mean())


@pytest.mark.parametrize("metric", [pearson, spearman])
def test_constant_sides_and_single_examples_are_no_association(metric):
    three, same = torch.tensor([1.0, 2.0, 3.0]), torch.full((3,), 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metric(same, three) == metric(three, same) == metric(same, same) == 0.0
        assert metric(three[:1], three[:1]) == 0.0


def test_tiny_and_large_numbers():
    """Neither their squares nor a large mean lose the order."""
    x = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    expected = pearson(x, torch.tensor([1.0, 2.0, 3.0]))
    for scaled in (1e-200 * x, 1e200 * x, x + 1e6):
        assert pearson(scaled, torch.tensor([1.0, 2.0, 3.0])) == pytest.approx(expected)
