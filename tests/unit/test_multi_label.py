"""Metrics of examples with any number of labels, against scikit-learn."""

import pytest
import torch

from s3prl_sb.metrics.multi_label import macro_f1, mean_average_precision


@pytest.mark.parametrize("seed", range(5))
def test_is_scikit_learns(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    random = torch.Generator().manual_seed(seed)
    scores = torch.rand(40, 6, generator=random).round(decimals=1)  # with ties
    true = torch.rand(40, 6, generator=random) > 0.7
    predicted = scores > 0.5
    f1 = metrics.f1_score(true, predicted, average="macro", zero_division=0)
    assert macro_f1(predicted, true) == pytest.approx(f1, abs=1e-9)
    precision = metrics.average_precision_score(true, scores, average="macro")
    assert mean_average_precision(scores, true) == pytest.approx(precision, abs=1e-6)


def test_labels_that_do_not_occur_do_not_count():
    true = torch.tensor([[1, 0], [0, 0]]).bool()
    assert macro_f1(true, true) == mean_average_precision(true.float(), true) == 1.0
    assert macro_f1(true & False, true & False) == 0.0
    assert mean_average_precision(true.float(), true & False) == 0.0
