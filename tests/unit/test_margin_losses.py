"""Losses of speakers against their formulas, one utterance at a time."""

import math

import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.margin_losses import AAMSoftmaxLoss, AMSoftmaxLoss, SoftmaxLoss


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    value = dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(x * x for x in b))
    return max(-1.0, min(1.0, value))


def naive(loss, embedding, label):
    """The loss of one utterance, in Python's own numbers."""
    embedding = embedding.double().tolist()
    if isinstance(loss, SoftmaxLoss) and hasattr(loss, "classifier"):
        rows = zip(loss.classifier.weight.tolist(), loss.classifier.bias.tolist())
        logits = [sum(x * w for x, w in zip(embedding, row)) + b for row, b in rows]
    else:
        logits = [cosine(embedding, row) for row in loss.weight.tolist()]
        margin, scale = loss.margin.margin, loss.margin.scale
        right = logits[label]
        if isinstance(loss, AMSoftmaxLoss):
            right -= margin
        elif math.acos(right) + margin < math.pi:
            right = math.cos(math.acos(right) + margin)
        else:
            right -= math.sin(math.pi - margin) * margin
        logits[label] = right
        logits = [scale * logit for logit in logits]
    top = max(logits)
    total = sum(math.exp(logit - top) for logit in logits)
    return top + math.log(total) - logits[label]


LOSSES = [
    SoftmaxLoss(8, 5),
    AMSoftmaxLoss(8, 5),
    AMSoftmaxLoss(8, 5, scale=7, margin=0.1),
    AAMSoftmaxLoss(8, 5),
    AAMSoftmaxLoss(8, 5, scale=32, margin=0.5),
]


@pytest.mark.parametrize("loss", LOSSES)
def test_formulas(loss):
    embeddings, labels = torch.randn(12, 8), torch.arange(12) % 5
    if hasattr(loss, "weight"):  # angles near 0 and near 180 degrees
        embeddings[0], embeddings[1] = 3 * loss.weight[0], -loss.weight[1]
    expected = [naive(loss, e, y) for e, y in zip(embeddings, labels.tolist())]
    found = loss(embeddings, labels)
    assert found.item() == pytest.approx(sum(expected) / 12, rel=1e-4)
    found.backward()
    assert all(torch.isfinite(p.grad).all() for p in loss.parameters())


@pytest.mark.parametrize("loss", LOSSES)
def test_what_does_not_count(loss):
    embeddings = torch.randn(4, 8, requires_grad=True)
    labels = torch.tensor([2, -1, 0, -1])
    found = loss(embeddings, labels)
    torch.testing.assert_close(found, loss(embeddings[::2], labels[::2]))
    found.backward()
    assert not embeddings.grad[1::2].any() and embeddings.grad[::2].any()
    nothing = loss(embeddings, torch.full((4,), -1))
    nothing.backward()
    assert nothing.item() == 0


def test_defaults_are_those_of_s3prl():
    defaults = [(x.margin.scale, x.margin.margin) for x in (LOSSES[1], LOSSES[3])]
    assert defaults == [(30, 0.4), (15, 0.3)]


@pytest.mark.parametrize("loss", LOSSES)
def test_an_embedding_of_zeros_is_no_trouble(loss):
    embeddings = torch.zeros(2, 8, requires_grad=True)
    loss(embeddings, torch.tensor([0, 1])).backward()
    assert torch.isfinite(embeddings.grad).all()


def test_training_keeps_the_margin():
    torch.manual_seed(0)
    loss = AMSoftmaxLoss(8, 5, margin=0.4)
    embeddings = torch.randn(20, 8, requires_grad=True)
    labels = torch.arange(20) % 5
    optimizer = torch.optim.Adam([embeddings, *loss.parameters()], lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        value = loss(embeddings, labels)
        value.backward()
        optimizer.step()
    assert value < 0.05
    cosines = F.normalize(embeddings) @ F.normalize(loss.weight).T
    right = F.one_hot(labels, 5).bool()
    others = cosines.masked_fill(right, -1).max(1).values
    assert (cosines[right] > others + 0.4).all()
