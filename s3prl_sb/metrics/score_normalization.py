"""Normalization of verification scores by a cohort of other speakers.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def as_norm(scores, first, second, cohort, top=300):
    """Normalizes scores adaptively and symmetrically (AS-norm).

    For each side of a trial, the mean of the scores of that side with its nearest
    neighbours in a cohort is subtracted, and the result is divided by their standard
    deviation. The normalized score is the mean over both sides.

    Paper: Matejka et al., "Analysis of score normalization in multilingual speaker
    recognition", Interspeech 2017,
    https://www.isca-archive.org/interspeech_2017/matejka17_interspeech.html.

    Arguments
    ---------
    scores : torch.Tensor
        [trials].
    first, second : torch.Tensor
        [trials], indices of the compared utterances.
    cohort : torch.Tensor
        [utterances, cohort], scores of every utterance with each one of the cohort.
    top : int
        Size of the neighbourhood, at least 2; the whole cohort if that is smaller.

    Returns
    -------
    torch.Tensor
        [trials].

    Raises
    ------
    ValueError
        If the neighbourhood has fewer than two members, or all neighbours of an
        utterance have the same score.

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
