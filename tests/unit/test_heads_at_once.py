"""Heads that are fitted at once: against scikit-learn, and the contract of heads."""

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from s3prl_sb.lobes.heads.at_once import FitsAtOnce, Repeated
from s3prl_sb.lobes.heads.check import check_head
from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.few_shot_probes import (
    FewShotProbes,
    few_of_each,
    logistic_regression,
)
from s3prl_sb.lobes.heads.nearest_neighbors import NearestNeighbors


def one_hot(labels):
    return np.eye(labels.max() + 1)[labels]


def clouds(classes, examples, size, seed=0):
    """Overlapping clouds of points, [examples, size], and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(examples) % classes)
    centers = np.random.default_rng(7).normal(size=(classes, size))
    return centers[labels] + rng.normal(size=(examples, size)), labels


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_logistic_regression_is_scikit_learns(classes):
    points, labels = clouds(classes, 8 * classes, 12)
    weight, bias = logistic_regression(points, one_hot(labels), max_iterations=1000)
    reference = LogisticRegression(max_iter=1000).fit(points, labels)
    test, _ = clouds(classes, 200, 12, seed=1)
    logits = test @ weight.T + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(probabilities - reference.predict_proba(test)).max() < 2e-3


@pytest.mark.parametrize("neighbors", [1, 10])
def test_neighbors_are_scikit_learns(neighbors):
    points, labels = clouds(5, 300, 16)
    test, _ = clouds(5, 100, 16, seed=1)
    weights = lambda distances: np.exp((1 - distances) / 0.07)  # noqa: E731
    reference = KNeighborsClassifier(neighbors, weights=weights, metric="cosine")
    reference.fit(points, labels)
    head = NearestNeighbors(16, 5, neighbors=neighbors, examples=300)
    head.fit(torch.tensor(points).float(), torch.tensor(labels))
    frames = torch.tensor(test).float()[:, None].expand(-1, 3, -1)
    ours = head(frames, torch.ones(100)).exp().detach().numpy()
    assert np.abs(ours - reference.predict_proba(test)).max() < 1e-4


def test_neighbors_are_those_of_xares():
    """X-ARES divides each feature by its norm over the training set."""
    points, labels = clouds(5, 300, 16)
    test, _ = clouds(5, 100, 16, seed=1)
    similar = (test / np.linalg.norm(test, axis=1)[:, None]) @ (
        points / np.linalg.norm(points, axis=0)
    ).T
    expected = np.zeros((100, 5))
    for row, values in enumerate(similar):
        nearest = np.argsort(-values)[:10]
        weights = np.exp(values[nearest] / 0.07)
        np.add.at(expected[row], labels[nearest], weights / weights.sum())
    head = NearestNeighbors(16, 5, examples=300, normalized="features")
    head.fit(torch.tensor(points).float(), torch.tensor(labels))
    ours = head(torch.tensor(test).float()[:, None], torch.ones(100)).exp()
    assert np.abs(ours.detach().numpy() - expected).max() < 1e-4
    with pytest.raises(HeadError, match="examples or features, not all"):
        NearestNeighbors(16, 5, normalized="all")


def test_neighbors_are_restored():
    head = NearestNeighbors(4, 3, examples=6)
    head.fit(torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2]))
    other = NearestNeighbors(4, 3, **head.sizes())
    other.load_state_dict(head.state_dict())
    x = torch.randn(5, 2, 4)
    assert torch.equal(head(x, torch.ones(5)), other(x, torch.ones(5)))
    other.reserve(9)
    assert other.sizes() == {"examples": 9}


def test_few_shot_probes_are_the_mean_of_regressions():
    points, labels = clouds(4, 200, 10)
    head = FewShotProbes(10, 4, per_class=8, repeats=3)
    head.fit(torch.tensor(points).float(), torch.tensor(labels), seed=5)
    test, _ = clouds(4, 50, 10, seed=1)
    x = torch.tensor(test).float()[:, None]
    each, expected = head.each(x, torch.ones(50)), []
    for repeat in range(3):
        chosen = few_of_each(one_hot(labels), 8, (5, repeat))
        assert np.bincount(labels[chosen]).tolist() == [8] * 4
        fitted = LogisticRegression(max_iter=100).fit(points[chosen], labels[chosen])
        expected.append(fitted.predict_proba(test))
        ours = F.softmax(each[repeat], -1).detach().numpy()
        assert np.abs(ours - expected[-1]).max() < 2e-3
    assert not np.allclose(expected[0], expected[1])  # other draws
    together = head(x, torch.ones(50)).exp().detach().numpy()
    assert np.abs(together - np.mean(expected, 0)).max() < 2e-3
    again = FewShotProbes(10, 4, per_class=8, repeats=3)
    again.fit(torch.tensor(points).float(), torch.tensor(labels), seed=5)
    assert torch.equal(head.weight, again.weight)  # by the seed alone
    again.fit(torch.tensor(points).float(), torch.tensor(labels), seed=6)
    assert not torch.equal(head.weight, again.weight)


@pytest.mark.parametrize("cls", [NearestNeighbors, FewShotProbes])
def test_contracts(cls):
    lines = check_head(functools.partial(cls), "utterances")
    assert "linear: declared, and it is" in lines
    assert isinstance(cls(4, 2), FitsAtOnce)
    assert isinstance(cls(4, 2), Repeated) is (cls is FewShotProbes)


def test_neighbors_vote_for_all_their_labels():
    points, labels = clouds(5, 300, 16)
    many = np.stack([labels == 0, labels < 2, labels >= 0], 1)
    test, _ = clouds(5, 100, 16, seed=1)
    weights = lambda distances: np.exp((1 - distances) / 0.07)  # noqa: E731
    reference = KNeighborsClassifier(10, weights=weights, metric="cosine")
    reference.fit(points, many)
    head = NearestNeighbors(16, 3, examples=300)
    head.fit(torch.tensor(points).float(), torch.tensor(many).float())
    ours = head(torch.tensor(test).float()[:, None], torch.ones(100)).sigmoid()
    for label, expected in enumerate(reference.predict_proba(test)[:2]):
        assert np.abs(ours[:, label].detach().numpy() - expected[:, 1]).max() < 1e-4
    assert ours[:, 2].min() > 0.999
    other = NearestNeighbors(16, 3, **head.sizes())
    other.load_state_dict(head.state_dict())
    assert other.has_many


def test_few_shot_probes_of_many_labels_are_regressions_of_each():
    points, labels = clouds(4, 200, 10)
    many = np.stack([labels == 0, labels < 2, labels != 1], 1).astype(float)
    head = FewShotProbes(10, 3, per_class=8, repeats=2)
    head.fit(torch.tensor(points).float(), torch.tensor(many), seed=5)
    test, _ = clouds(4, 50, 10, seed=1)
    x = torch.tensor(test).float()[:, None]
    ours = head.probabilities(head.each(x, torch.ones(50))).detach().numpy()
    for repeat in range(2):
        chosen = few_of_each(many, 8, (5, repeat))
        assert (many[chosen].sum(0) >= 8).all() and len(chosen) <= 24
        for label in range(3):
            fitted = LogisticRegression().fit(points[chosen], many[chosen, label])
            expected = fitted.predict_proba(test)[:, 1]
            assert np.abs(ours[repeat, :, label] - expected).max() < 5e-3
    together = head(x, torch.ones(50)).sigmoid().detach().numpy()
    assert np.abs(together - ours.mean(0)).max() < 1e-5
