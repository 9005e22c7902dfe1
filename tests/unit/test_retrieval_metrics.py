"""Term-weighted values against a plain count at every threshold."""

import math

import numpy as np
import pytest
import torch

from s3prl_sb.metrics.retrieval import (
    QUESST14_BETA,
    actual_term_weighted_value,
    detection_counts,
    false_alarm_weight,
    maximum_term_weighted_value,
    term_weighted_values,
)
from s3prl_sb.metrics.weighted_searches import detection_value

# queries, documents, share of hits, distance of the two classes, decimals
CASES = [
    (1, 2, 0.5, 1.0, None),
    (3, 10, 0.3, 1.0, None),
    (5, 20, 0.1, 2.0, 1),  # ties
    (8, 15, 0.05, 1.0, 0),  # many ties, and queries without hits
    (4, 5, 0.7, 3.0, 1),  # queries that all documents hold
    (6, 30, 0.2, -1.0, 1),  # worse than chance
]
BETAS = [0.0, 0.5, QUESST14_BETA]


def make(queries, documents, share, distance, decimals, seed):
    generator = torch.Generator().manual_seed(seed)
    true = torch.rand(queries, documents, generator=generator) < share
    true[0, 0] = True  # at least one
    scores = torch.randn(queries, documents, generator=generator).double()
    scores = scores + distance * true
    return scores if decimals is None else scores.round(decimals=decimals), true


@pytest.fixture(params=[(case, seed) for case in CASES for seed in range(4)])
def search(request):
    case, seed = request.param
    return make(*case, seed)


def counted(detected, true, beta):
    """TWV by its definition, one query and one document at a time."""
    losses = []
    for decisions, answers in zip(detected.tolist(), true.tolist()):
        if sum(answers) == 0:
            continue
        misses = alarms = 0
        for yes, answer in zip(decisions, answers):
            misses += answer and not yes
            alarms += yes and not answer
        others = len(answers) - sum(answers)
        p_fa = alarms / others if others else 0.0
        losses.append(misses / sum(answers) + beta * p_fa)
    return 1 - sum(losses) / len(losses)


def test_cases_cover_the_odd_queries():
    """Queries that no document contains, and those that all contain."""
    tables = [make(*case, seed)[1] for case in CASES for seed in range(4)]
    assert any((~table.any(dim=1)).any() for table in tables)
    assert any(table.all(dim=1).any() for table in tables)


@pytest.mark.parametrize("beta", BETAS)
def test_every_threshold(search, beta):
    scores, true = search
    thresholds, values = term_weighted_values(scores, true, beta)
    assert thresholds.dtype == values.dtype == torch.float64
    used = scores[true.any(dim=1)].flatten().tolist()
    assert thresholds.tolist() == [math.inf, *sorted(set(used), reverse=True)]
    expected = [counted(scores >= level, true, beta) for level in thresholds]
    assert values.tolist() == pytest.approx(expected, abs=1e-9)
    actual = [
        actual_term_weighted_value(scores >= level, true, beta) for level in thresholds
    ]
    assert actual == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("beta", BETAS)
def test_maximum(search, beta):
    scores, true = search
    levels = [math.inf, *scores.flatten().tolist()]
    expected = max(counted(scores >= level, true, beta) for level in levels)
    value, threshold = maximum_term_weighted_value(scores, true, beta)
    assert value == pytest.approx(expected, abs=1e-9)
    assert counted(scores >= threshold, true, beta) == pytest.approx(value, abs=1e-9)


def test_threshold_holds_for_single_precision():
    """The threshold is one of the scores: rounding moves no pair across it."""
    scores, true = make(20, 50, 0.1, 2.0, None, seed=1)
    scores = scores.float()
    value, threshold = maximum_term_weighted_value(scores, true)
    assert 0 < value < 1
    actual = actual_term_weighted_value(scores >= threshold, true)
    assert actual == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("most", [10**6, 40])
def test_counts_have_the_maximum(search, most):
    """That of all queries always; that of some, with counts of every threshold."""
    scores, true = search
    counts = detection_counts(scores, true, 0.5, most)
    queries, points = counts["hits"].shape
    assert queries == len(true) and points <= max(1, most // queries)
    assert (counts["targets"] + counts["others"] == true.shape[1]).all()
    sides = [c.double() for c in counts.values()]
    metric = detection_value(*(s.numpy() for s in sides), beta=0.5)
    picked = [np.ones(queries)]
    if most > 40:
        picked += list(np.random.default_rng(0).integers(0, 3, (5, queries)))
    for weights in picked:
        rows = torch.from_numpy(weights).long()
        if not true[rows > 0].any():
            continue
        sides = (side.repeat_interleave(rows, 0) for side in (scores, true))
        value = maximum_term_weighted_value(*sides, 0.5)[0]
        assert metric.of(weights[:, None].astype(float)) == pytest.approx(value)


def test_by_hand():
    scores = torch.tensor([[3.0, 2.0, 1.0], [2.0, 0.0, 2.0], [9.0, 9.0, 9.0]])
    true = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 0]])  # the third is left out
    thresholds, values = term_weighted_values(scores, true, beta=0.5)
    assert thresholds.tolist() == [math.inf, 3.0, 2.0, 1.0, 0.0]
    # At 2: P_miss 0 and 1/2, P_fa 1/2 and 1.
    assert values.tolist() == pytest.approx([0.0, 0.5, 0.375, 0.25, 0.5])
    assert maximum_term_weighted_value(scores, true, beta=0.5)[0] == 0.5


