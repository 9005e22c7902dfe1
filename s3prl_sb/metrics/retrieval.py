"""Term-weighted value of query-by-example search.

It is the measure of NIST's 2006 spoken term detection evaluation
(http://www.itl.nist.gov/iad/mig/tests/std/2006/), counted by documents as in the
QUESST evaluations of MediaEval: a trial is a query and a document, which contains the
query or not.

    TWV = 1 - mean over queries of (P_miss + beta * P_fa)

1 is perfect, a system that never detects anything has 0, and false alarms can make it
negative.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def false_alarm_weight(cost, value, prior):
    """Returns beta, the weight of false alarms relative to misses.

    Arguments
    ---------
    cost : float
        Cost of a false alarm (C_fa).
    value : float
        Value of a hit, or cost of a miss (V, C_miss).
    prior : float
        Prior probability that a document contains a query.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If cost is negative, value is not positive or prior not between 0 and 1.

    Example
    -------
    >>> round(false_alarm_weight(cost=1, value=10, prior=1e-4), 6)  # NIST, 2006
    999.9
    """
    if not (cost >= 0 and value > 0):
        raise ValueError(
            f"cost must not be negative, value be positive: {cost}, {value}"
        )
    if not 0 < prior < 1:
        raise ValueError(f"prior must lie between 0 and 1, not be {prior}")
    return cost / value * (1 / prior - 1)


QUESST14_BETA = false_alarm_weight(cost=1, value=100, prior=0.0008)  # 12.49
MOST_COUNTS = 1 << 24  # of queries and thresholds


def term_weighted_values(scores, true, beta=QUESST14_BETA):
    """Computes the TWV at every relevant threshold.

    Equal scores are detected or not together, so there is one point for each
    distinct score, after a first one at which nothing is detected.

    Arguments
    ---------
    scores : torch.Tensor
        [queries, documents], finite and comparable between queries. Pairs that
        were not scored must be given a low score (SUPERB takes -10).
    true : torch.Tensor
        [queries, documents], 1 or True where the document holds the query, else 0
        or False.
    beta : float
        Weight of false alarms, see `false_alarm_weight`.

    Returns
    -------
    thresholds : torch.Tensor
        [points], float64, falling from infinity. A pair is detected if its score is
        at least the threshold.
    values : torch.Tensor
        [points], float64, the first is 0.

    Raises
    ------
    ValueError
        If shapes do not fit, a score is not finite, an entry of true is not 0 or 1,
        no query is held by any document, or beta is negative or not finite.

    Note
    ----
    Queries that no document holds are left out of the mean, as NIST and QUESST do:
    their P_miss is not defined. A query that every document holds has no false
    alarms.

    Example
    -------
    >>> import torch
    >>> scores = torch.tensor([[3.0, 1.0, 0.0], [2.0, 4.0, 0.0]])
    >>> true = torch.tensor([[1, 0, 0], [1, 0, 0]])
    >>> thresholds, values = term_weighted_values(scores, true, beta=2.0)
    >>> thresholds.tolist()
    [inf, 4.0, 3.0, 2.0, 1.0, 0.0]
    >>> values.tolist()
    [0.0, -0.5, 0.0, 0.5, 0.0, -1.0]
    """
    scores = scores.detach().cpu().double()
    true = _true(scores, true, "scores")
    bad = (~scores.isfinite()).nonzero()
    if len(bad):
        query, document = bad[0].tolist()
        raise ValueError(
            f"{len(bad)} of {scores.numel()} scores are not finite, the first at "
            f"query {query}, document {document}: {scores[query, document].item()}"
        )
    weights, counted = _weights(true, beta)
    scores, order = scores[counted].flatten().sort(descending=True)
    last = torch.ones_like(scores, dtype=torch.bool)  # the last pair of each score
    last[:-1] = scores[1:] != scores[:-1]
    values = weights.flatten()[order].cumsum(0)[last]
    thresholds = torch.cat([scores.new_tensor([torch.inf]), scores[last]])
    return thresholds, torch.cat([values.new_zeros(1), values])


def maximum_term_weighted_value(scores, true, beta=QUESST14_BETA):
    """Returns the maximum TWV (MTWV) over all thresholds, one for all queries.

    Arguments
    ---------
    scores, true, beta
        See `term_weighted_values`.

    Returns
    -------
    value : float
        At least 0, the value without any detection.
    threshold : float
        The highest threshold with this value; infinite if it is best to detect nothing.

    Raises
    ------
    ValueError
        See `term_weighted_values`.

    Example
    -------
    >>> import torch
    >>> scores = torch.tensor([[3.0, 1.0, 0.0], [2.0, 4.0, 0.0]])
    >>> true = torch.tensor([[1, 0, 0], [1, 0, 0]])
    >>> maximum_term_weighted_value(scores, true, beta=2.0)
    (0.5, 2.0)
    """
    thresholds, values = term_weighted_values(scores, true, beta)
    best = values.argmax()  # the first of equals
    return values[best].item(), thresholds[best].item()


def detection_counts(
    scores: torch.Tensor,
    true: torch.Tensor,
    beta: float = QUESST14_BETA,
    most: int = MOST_COUNTS,
) -> dict[str, torch.Tensor]:
    """Counts the detections of each query between thresholds, for intervals of the
    MTWV.

    The mean of the queries' TWV has its maximum at the score of a true pair, whichever
    queries it is over, so these scores are the thresholds. With more counts than
    ``most``, one threshold of each range is taken, the best.

    Arguments
    ---------
    scores, true, beta
        See `term_weighted_values`.
    most : int
        Largest number of queries times thresholds.

    Returns
    -------
    dict of str to torch.Tensor
        "hits" and "alarms" [queries, thresholds], int64: true and other pairs that
        reach a threshold and not the one before, which is higher; "targets" and
        "others" [queries], numbers of true and other pairs.

    Example
    -------
    >>> import torch
    >>> scores = torch.tensor([[3.0, 1.0, 0.0], [2.0, 4.0, 0.0]])
    >>> true = torch.tensor([[1, 0, 0], [1, 0, 0]])
    >>> counts = detection_counts(scores, true)
    >>> counts["hits"].tolist(), counts["alarms"].tolist()
    ([[1, 0], [0, 1]], [[0, 0], [1, 0]])
    """
    true = _true(scores, true, "scores")
    scores = scores.detach().cpu().double()
    thresholds = scores[true].unique().flip(0)
    points = max(1, most // len(scores))
    if len(thresholds) > points:
        every, values = term_weighted_values(scores, true, beta)
        places = torch.searchsorted(-every, -thresholds)
        ranges = places.tensor_split(points)
        thresholds = torch.stack(
            [every[part[values[part].argmax()]] for part in ranges]
        )
    # Of the highest threshold that a pair reaches; the last column is for none
    reached = torch.searchsorted(-thresholds, -scores)
    size = len(thresholds) + 1
    cells = reached + size * torch.arange(len(scores))[:, None]
    sides = (
        torch.bincount(cells[side], minlength=len(scores) * size).view(-1, size)[:, :-1]
        for side in (true, ~true)
    )
    counts = dict(zip(("hits", "alarms"), sides))
    return counts | {"targets": true.sum(1), "others": (~true).sum(1)}


def actual_term_weighted_value(detected, true, beta=QUESST14_BETA):
    """Returns the actual TWV (ATWV): that of the decisions of a system.

    Arguments
    ---------
    detected : torch.Tensor
        [queries, documents], the decisions, such as `scores > 2`: 1 or True where the
        query was said to be in the document, else 0 or False.
    true, beta
        See `term_weighted_values`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not 0 or 1, no query is held by any
        document, or beta is negative or not finite.

    Example
    -------
    >>> import torch
    >>> scores = torch.tensor([[3.0, 1.0, 0.0], [2.0, 4.0, 0.0]])
    >>> true = torch.tensor([[1, 0, 0], [1, 0, 0]])
    >>> actual_term_weighted_value(scores > 2, true, beta=2.0)
    0.0
    """
    true = _true(detected, true, "detected")
    detected = _binary(detected, "detected")
    weights, counted = _weights(true, beta)
    return weights[detected[counted]].sum().item()


def values_of_queries(detected, true, beta=QUESST14_BETA):
    """Returns the actual TWV of each query, whose mean is that of all.

    Arguments
    ---------
    detected, true, beta
        See `actual_term_weighted_value`.

    Returns
    -------
    torch.Tensor
        [queries], float64; NaN for a query that no document holds.

    Raises
    ------
    ValueError
        See `actual_term_weighted_value`.

    Example
    -------
    >>> import torch
    >>> true = torch.tensor([[1, 0, 0], [0, 0, 0]])
    >>> values_of_queries(torch.tensor([[1, 1, 0], [0, 0, 0]]), true, beta=1.0)
    tensor([0.5000,    nan], dtype=torch.float64)
    """
    true = _true(detected, true, "detected")
    weights, counted = _weights(true, beta)
    values = torch.full((len(true),), torch.nan, dtype=torch.float64)
    found = weights * _binary(detected, "detected")[counted]
    values[counted] = len(weights) * found.sum(1)
    return values


def _weights(true, beta):
    """Returns the contribution of each detection to the TWV, and the valid queries."""
    if not 0 <= beta < float("inf"):
        raise ValueError(f"beta must be finite and not negative, not {beta}")
    counted = true.any(dim=1)
    if not counted.any():
        raise ValueError(
            f"none of the {len(true)} queries is held by a document: its TWV is not "
            "defined"
        )
    true = true[counted]
    targets = true.sum(dim=1, keepdim=True).double()
    others = true.shape[1] - targets
    # The clamp is for queries that every document holds: nothing is divided by it.
    weights = torch.where(true, 1 / targets, -beta / others.clamp(min=1))
    return weights / len(true), counted


def _true(predicted, true, name):
    """Returns ``true`` as booleans on the CPU; checks that the shapes agree."""
    if predicted.ndim != 2 or predicted.shape != true.shape:
        raise ValueError(
            f"{name} and true must both be [queries, documents], not "
            f"{list(predicted.shape)} and {list(true.shape)}"
        )
    return _binary(true, "true")


def _binary(table, name):
    table = table.detach().cpu()
    yes = table == 1
    bad = (~yes & (table != 0)).nonzero()
    if len(bad):
        query, document = bad[0].tolist()
        raise ValueError(
            f"{name} must hold 0 and 1 only, but {len(bad)} entries are not, the first "
            f"at query {query}, document {document}: {table[query, document].item()}"
        )
    return yes
