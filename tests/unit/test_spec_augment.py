import pytest
import torch

from s3prl_sb.lobes.spec_augment import SpecAugment, warp

LENS = torch.tensor([1.0, 0.6, 0.3])


def off(**changed):
    """No warp and no masks but those given."""
    return SpecAugment(
        **{"warp_window": 0, "channel_masks": 0, "time_masks": 0, **changed}
    )


def test_nothing_asked_nothing_done():
    x = torch.randn(2, 30, 8)
    assert torch.equal(off()(x, torch.ones(2)), x)


def test_warp_moves_a_frame_and_keeps_the_ends():
    ramp = torch.arange(40.0).view(40, 1).repeat(1, 3)
    y = warp(ramp, center=20, moved=24)
    assert y.shape == ramp.shape
    # What was before frame 20 fills 24 frames, what came after it 16.
    inner = torch.arange(2, 22)
    expected = (inner + 0.5) * 20 / 24 - 0.5
    torch.testing.assert_close(y[inner, 0], expected, atol=0.1, rtol=0)
    inner = torch.arange(26, 38)
    expected = (inner - 24 + 0.5) * 20 / 16 - 0.5 + 20
    torch.testing.assert_close(y[inner, 0], expected, atol=0.1, rtol=0)
    assert torch.equal(y[:, 0], y[:, 2])  # channels do not mix


def test_warps_differ_within_a_batch_and_are_small():
    ramp = torch.arange(200.0).view(1, 200, 1).repeat(8, 1, 1)
    y = off(warp_window=5)(ramp, torch.ones(8))
    moves = (y - ramp).abs().amax((1, 2))
    assert len(set(moves.tolist())) == 8
    assert moves.max() <= 6


@pytest.mark.parametrize("frames, warped", [(10, False), (11, True)])
def test_short_utterances_are_not_warped(frames, warped):
    x = torch.randn(1, frames, 2)
    found = {torch.equal(off(warp_window=5)(x, torch.ones(1)), x) for _ in range(40)}
    assert (False in found) == warped


def test_widths_and_numbers_of_masks():
    x = torch.ones(400, 90, 20)
    y = off(time_masks=1, time_width=[3, 7])(x, torch.ones(400))
    zero = (y == 0).all(-1)
    assert torch.equal(zero, (y == 0).any(-1))  # whole frames
    widths = zero.sum(1)
    assert set(widths.tolist()) == {3, 4, 5, 6}
    # In one piece, anywhere.
    assert (zero[:, 1:] & ~zero[:, :-1]).sum(1).add(zero[:, 0].int()).eq(1).all()
    assert zero.any(0).all()
    y = off(channel_masks=2, channel_width=[0, 5])(x, torch.ones(400))
    zero = (y == 0).all(1)
    assert torch.equal(zero, (y == 0).any(1))
    assert zero.sum(1).min() == 0 and zero.sum(1).max() == 8
    assert zero.any(0).all()


def test_masks_lie_within_true_frames():
    x = torch.ones(3, 100, 4)
    for _ in range(20):
        y = off(time_masks=1, time_width=[10, 11])(x, LENS)
        for row, true in zip(y, (100, 60, 30)):
            assert (row[:true] == 0).all(-1).sum() == 10
            assert not row[true:].any()


def test_masks_wider_than_the_utterance():
    y = off(time_masks=1, time_width=[40, 41])(torch.ones(1, 20, 4), torch.ones(1))
    assert not y.any()
    y = off(channel_masks=1, channel_width=[0, 50])(torch.ones(1, 20, 4), torch.ones(1))
    assert y.shape == (1, 20, 4)


def test_padding_changes_nothing():
    """Warps of an utterance do not see what comes after it."""
    x = torch.randn(2, 100, 6)
    lens = torch.tensor([1.0, 0.5])
    augment = SpecAugment()
    torch.manual_seed(3)
    first = augment(x, lens)
    x[1, 50:] = 1e6
    torch.manual_seed(3)
    assert torch.equal(augment(x, lens), first)


def test_draws_from_torchs_random_numbers():
    x, augment = torch.randn(2, 100, 60), SpecAugment()
    torch.manual_seed(1)
    first = augment(x, torch.ones(2))
    second = augment(x, torch.ones(2))
    torch.manual_seed(1)
    assert torch.equal(augment(x, torch.ones(2)), first)
    assert not torch.equal(first, second)


def test_input_stays_and_gradients_flow():
    x = torch.randn(2, 80, 60, requires_grad=True)
    before = x.detach().clone()
    y = SpecAugment()(x, torch.tensor([1.0, 0.5]))
    y.sum().backward()
    assert torch.equal(x.detach(), before)
    assert x.grad[0].abs().sum() > 0 and not x.grad[1, 40:].any()


def test_impossible_widths():
    with pytest.raises(ValueError, match="time_width is 0 <= lowest < end"):
        SpecAugment(time_width=[5, 5])