def test_perfect_and_hopeless():
    true = torch.tensor([[1, 0, 0, 1], [0, 0, 1, 0]])
    assert maximum_term_weighted_value(true.float(), true) == (1.0, 1.0)
    assert maximum_term_weighted_value(-true.float(), true) == (0.0, math.inf)
    assert maximum_term_weighted_value(torch.zeros(2, 4), true) == (0.0, math.inf)
    assert actual_term_weighted_value(true, true) == 1.0
    assert actual_term_weighted_value(1 - true, true) == pytest.approx(-QUESST14_BETA)
    everything = torch.ones(2, 4, dtype=torch.bool)
    assert actual_term_weighted_value(everything, true) == pytest.approx(
        1 - QUESST14_BETA
    )


def test_queries_weigh_the_same():
    """However many documents hold them, and in whatever order they come."""
    true = torch.tensor([[1, 0, 0, 0, 0], [1, 1, 1, 1, 0]])
    detected = torch.tensor([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert actual_term_weighted_value(detected, true) == 0.5
    assert actual_term_weighted_value(detected.flip(0), true.flip(0)) == 0.5


def test_false_alarm_weight():
    assert false_alarm_weight(cost=1, value=10, prior=1e-4) == pytest.approx(999.9)
    assert QUESST14_BETA == pytest.approx(12.49)
    # QUESST's tool is given the prior of the same odds at equal costs.
    assert 1 / (1 + QUESST14_BETA) == pytest.approx(0.0741289, abs=1e-7)


def test_inputs_are_left_alone():
    scores, true = make(5, 20, 0.1, 2.0, 1, seed=0)
    before = scores.clone(), true.clone()
    expected = maximum_term_weighted_value(scores, true)
    for kind in torch.int64, torch.float32:
        assert maximum_term_weighted_value(scores, true.to(kind)) == expected
    assert maximum_term_weighted_value(scores.requires_grad_(), true) == expected
    assert torch.equal(scores, before[0]) and torch.equal(true, before[1])


@pytest.mark.parametrize(
    "scores, true, message",
    [
        ([[0.1, 0.2]], [[1, 0, 1]], r"not \[1, 2\] and \[1, 3\]"),
        ([0.1, 0.2], [1, 0], r"not \[2\] and \[2\]"),
        ([[0.1, 0.2]], [[0, 0]], "none of the 1 queries"),
        ([[0.1], [math.nan]], [[1], [0]], "1 of 2 .* query 1, document 0: nan"),
        ([[0.1, math.inf]], [[1, 0]], "query 0, document 1: inf"),
        ([[0.1, 0.2]], [[1, 2]], "true must .* query 0, document 1: 2"),
        ([[0.1, 0.2]], [[math.nan, 1]], "true must .* query 0, document 0: nan"),
    ],
)
def test_bad_scores(scores, true, message):
    scores, true = torch.tensor(scores), torch.tensor(true)
    for metric in term_weighted_values, maximum_term_weighted_value:
        with pytest.raises(ValueError, match=message):
            metric(scores, true)


def test_no_documents_and_no_queries():
    for shape in (0, 3), (2, 0):
        with pytest.raises(ValueError, match=f"none of the {shape[0]} queries"):
            maximum_term_weighted_value(torch.zeros(shape), torch.zeros(shape))


def test_scores_are_not_decisions():
    true = torch.tensor([[1, 0]])
    with pytest.raises(ValueError, match="detected must hold 0 and 1 only"):
        actual_term_weighted_value(torch.tensor([[2.5, 0.0]]), true)
    with pytest.raises(ValueError, match=r"detected and true .* \[1, 3\] and \[1, 2\]"):
        actual_term_weighted_value(torch.ones(1, 3), true)


@pytest.mark.parametrize("beta", [-1.0, math.nan, math.inf])
def test_bad_beta(beta):
    true = torch.tensor([[1, 0]])
    with pytest.raises(ValueError, match="beta"):
        maximum_term_weighted_value(true.float(), true, beta)
    with pytest.raises(ValueError, match="beta"):
        actual_term_weighted_value(true, true, beta)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"cost": -1.0}, "cost"),
        ({"value": 0.0}, "value"),
        ({"prior": 0.0}, "prior"),
        ({"prior": 1.0}, "prior"),
        ({"prior": math.nan}, "prior"),
    ],
)
def test_bad_costs(given, message):
    with pytest.raises(ValueError, match=message):
        false_alarm_weight(**{"cost": 1.0, "value": 100.0, "prior": 0.01, **given})
