"""Verification metrics against scikit-learn and a plain count at every threshold."""

import math

import pytest
import torch

from s3prl_sb.metrics.verification import (
    det_curve,
    equal_error_rate,
    minimum_detection_cost,
)

CLOSE = {"rel": 0, "abs": 1e-9}

# trials, share of targets, distance of the two classes, decimals of the scores
SMALL = [
    (2, 0.5, 1.0, None),
    (7, 0.4, 1.0, None),
    (40, 0.5, 1.0, 1),  # many ties
    (40, 0.2, 0.0, 0),  # nearly nothing but ties
    (200, 0.03, 2.0, 1),
    (300, 0.97, 2.0, None),
    (100, 0.5, -1.0, 1),  # worse than chance
]
LARGE = [(1000, 0.5, -1.0, 1), (5000, 0.5, 3.0, 3)]


def make(count, share, distance, decimals, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, generator=generator) < share).long()
    labels[:2] = torch.tensor([0, 1])  # at least one of each
    scores = torch.randn(count, generator=generator, dtype=torch.float64)
    scores = scores + distance * labels
    return scores if decimals is None else scores.round(decimals=decimals), labels


@pytest.fixture(params=[(case, seed) for case in SMALL for seed in range(3)])
def few(request):
    case, seed = request.param
    return make(*case, seed)


@pytest.fixture(params=[(case, seed) for case in SMALL + LARGE for seed in range(3)])
def trials(request):
    case, seed = request.param
    return make(*case, seed)


def rates_at(threshold, scores, labels):
    """False acceptance and false rejection, counted one trial at a time."""
    errors, totals = [0, 0], [0, 0]
    for score, label in zip(scores.tolist(), labels.tolist()):
        totals[label] += 1
        errors[label] += (score >= threshold) != (label == 1)
    return errors[0] / totals[0], errors[1] / totals[1]


def test_curve_against_scikit_learn(trials):
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = trials
    thresholds, false_acceptance, false_rejection = det_curve(scores, labels)
    expected = metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert false_acceptance.tolist() == pytest.approx(expected[0].tolist(), **CLOSE)
    assert (1 - false_rejection).tolist() == pytest.approx(
        expected[1].tolist(), **CLOSE
    )
    assert thresholds.tolist() == expected[2].tolist()


def test_curve_against_counting(few):
    scores, labels = few
    curve = torch.stack(det_curve(scores, labels))
    assert curve.dtype == torch.float64
    levels = [math.inf, *sorted(set(scores.tolist()), reverse=True)]
    expected = [(level, *rates_at(level, scores, labels)) for level in levels]
    assert curve.T.tolist() == [list(point) for point in expected]


def test_equal_error_rate_as_s3prl(trials):
    """The root of 1 - x - tpr(x), with tpr interpolated along scikit-learn's ROC."""
    metrics = pytest.importorskip("sklearn.metrics")
    interpolate = pytest.importorskip("scipy.interpolate")
    optimize = pytest.importorskip("scipy.optimize")
    scores, labels = trials
    fpr, tpr, _ = metrics.roc_curve(labels, scores, pos_label=1)
    curve = interpolate.interp1d(fpr, tpr)
    expected = optimize.brentq(lambda x: 1.0 - x - float(curve(x)), 0.0, 1.0)
    rate, _ = equal_error_rate(scores, labels)
    assert rate == pytest.approx(expected, abs=1e-9)


def test_equal_error_rate_against_counting(few):
    """Finds the intersection of the rates' polygon with the diagonal by bisection."""
    scores, labels = few
    levels = [math.inf, *sorted(set(scores.tolist()), reverse=True)]
    points = [(*rates_at(level, scores, labels), level) for level in levels]
    for left, right, after in zip(points, points[1:], [*points[2:], None]):
        if right[1] <= right[0]:
            break
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        acceptance = left[0] + middle * (right[0] - left[0])
        rejection = left[1] + middle * (right[1] - left[1])
        low, high = (low, middle) if rejection <= acceptance else (middle, high)
    rate, threshold = equal_error_rate(scores, labels)
    assert rate == pytest.approx(acceptance, abs=1e-9)
    if right[0] == right[1]:
        assert threshold == pytest.approx((right[2] + after[2]) / 2, abs=1e-9)
        assert rates_at(threshold, scores, labels) == right[:2]
    elif left[2] == math.inf:
        assert threshold == right[2]
    else:
        expected = left[2] + middle * (right[2] - left[2])
        assert threshold == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "p_target, c_miss, c_fa", [(0.01, 1, 1), (0.05, 1, 1), (0.001, 10, 1), (0.9, 1, 3)]
)
def test_minimum_detection_cost_against_counting(few, p_target, c_miss, c_fa):
    scores, labels = few
    lowest = math.inf
    for level in [math.inf, *scores.tolist()]:
        false_acceptance, false_rejection = rates_at(level, scores, labels)
        cost = c_miss * p_target * false_rejection
        lowest = min(lowest, cost + c_fa * (1 - p_target) * false_acceptance)
    lowest /= min(c_miss * p_target, c_fa * (1 - p_target))
    cost, threshold = minimum_detection_cost(scores, labels, p_target, c_miss, c_fa)
    assert cost == pytest.approx(lowest, abs=1e-9)
    assert 0 <= cost <= 1
    false_acceptance, false_rejection = rates_at(threshold, scores, labels)
    there = c_miss * p_target * false_rejection
    there += c_fa * (1 - p_target) * false_acceptance
    there /= min(c_miss * p_target, c_fa * (1 - p_target))
    assert there == pytest.approx(cost, abs=1e-9)


