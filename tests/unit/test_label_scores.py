"""Metrics of scores of labels against scikit-learn and SciPy; chroma by hand."""

import math

import numpy
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from s3prl_sb.metrics.multi_label import (
    areas_under_roc,
    average_precisions,
    d_prime,
    label_measures,
    mean_area_under_roc,
    mean_average_precision,
)
from s3prl_sb.metrics.pitch import chroma_accuracy


def cases():
    rng = numpy.random.default_rng(0)
    for examples, labels, levels in ((200, 7, None), (60, 4, 5), (11, 3, 2)):
        scores = rng.random((examples, labels)).astype(numpy.float32)
        if levels:  # equal scores
            scores = numpy.round(scores * levels) / levels
        true = rng.random((examples, labels)) < rng.uniform(0.1, 0.6, labels)
        true[0], true[1] = True, False
        yield scores, true


@pytest.mark.parametrize("scores, true", cases())
def test_they_are_those_of_scikit_learn(scores, true):
    ours = torch.from_numpy(scores), torch.from_numpy(true)
    expected = average_precision_score(true, scores, average=None)
    assert average_precisions(*ours).numpy() == pytest.approx(expected)
    assert mean_average_precision(*ours) == pytest.approx(expected.mean())
    areas = roc_auc_score(true, scores, average=None)
    assert areas_under_roc(*ours).numpy() == pytest.approx(areas)
    assert mean_area_under_roc(*ours) == pytest.approx(areas.mean())
    # As HEAR has it: a mean over labels
    hear = (norm().ppf(areas) * math.sqrt(2)).mean()
    assert d_prime(*ours) == pytest.approx(hear)
    assert label_measures(*ours) == {
        "mean_average_precision": mean_average_precision(*ours),
        "d_prime": d_prime(*ours),
        "auc": mean_area_under_roc(*ours),
    }


def test_few_labels_at_once_are_the_same(monkeypatch):
    scores, true = map(torch.from_numpy, next(cases()))
    expected = average_precisions(scores, true), areas_under_roc(scores, true)
    monkeypatch.setattr("s3prl_sb.metrics.multi_label.ROOM", 400)  # two of seven
    assert torch.equal(average_precisions(scores, true), expected[0])
    assert torch.equal(areas_under_roc(scores, true), expected[1])
    assert average_precisions(scores[:0], true[:0]).isnan().all()


def test_a_label_that_is_separated_has_a_finite_d_prime():
    scores = torch.tensor([[0.9], [0.8], [0.2], [0.1]])
    true = torch.tensor([[1], [1], [0], [0]]).bool()
    expected = math.sqrt(2) * norm().ppf(1 - 1 / 8)  # four pairs, one half wrong
    assert d_prime(scores, true) == pytest.approx(expected)
    assert d_prime(-scores, true) == pytest.approx(-expected)


def test_labels_of_one_kind_do_not_count():
    scores = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    true = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1], [0, 0, 1]]).bool()
    assert average_precisions(scores, true).isnan().tolist() == [False, True, False]
    assert areas_under_roc(scores, true).isnan().tolist() == [False, True, True]
    assert mean_area_under_roc(scores, true) == pytest.approx(
        roc_auc_score(true[:, 0], scores[:, 0])
    )
    nothing = torch.zeros(4, 2).bool()
    assert mean_area_under_roc(scores[:4, :2], nothing) == 0.5
    assert d_prime(scores[:4, :2], nothing) == 0
    assert mean_average_precision(scores[:4, :2], nothing) == 0


def test_chroma():
    labels = ["21", "33", "34", "108"]  # A0, A1, B flat 1, C8
    predicted, true = torch.tensor([1, 2, 3, 3]), torch.tensor([0, 0, 3, 1])
    assert chroma_accuracy(predicted, true, labels) == 0.5
    with pytest.raises(ValueError, match="no notes"):
        chroma_accuracy(predicted[:0], true[:0], labels)
