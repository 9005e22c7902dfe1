"""Normalization of verification scores by a cohort of other speakers.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def as_norm(scores, first, second, cohort, top=300):
    """Adaptive symmetric score normalization.

    A score is measured, for either side of a trial, against the scores of that side
    with its nearest neighbours in a cohort: their mean is taken off, and the rest is
    divided by their standard deviation. The result is the mean of both sides.

    Paper: Matejka et al., "Analysis of score normalization in multilingual speaker
    recognition", Interspeech 2017,
    https://www.isca-archive.org/interspeech_2017/matejka17_interspeech.html.

    Arguments
    ---------
    scores : torch.Tensor
        [trials].
    first, second : torch.Tensor
        [trials], which of the utterances are compared.
    cohort : torch.Tensor
        [utterances, cohort], scores of every utterance with every one of the cohort.
    top : int
        Size of the neighbourhood, at least 2; the whole cohort if that is smaller.

    Returns
    -------
    torch.Tensor
        [trials].

    Raises
    ------
    ValueError
        If the neighbourhood has less than two members, or all of an utterance's are
        equally near.

    Example
    -------
    >>> cohort = torch.tensor([[0.0, 0.2], [0.1, 0.5]])
    >>> pair = torch.tensor([0]), torch.tensor([1])
    >>> round(as_norm(torch.tensor([0.9]), *pair, cohort).item(), 3)
    3.889
    """
    top = min(top, cohort.shape[1])
    if top < 2:
        raise ValueError(f"a cohort of {top} has no standard deviation: 2 are needed")
    nearest = cohort.topk(top, dim=1).values
    deviations, means = torch.std_mean(nearest, dim=1)
    if not (deviations > 0).all():
        raise ValueError(
            f"an utterance is equally near to its {top} nearest of the cohort: "
            "its scores cannot be normalized"
        )
    normed = [(scores - means[side]) / deviations[side] for side in (first, second)]
    return sum(normed) / 2
