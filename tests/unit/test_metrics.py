"""Metrics against scikit-learn, and where they are not defined."""

import pytest
import torch

from s3prl_sb.metrics.classification import (
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    macro_f1,
)

sklearn = pytest.importorskip("sklearn.metrics")


def labels(count, classes, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(classes, (2, count), generator=generator)


@pytest.mark.parametrize(
    "count, classes", [(1, 1), (1, 5), (10, 2), (1000, 12), (2000, 1251)]
)
def test_against_scikit_learn(count, classes):
    predicted, true = labels(count, classes, seed=count)
    assert accuracy(predicted, true) == pytest.approx(
        sklearn.accuracy_score(true, predicted)
    )
    counts = confusion_matrix(predicted, true, classes)
    expected = sklearn.confusion_matrix(true, predicted, labels=range(classes))
    assert counts.dtype == torch.int64 and counts.shape == (classes, classes)
    assert counts.tolist() == expected.tolist()


def test_rows_are_true_classes():
    counts = confusion_matrix(torch.tensor([2, 2]), torch.tensor([0, 1]), 3)
    assert counts.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 0]]


def test_no_utterances():
    empty = torch.tensor([], dtype=torch.long)
    with pytest.raises(ValueError, match="no utterances"):
        accuracy(empty, empty)
    assert confusion_matrix(empty, empty, 2).tolist() == [[0, 0], [0, 0]]


def test_accuracy_is_exact_for_many():
    """In single precision 2^24 + 1 hits would be lost."""
    true = torch.zeros(30_000_001, dtype=torch.int8)
    predicted = true.clone()
    predicted[0] = 1
    assert accuracy(predicted, true) == 30_000_000 / 30_000_001


@pytest.mark.parametrize("count, classes", [(1, 5), (10, 2), (1000, 12), (2000, 1251)])
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracy_against_scikit_learn(count, classes):
    predicted, true = labels(count, classes, seed=count)
    true = (true * torch.rand(count)).long()  # the first classes are the commonest
    expected = sklearn.balanced_accuracy_score(true, predicted)
    assert balanced_accuracy(predicted, true) == pytest.approx(expected)


def test_balanced_accuracy_is_that_of_a_balanced_sample():
    """Equals the expectation of S3PRL's resampled validation set."""
    generator = torch.Generator().manual_seed(0)
    true = torch.tensor([0] * 630 + [1] * 300 + [2] * 70)
    predicted = torch.where(torch.rand(1000, generator=generator) < 0.6, 0, true)
    weights = 1 / torch.bincount(true).double()[true]
    drawn = weights.multinomial(200_000, replacement=True, generator=generator)
    found = balanced_accuracy(predicted, true)
    assert found == pytest.approx(accuracy(predicted[drawn], true[drawn]), abs=5e-3)
    assert accuracy(predicted, true) > found + 0.15


def test_balanced_accuracy_of_no_utterances():
    empty = torch.tensor([], dtype=torch.long)
    with pytest.raises(ValueError, match="no utterances"):
        balanced_accuracy(empty, empty)


@pytest.mark.parametrize("count, classes", [(1, 5), (10, 2), (1000, 12), (2000, 1251)])
def test_macro_f1_against_scikit_learn(count, classes):
    predicted, true = labels(count, classes, seed=count)
    true = (true * torch.rand(count)).long()  # some classes are only predicted
    expected = sklearn.f1_score(true, predicted, average="macro")
    assert macro_f1(predicted, true) == pytest.approx(expected)


def test_macro_f1_of_no_utterances():
    empty = torch.tensor([], dtype=torch.long)
    with pytest.raises(ValueError, match="no utterances"):
        macro_f1(empty, empty)