def test_perfect_and_inverted():
    labels = torch.tensor([1, 1, 0, 0, 0])
    scores = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    assert equal_error_rate(scores, labels) == (0.0, 3.5)
    assert minimum_detection_cost(scores, labels) == (0.0, 4.0)
    assert equal_error_rate(-scores, labels)[0] == 1.0
    assert minimum_detection_cost(-scores, labels) == (1.0, math.inf)


def test_a_gap_between_the_speakers_is_halved():
    """A decision stands when its score is computed in another precision."""
    labels = torch.tensor([1, 1, 0, 0])
    scores = torch.tensor([0.9, 0.812345678, 0.3, 0.1], dtype=torch.float64)
    _, threshold = equal_error_rate(scores, labels)
    assert threshold == pytest.approx((0.812345678 + 0.3) / 2)
    assert ((scores.half() >= threshold) == labels.bool()).all()


def test_one_score_for_all():
    scores, labels = (
        torch.full((5,), 0.3, dtype=torch.float64),
        torch.tensor([1, 0, 0, 0, 0]),
    )
    assert equal_error_rate(scores, labels) == (0.5, 0.3)
    assert minimum_detection_cost(scores, labels) == (1.0, math.inf)
    assert minimum_detection_cost(scores, labels, p_target=0.995) == (1.0, 0.3)


def test_by_hand():
    """3 targets, 4 others: at 0.6 a third is missed and a quarter accepted."""
    scores = torch.tensor([0.9, 0.7, 0.6, 0.5, 0.5, 0.2, 0.1], dtype=torch.float64)
    labels = torch.tensor([1, 0, 1, 1, 0, 0, 0])
    # From (1/4, 1/3) the tie at 0.5 leads to (1/2, 0): they meet at 2/7.
    rate, threshold = equal_error_rate(scores, labels)
    assert rate == pytest.approx(2 / 7, abs=1e-12)
    assert threshold == pytest.approx(0.6 - 0.1 / 7, abs=1e-12)


def test_inputs_are_left_alone_and_order_does_not_matter():
    scores, labels = make(200, 0.3, 1.0, 1, seed=5)
    before = scores.clone(), labels.clone()
    shuffled = torch.randperm(200)
    for metric in equal_error_rate, minimum_detection_cost:
        assert metric(scores[shuffled], labels[shuffled]) == metric(scores, labels)
    assert torch.equal(scores, before[0]) and torch.equal(labels, before[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_types(dtype):
    scores, labels = make(200, 0.3, 1.0, None, seed=6)
    scores = scores.to(dtype)
    expected = equal_error_rate(scores.double(), labels)
    for kind in torch.bool, torch.int32, torch.float32:
        assert equal_error_rate(scores, labels.to(kind)) == expected
    assert equal_error_rate(scores.requires_grad_(), labels) == expected


@pytest.mark.parametrize(
    "scores, labels, message",
    [
        ([0.1, 0.2], [1, 0, 1], r"not \[2\] and \[3\]"),
        ([[0.1, 0.2]], [[1, 0]], r"not \[1, 2\] and \[1, 2\]"),
        ([], [], "no trials"),
        ([0.1, 0.2], [1, 1], "all 2 trials are of same speakers"),
        ([0.1, 0.2], [0, 0], "all 2 trials are of different speakers"),
        ([0.1, math.nan, 0.2], [1, 0, 1], "1 of 3 scores .* trial 1: nan"),
        ([0.1, 0.3, -math.inf], [1, 0, 1], "1 of 3 scores .* trial 2: -inf"),
        ([0.1, 0.3, 0.5], [1, -1, 0], "1 are not, the first at trial 1: -1"),
        ([0.1, 0.3, 0.5], [1.0, 0.0, math.nan], "trial 2: nan"),
    ],
)
def test_bad_trials(scores, labels, message):
    scores, labels = torch.tensor(scores), torch.tensor(labels)
    for metric in det_curve, equal_error_rate, minimum_detection_cost:
        with pytest.raises(ValueError, match=message):
            metric(scores, labels)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"p_target": 0.0}, "p_target"),
        ({"p_target": 1.0}, "p_target"),
        ({"p_target": math.nan}, "p_target"),
        ({"c_miss": 0.0}, "c_miss=0.0"),
        ({"c_fa": -1.0}, "c_fa=-1.0"),
    ],
)
def test_bad_costs(given, message):
    scores, labels = torch.tensor([1.0, 0.0]), torch.tensor([1, 0])
    with pytest.raises(ValueError, match=message):
        minimum_detection_cost(scores, labels, **given)
