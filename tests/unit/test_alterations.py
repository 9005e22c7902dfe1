"""Alterations of frames: shares, places, labels, independence."""

import numpy
import pytest
import torch

from s3prl_sb.lobes.pretext.alterations import (
    FrequencyMask,
    LongTimeMask,
    MagnitudeNoise,
    TimeMask,
    altered,
)

KINDS = [TimeMask(), TimeMask(overlap=False), LongTimeMask(9), FrequencyMask()]
KINDS += [FrequencyMask(3, count=2), MagnitudeNoise(1)]


def repeated(alteration, x, count):
    """Results of an alteration for as many utterances."""
    return [alteration(x, numpy.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("alteration", KINDS, ids=lambda kind: type(kind).__name__)
def test_label_covers_all_changes_and_input_is_kept(alteration):
    x = torch.randn(50, 20, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    for result, label in repeated(alteration, x, 20):
        assert result.shape == x.shape
        if label is not None:
            assert label.dtype == torch.bool and label.shape == x.shape
            assert torch.equal(result[~label], x[~label])
    assert torch.equal(x, before)


@pytest.mark.parametrize("alteration", KINDS, ids=lambda kind: type(kind).__name__)
def test_any_length_and_gradients(alteration):
    for frames in (1, 2, 7, 8, 100):
        x = torch.ones(frames, 5, requires_grad=True)
        for result, _ in repeated(alteration, x, 5):
            assert result.shape == x.shape
            result.sum().backward()  # of an embedding of learned frames


def test_time_mask_policy():
    x = torch.arange(1.0, 1001.0)[:, None].expand(1000, 2)
    kinds = {"zeroed": 0, "replaced": 0, "left": 0}
    shares = []
    for result, label in repeated(TimeMask(), x, 2000):
        shares.append(label.float().mean().item())
        if torch.equal(result, x):
            kinds["left"] += 1
        else:
            kinds["zeroed" if result.eq(0).any() else "replaced"] += 1
        assert torch.equal(label[:, 0], label[:, 1])
    # Spans overlap: 1 - (1 - 21 / 994) ^ 7 of the frames.
    assert numpy.mean(shares) == pytest.approx(0.138, abs=0.003)
    assert kinds["zeroed"] / 2000 == pytest.approx(0.8, abs=0.03)
    assert kinds["replaced"] / 2000 == pytest.approx(0.1, abs=0.03)


def test_replaced_spans_are_spans_of_the_utterance():
    x = torch.arange(60.0)[:, None]
    mask = TimeMask(0.1, length=6, zeroed=0, replaced=1)
    for result, label in repeated(mask, x, 50):
        rows = label[:, 0].nonzero().flatten()
        copied = result[rows, 0]
        assert torch.equal(copied, copied[0] + torch.arange(6.0))


def test_spans_on_a_grid_do_not_overlap():
    mask = TimeMask(0.5, length=5, overlap=False)
    for _, label in repeated(mask, torch.ones(100, 1), 50):
        assert label.sum() == 5 * round(100 * 0.5 / 5)


@pytest.mark.parametrize(
    "alteration, axis",
    [(TimeMask(0.7, length=3), 1), (LongTimeMask(9), 1), (FrequencyMask(0.4), 0)],
    ids=["time", "long", "frequency"],
)
def test_every_place_can_be_masked(alteration, axis):
    labels = [label for _, label in repeated(alteration, torch.ones(12, 12), 300)]
    assert torch.stack(labels).any(0).any(axis).all()


def test_widths_of_bands():
    mask, x = FrequencyMask(0.2), torch.ones(3, 80)
    widths = [int(label[0].sum()) for _, label in repeated(mask, x, 500)]
    assert min(widths) == 0 and max(widths) == 16
    assert numpy.mean(widths) == pytest.approx(8, abs=0.7)


def test_noise_hits_a_share_of_utterances():
    x, noise = torch.zeros(5, 4), MagnitudeNoise(0.15)
    noisy = [bool(result.any()) for result, _ in repeated(noise, x, 2000)]
    assert numpy.mean(noisy) == pytest.approx(0.15, abs=0.03)


def test_labels_add_up():
    x, generator = torch.ones(40, 10), numpy.random.default_rng
    for chain in ([], [MagnitudeNoise(1)]):
        assert altered(x, chain, generator(0))[1].all()
    masks = [TimeMask(), MagnitudeNoise(1), FrequencyMask(0.5)]
    _, label = altered(x, masks, generator(3))
    drawn = generator(3)
    expected = TimeMask()(x, drawn)[1]
    MagnitudeNoise(1)(x, drawn)
    assert torch.equal(label, expected | FrequencyMask(0.5)(x, drawn)[1])
    short, label = altered(torch.ones(10, 4), [TimeMask()], generator(0))
    assert not label.any() and short.eq(1).all()  # too short for a single span


@pytest.mark.parametrize(
    "mistake, message",
    [
        (lambda: TimeMask(share=15), "share is a number above 0, up to 1, not 15"),
        (lambda: TimeMask(zeroed=0.8, replaced=0.3), "together at most 1"),
        (lambda: LongTimeMask(0), "longest is a whole number from 1 on"),
        (lambda: FrequencyMask(0), "widest is a number above 0"),
        (lambda: MagnitudeNoise(2), "probability is a number above 0, up to 1"),
    ],
)
def test_mistakes(mistake, message):
    with pytest.raises(ValueError, match=message):
        mistake()
