"""Equal error rate and detection cost of speaker verification.

A trial is accepted if its score is at least the threshold. As the threshold decreases,
the number of false acceptances grows and that of false rejections falls; all metrics
of this module are points of this curve.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def det_curve(scores, labels):
    """Computes false acceptance and false rejection rates at all thresholds.

    Equal scores are accepted or rejected together, so there is one point for each
    distinct score, after a first one at which every trial is rejected. Plot both
    rates through `torch.special.ndtri` for the axes of a DET plot.

    Arguments
    ---------
    scores : torch.Tensor
        [trials], finite; a higher score means that the same speaker is more likely.
    labels : torch.Tensor
        [trials], 1 or True where the speaker is the same, else 0 or False.

    Returns
    -------
    thresholds : torch.Tensor
        [points], float64, falling from infinity.
    false_acceptance : torch.Tensor
        [points], float64, share of the non-target trials, rising from 0 to 1.
    false_rejection : torch.Tensor
        [points], float64, share of the target trials, falling from 1 to 0.

    Raises
    ------
    ValueError
        If the trials are not one score and one label each, a score is not finite,
        a label is not 0 or 1, or all labels are the same.

    Example
    -------
    >>> import torch
    >>> scores = torch.tensor([0.9, 0.4, 0.6, 0.1])
    >>> labels = torch.tensor([1, 1, 0, 0])
    >>> _, false_acceptance, false_rejection = det_curve(scores, labels)
    >>> false_acceptance.tolist()
    [0.0, 0.0, 0.5, 0.5, 1.0]
    >>> false_rejection.tolist()
    [1.0, 0.5, 0.5, 0.0, 0.0]
    """
    scores, target = _trials(scores, labels)
    scores, order = scores.sort(descending=True)
    target = target[order]
    last = torch.ones_like(target)  # the last trial of each score
    last[:-1] = scores[1:] != scores[:-1]
    accepted = torch.stack([~target, target]).cumsum(dim=1)[:, last]
    accepted = torch.cat([accepted.new_zeros(2, 1), accepted], dim=1)
    others, targets = accepted
    thresholds = torch.cat([scores.new_tensor([torch.inf]), scores[last]])
    # Counts are divided last, so that equal rates are equal to the last bit.
    false_acceptance = others.double() / others[-1]
    false_rejection = (targets[-1] - targets).double() / targets[-1]
    return thresholds, false_acceptance, false_rejection


def equal_error_rate(scores, labels):
    """Returns the rate at which false acceptances and false rejections are equal.

    Arguments
    ---------
    scores, labels : torch.Tensor
        [trials], see `det_curve`.

    Returns
    -------
    rate : float
        Between 0 and 1.
    threshold : float
        Threshold with this rate, the middle of those that have it exactly.

    Raises
    ------
    ValueError
        See `det_curve`.

    Note
    ----
    Between two points of the curve both rates are interpolated linearly, as
    S3PRL and SUPERB do, which gives the same rate. The threshold is interpolated
    between the two scores with the same weight, so it is always finite. Where both
    rates are equal at a point of the curve, it lies midway to the next score below, so
    that a decision does not hang on the last bit of a score. S3PRL's differs slightly:
    it leaves out points of the curve before it interpolates, and it can be infinite.

    Example
    -------
    >>> import torch
    >>> scores = torch.tensor([0.9, 0.4, 0.6, 0.1])
    >>> rate, _ = equal_error_rate(scores, torch.tensor([1, 1, 0, 0]))
    >>> rate
    0.5
    """
    thresholds, false_acceptance, false_rejection = det_curve(scores, labels)
    excess = false_rejection - false_acceptance  # falls strictly from 1 to -1
    right = int((excess <= 0).int().argmax())
    left = right - 1
    weight = excess[right] / (excess[right] - excess[left])  # of the left point

    def between(values):
        return (values[right] + weight * (values[left] - values[right])).item()

    if weight == 0:  # at `right` itself, which is never the last point
        threshold = ((thresholds[right] + thresholds[right + 1]) / 2).item()
    elif left > 0:
        threshold = between(thresholds)
    else:  # The point left of the highest score is infinite.
        threshold = thresholds[right].item()
    return between(false_acceptance), threshold


def minimum_detection_cost(scores, labels, p_target=0.01, c_miss=1.0, c_fa=1.0):
    """Returns the minimum detection cost (minDCF): that of the best threshold.

    It is the expected cost, divided by that of the better of two trivial systems, of
    which one accepts every trial and the other one rejects every trial (NIST
    2016 Speaker Recognition Evaluation Plan, section 3,
    https://www.nist.gov/itl/iad/mig/speaker-recognition-evaluation-2016).

    Arguments
    ---------
    scores, labels : torch.Tensor
        [trials], see `det_curve`.
    p_target : float
        Prior probability that the speaker is the same.
    c_miss, c_fa : float
        Costs of a false rejection and of a false acceptance.

    Returns
    -------
    cost : float
        Between 0 and 1.
    threshold : float
        The highest threshold with this cost; infinite if it is best to reject all.

    Raises
    ------
    ValueError
        See `det_curve`; also if p_target is not between 0 and 1, or a cost is not
        positive.

    Example
    -------
    >>> import torch
    >>> scores = torch.tensor([0.9, 0.4, 0.6, 0.1])
    >>> cost, threshold = minimum_detection_cost(scores, torch.tensor([1, 1, 0, 0]))
    >>> cost, round(threshold, 6)
    (0.5, 0.9)
    """
    if not 0 < p_target < 1:
        raise ValueError(f"p_target must lie between 0 and 1, not be {p_target}")
    if not (c_miss > 0 and c_fa > 0):
        raise ValueError(f"costs must be positive: c_miss={c_miss}, c_fa={c_fa}")
    thresholds, false_acceptance, false_rejection = det_curve(scores, labels)
    of_rejecting = c_miss * p_target
    of_accepting = c_fa * (1 - p_target)
    costs = of_rejecting * false_rejection + of_accepting * false_acceptance
    best = costs.argmin()  # the first of equals
    cost = costs[best].item() / min(of_rejecting, of_accepting)
    return cost, thresholds[best].item()


def _trials(scores, labels):
    """Returns valid scores in double precision and the target mask, on the CPU."""
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(
            "scores and labels must be one per trial, both [trials], not "
            f"{list(scores.shape)} and {list(labels.shape)}"
        )
    if len(scores) == 0:
        raise ValueError("there are no trials")
    scores = scores.detach().cpu().double()
    labels = labels.detach().cpu()
    bad = (~scores.isfinite()).nonzero()
    if len(bad):
        first = int(bad[0])
        raise ValueError(
            f"{len(bad)} of {len(scores)} scores are not finite, the first at trial "
            f"{first}: {scores[first].item()}"
        )
    target = labels == 1
    bad = (~target & (labels != 0)).nonzero()
    if len(bad):
        first = int(bad[0])
        raise ValueError(
            "labels must be 1 (same speaker) or 0 (different speakers), but "
            f"{len(bad)} are not, the first at trial {first}: {labels[first].item()}"
        )
    if target.all() or not target.any():
        which = "same" if target.all() else "different"
        raise ValueError(
            f"all {len(target)} trials are of {which} speakers: error rates need both"
        )
    return scores, target
