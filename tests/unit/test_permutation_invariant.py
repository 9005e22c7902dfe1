"""The permutation-invariant loss, and the head that it trains."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.diarization import RecurrentDiarizer
from s3prl_sb.lobes.permutation_invariant import permutation_invariant_bce


def example(speakers, batch=3, frames=7, lens=(1.0, 5 / 7, 2 / 7)):
    generator = torch.Generator().manual_seed(speakers)
    logits = 3 * torch.randn(batch, frames, speakers, generator=generator)
    labels = (torch.rand(logits.shape, generator=generator) > 0.5).float()
    return logits, labels, torch.tensor(lens)


def by_brute_force(logits, labels, counts):
    """Each utterance alone, each order alone."""
    total, orders = 0.0, []
    for row, truth, count in zip(logits, labels, counts):
        losses = {
            order: F.binary_cross_entropy_with_logits(
                row[:count].double(), truth[:count][:, list(order)].double()
            ).item()
            for order in itertools.permutations(range(row.shape[1]))
        }
        orders.append(list(min(losses, key=losses.get)))
        total += min(losses.values()) * count
    return total / sum(counts), orders


@pytest.mark.parametrize("speakers", [1, 2, 3, 4])
def test_is_the_least_of_all_orders(speakers):
    logits, labels, lens = example(speakers)
    loss, order = permutation_invariant_bce(logits, labels, lens)
    expected, orders = by_brute_force(logits, labels, (7, 5, 2))
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert order.tolist() == orders


def test_is_s3prl_s_where_nothing_is_padded():
    """The numbers that S3PRL 0.4.18's pit_loss gives for the same tensors."""
    logits = torch.tensor(
        [
            [[2.0, -1.0], [0.5, 0.25], [-3.0, 4.0]],
            [[-0.5, 1.5], [1.0, -2.0], [0.0, 3.0]],
        ]
    )
    labels = torch.tensor(
        [[[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]
    )
    loss, order = permutation_invariant_bce(logits, labels, torch.ones(2))
    assert loss.item() == pytest.approx(0.28452983, rel=1e-6)
    assert order.tolist() == [[1, 0], [1, 0]]


def test_half_precision_is_summed_in_full():
    logits, labels, lens = example(2)
    logits = logits.bfloat16()
    loss, order = permutation_invariant_bce(logits, labels.bfloat16(), lens)
    expected, same = permutation_invariant_bce(logits.float(), labels, lens)
    assert loss.dtype == torch.float32 and loss.item() == expected.item()
    assert torch.equal(order, same)


def test_the_order_of_the_labels_does_not_matter():
    logits, labels, lens = example(3)
    loss, order = permutation_invariant_bce(logits, labels, lens)
    other, turned = permutation_invariant_bce(logits, labels[:, :, [2, 0, 1]], lens)
    assert other.item() == pytest.approx(loss.item(), rel=1e-6)
    # In both, the same labels stand beside the same logits
    assert torch.equal(torch.tensor([2, 0, 1])[turned], order)


def test_padding_and_unknown_frames_do_not_count():
    logits, labels, lens = example(2)
    loss, _ = permutation_invariant_bce(logits, labels, lens)
    padded = F.pad(logits, (0, 0, 0, 3), value=50.0)
    wrong = F.pad(labels, (0, 0, 0, 3), value=1.0)
    again, _ = permutation_invariant_bce(padded, wrong, lens * 7 / 10)
    assert again.item() == pytest.approx(loss.item(), rel=1e-6)
    unknown = labels.clone()
    unknown[0, 4:] = -1
    shorter = permutation_invariant_bce(logits, unknown, lens)[0]
    expected, _ = by_brute_force(logits, labels, (4, 5, 2))
    assert shorter.item() == pytest.approx(expected, rel=1e-5)


def test_nothing_known_is_no_loss():
    logits = torch.zeros(1, 3, 2, requires_grad=True)
    loss, _ = permutation_invariant_bce(logits, -torch.ones(1, 3, 2), torch.ones(1))
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(1, 3, 2\).*\(1, 4, 2\)"):
        permutation_invariant_bce(
            torch.zeros(1, 3, 2), torch.zeros(1, 4, 2), torch.ones(1)
        )


@pytest.mark.parametrize("bidirectional", [False, True])
def test_head_gives_the_same_in_any_company(bidirectional):
    head = RecurrentDiarizer(6, 2, hidden_size=5, bidirectional=bidirectional)
    short, long = torch.randn(1, 4, 6), torch.randn(1, 9, 6)
    batch = torch.full((2, 9, 6), 7.0)
    batch[0, :4], batch[1] = short[0], long[0]
    together = head(batch, torch.tensor([4 / 9, 1.0]))
    assert together.shape == (2, 9, 2)
    torch.testing.assert_close(together[0, :4], head(short, torch.ones(1))[0])
    torch.testing.assert_close(together[1], head(long, torch.ones(1))[0])


def test_head_looks_back_only():
    head = RecurrentDiarizer(6, 2, hidden_size=5)
    x = torch.randn(1, 9, 6)
    y = x.clone()
    y[:, 5:] = 0
    torch.testing.assert_close(
        head(x, torch.ones(1))[:, :5], head(y, torch.ones(1))[:, :5]
    )
