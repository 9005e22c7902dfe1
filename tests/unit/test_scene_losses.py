"""Losses of speakers, words and events against plain loops."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.scene_losses import event_loss, speaker_loss, word_loss

FRAMES = (6, 4)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    labels = (torch.rand(2, 6, 3) > 0.5).float()
    labels[0, 2] = -1  # not annotated
    return torch.randn(2, 6, 3), labels, torch.tensor(FRAMES) / 6


def bce(logits, labels):
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="none")


def true_frames(labels):
    return [
        [t for t in range(FRAMES[b]) if labels[b, t, 0] >= 0]
        for b in range(len(labels))
    ]


def test_speakers_in_the_best_order(batch):
    logits, labels, lens = batch
    loss, chosen, count = speaker_loss(logits, labels, lens)
    frames, total = true_frames(labels), 0.0
    for b, kept in enumerate(frames):
        costs = {
            order: bce(logits[b, kept], labels[b, kept][:, list(order)]).sum()
            for order in itertools.permutations(range(3))
        }
        best = min(costs, key=costs.get)
        assert tuple(chosen[b].tolist()) == best
        total += costs[best]
    assert count == 9
    assert loss.item() == pytest.approx(total.item() / 3 / 9, rel=1e-5)


def test_speakers_in_the_order_of_arrival(batch):
    logits, labels, lens = batch
    labels[0] = 0
    labels[0, 3, 2] = labels[0, 4, 0] = 1
    labels[1, 5, 0] = 1  # in the padding
    loss, chosen, _ = speaker_loss(logits, labels, lens, "arrival")
    assert chosen[0].tolist() == [2, 0, 1]
    total = sum(
        bce(logits[b, :n], labels[b, :n][:, chosen[b]]).sum()
        for b, n in enumerate(FRAMES)
    )
    assert loss.item() == pytest.approx(total.item() / 3 / 10, rel=1e-5)


def test_events(batch):
    logits, labels, lens = batch
    loss, count = event_loss(logits, labels, lens, weight=3.0)
    each = bce(logits, labels.clamp_min(0)) * (1 + 2 * (labels > 0))
    total = sum(each[b, kept].sum() for b, kept in enumerate(true_frames(labels)))
    assert count == 9
    assert loss.item() == pytest.approx(total.item() / 9, rel=1e-5)


def test_nothing_annotated_is_no_loss(batch):
    logits, labels, lens = batch
    unknown = torch.full_like(labels, -1)
    logits.requires_grad_()
    losses = [
        speaker_loss(logits, unknown, lens, order)[0]
        for order in ("permutation", "arrival")
    ]
    losses.append(event_loss(logits, unknown, lens)[0])
    log_probs = logits.log_softmax(2).unsqueeze(1)
    known = torch.tensor([False, False])
    losses.append(word_loss(log_probs, [[[1]], [[]]], known, lens)[0])
    assert [loss.item() for loss in losses] == [0.0] * 4
    sum(losses).backward()
    assert logits.grad.eq(0).all()


def test_words_of_tracks():
    torch.manual_seed(0)
    log_probs = torch.randn(3, 2, 6, 4).log_softmax(3)
    tracks = [[[1, 2], []], [[3, 3], [1]], [[2], [2]]]
    frames, known = [6, 4, 6], torch.tensor([True, True, False])
    loss, count = word_loss(log_probs, tracks, known, torch.tensor([1, 4 / 6, 1]))
    total = 0.0
    for b, s in itertools.product((0, 1), (0, 1)):
        target = torch.tensor([tracks[b][s]], dtype=torch.long)
        total += F.ctc_loss(
            log_probs[b, s, : frames[b], None],
            target,
            torch.tensor([frames[b]]),
            torch.tensor([target.shape[1]]),
            reduction="sum",
        )
    assert count == 9  # five tokens and four ends
    assert loss.item() == pytest.approx(total.item() / 9, rel=1e-5)


def test_a_track_with_too_many_words_counts_nothing():
    log_probs = torch.randn(1, 1, 2, 3).log_softmax(3)
    loss, _ = word_loss(log_probs, [[[1, 1]]], torch.tensor([True]), torch.ones(1))
    assert loss == 0
