import numpy
import pytest

from s3prl_sb.lobes.pretext.spans import BernoulliSpanMask, SpanMask

LONG = 1000


def masks(mask, frames, count=400):
    """[count, frames], of generators 0, 1, …"""
    return numpy.stack(
        [mask(frames, numpy.random.default_rng(i)) for i in range(count)]
    )


@pytest.mark.parametrize("probability, length", [(0.65, 10), (0.8, 10), (0.3, 4)])
def test_share_of_a_long_utterance_is_that_of_overlapping_spans(probability, length):
    share = masks(SpanMask(probability, length), LONG).mean()
    assert share == pytest.approx(1 - (1 - probability / length) ** length, abs=0.01)


def test_number_of_spans_is_rounded_at_random():
    mask = SpanMask(share=0.65, length=1, min_masks=0)
    counts = masks(mask, 101, 2000).sum(1)  # 65.65 spans of one frame
    assert set(counts) == {65, 66}
    assert counts.mean() == pytest.approx(65.65, abs=0.05)


def test_both_ends_are_masked_equally_often():
    often = masks(SpanMask(), 60, 4000).mean(0)
    assert often[0] > 0.02
    numpy.testing.assert_allclose(often, often[::-1], atol=0.05)


@pytest.mark.parametrize("frames", range(1, 45))
def test_short_utterances_are_masked_in_part(frames):
    some = masks(SpanMask(), frames, 50)
    assert not some.all(1).any()
    assert some.any(1).all() == (frames > 1)


def test_least_number_of_spans():
    few = masks(SpanMask(share=0.0, length=3, min_masks=2), 100)
    assert (few.sum(1) >= 4).all() and (few.sum(1) <= 6).all()
    assert not masks(SpanMask(share=0.0, min_masks=0), 100).any()


@pytest.mark.parametrize("mask", [SpanMask(), BernoulliSpanMask(0.05, 10)])
def test_a_mask_is_a_function_of_its_generator(mask):
    first, again = (masks(mask, 200, 5) for _ in range(2))
    assert (first == again).all()
    assert len({row.tobytes() for row in first}) == 5


def test_share_and_lengths_of_bernoulli_spans():
    some = masks(BernoulliSpanMask(0.01, 40), LONG)
    assert some[:, 39:].mean() == pytest.approx(1 - 0.99**40, abs=0.015)
    # The end is masked as often as the middle, and the first frame by one span only.
    assert some[:, -40:].mean() == pytest.approx(1 - 0.99**40, abs=0.06)
    assert some[:, 0].mean() < 0.05
    one = BernoulliSpanMask(1.0, 1)(5, numpy.random.default_rng(0))
    assert one.tolist() == [True] * 5
