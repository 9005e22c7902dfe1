"""AS-norm against its formula, one trial at a time."""

import statistics

import pytest
import torch

from s3prl_sb.metrics.score_normalization import as_norm


def naive(score, first, second, top):
    normed = []
    for side in (first, second):
        nearest = sorted(side, reverse=True)[:top]
        normed.append((score - statistics.mean(nearest)) / statistics.stdev(nearest))
    return sum(normed) / 2


@pytest.mark.parametrize("top", [2, 5, 20, 300])
def test_formula(top):
    cohort = torch.randn(6, 20, dtype=torch.float64)
    first, second = torch.tensor([0, 1, 5, 3]), torch.tensor([2, 1, 0, 4])
    scores = torch.randn(4, dtype=torch.float64)
    found = as_norm(scores, first, second, cohort, top)
    rows = cohort.tolist()
    for trial, score in enumerate(scores.tolist()):
        sides = rows[first[trial]], rows[second[trial]]
        assert found[trial].item() == pytest.approx(naive(score, *sides, top))
    assert torch.equal(found, as_norm(scores, second, first, cohort, top))


def test_errors():
    scores, side = torch.zeros(1), torch.tensor([0])
    with pytest.raises(ValueError, match="a cohort of 1"):
        as_norm(scores, side, side, torch.zeros(1, 1))
    with pytest.raises(ValueError, match="equally near to its 3 nearest"):
        as_norm(scores, side, side, torch.zeros(1, 3))
