import numpy
import pytest
import scipy.stats
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.pretext.contrastive import contrast, draw_negatives


@pytest.mark.parametrize("candidates", [2, 3, 7, 50])
def test_negatives_are_uniform_over_the_others(candidates):
    random = numpy.random.default_rng(candidates)
    positives = numpy.arange(candidates)[:: max(1, candidates // 5)]
    negatives = draw_negatives(positives, candidates, 20_000, random)
    for positive, row in zip(positives, negatives):
        counts = numpy.bincount(row, minlength=candidates)
        assert counts[positive] == 0 and len(counts) == candidates
        others = numpy.delete(counts, positive)
        assert len(others) == 1 or scipy.stats.chisquare(others).pvalue > 1e-4


def test_negatives_of_many_shapes():
    random = numpy.random.default_rng(0)
    for _ in range(300):
        candidates, number = random.integers(2, 40), random.integers(1, 120)
        masked = random.random(candidates) < random.random()
        positives = numpy.flatnonzero(masked)
        negatives = draw_negatives(positives, candidates, number, random)
        assert negatives.shape == (len(positives), number)
        assert (negatives != positives[:, None]).all()
        assert (
            negatives.size == 0 or 0 <= negatives.min() <= negatives.max() < candidates
        )
    assert draw_negatives(numpy.arange(1), 1, 5, random).shape == (1, 0)


def gathered(predictions, candidates, codes, positives, negatives, temperature):
    """The usual way: the vectors of all distractors, and one cosine for each."""
    columns = torch.cat([positives[:, None], negatives], 1)
    logits = F.cosine_similarity(predictions[:, None], candidates[columns], dim=-1)
    logits = logits / temperature
    equal = codes[columns] == codes[positives][:, None]
    equal[:, 0] = False
    logits = logits.masked_fill(equal, -torch.inf)
    loss = F.cross_entropy(logits, torch.zeros_like(positives), reduction="sum")
    alone = equal[:, 1:].all(1)
    correct = (logits.argmax(1) == 0) & ~alone
    guessed = torch.zeros_like(logits).masked_fill(equal, -torch.inf)
    guessed = F.cross_entropy(guessed, torch.zeros_like(positives), reduction="sum")
    return loss, correct.sum(), alone.sum(), guessed


@pytest.mark.parametrize(
    "size, number, entries", [(40, 100, 9), (40, 3, 2), (8, 20, 5)]
)
def test_one_product_is_the_loss_of_gathered_vectors(size, number, entries):
    torch.manual_seed(size + number)
    codes = torch.randint(entries, (size,))
    candidates = torch.randn(entries, 8)[codes].requires_grad_()
    positives = torch.arange(0, size, 2)
    predictions = (candidates[positives] + torch.randn(len(positives), 8)).detach()
    predictions.requires_grad_()
    negatives = draw_negatives(
        positives.numpy(), size, number, numpy.random.default_rng(0)
    )
    inputs = predictions, candidates, codes, positives, torch.from_numpy(negatives), 0.2
    result, expected = contrast(*inputs), gathered(*inputs)
    torch.testing.assert_close(tuple(result), expected)
    assert 0 < result.correct
    assert (result.alone > 0) == (number == 3)
    gradients = [
        torch.autograd.grad(loss, (predictions, candidates))
        for loss in (result.loss, expected[0])
    ]
    torch.testing.assert_close(*gradients)


def test_equal_codes_leave_no_loss_and_no_success():
    x = torch.randn(4, 3, requires_grad=True)
    negatives = torch.tensor([[1, 2], [0, 2], [0, 1], [0, 1]])
    result = contrast(x, x, torch.zeros(4), torch.arange(4), negatives)
    assert tuple(result) == (0, 0, 4, 0)  # which is no better than a guess
    result.loss.backward()
    assert not x.grad.any()


def test_no_prediction_is_no_loss():
    none = torch.empty(0, dtype=torch.long)
    x = torch.randn(0, 3, requires_grad=True)
    result = contrast(x, x, none, none, none.view(0, 0))
    assert tuple(result) == (0, 0, 0, 0)
    result.loss.backward()
