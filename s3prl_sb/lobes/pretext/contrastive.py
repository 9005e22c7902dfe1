"""Contrastive loss between frames of the same utterance.

Paper: Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech
Representations", NeurIPS 2020, https://arxiv.org/abs/2006.11477.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import numpy
import torch
import torch.nn.functional as F


def draw_negatives(
    positives: numpy.ndarray,
    candidates: int,
    num_negatives: int,
    generator: numpy.random.Generator,
) -> numpy.ndarray:
    """Draws distractors, uniformly among all candidates but the true one.

    Arguments
    ---------
    positives : numpy.ndarray
        [predictions], index of the true candidate of each prediction.
    candidates : int
        Number of candidates.
    num_negatives : int
        Number of distractors of each prediction, drawn with replacement.
    generator : numpy.random.Generator
        Source of the random numbers.

    Returns
    -------
    numpy.ndarray
        [predictions, num_negatives], indices of candidates; [predictions, 0] if
        there is only one candidate.

    Example
    -------
    >>> positives = numpy.arange(5)
    >>> negatives = draw_negatives(positives, 5, 100, numpy.random.default_rng(0))
    >>> bool((negatives == positives[:, None]).any()), int(negatives.max())
    (False, 4)
    """
    if candidates < 2:
        return numpy.empty((len(positives), 0), numpy.int64)
    drawn = generator.integers(0, candidates - 1, (len(positives), num_negatives))
    return drawn + (drawn >= positives[:, None])


class Contrast(NamedTuple):
    """Loss of the predictions of an utterance; scalars."""

    loss: torch.Tensor  #: cross-entropy, summed over predictions
    correct: torch.Tensor  #: number of predictions nearest to their true candidate
    #: number of predictions without a distractor of another code; their loss is 0,
    #: and they are not among the correct ones
    alone: torch.Tensor
    guessed: torch.Tensor  #: the loss of equal logits, summed over predictions


def contrast(
    predictions: torch.Tensor,
    candidates: torch.Tensor,
    codes: torch.Tensor,
    positives: torch.Tensor,
    negatives: torch.Tensor,
    logit_temperature: float = 0.1,
) -> Contrast:
    """Returns the contrastive loss of an utterance.

    The logits are cosines divided by the temperature. A distractor with the code of the
    true candidate does not count.

    Arguments
    ---------
    predictions : torch.Tensor
        [predictions, size].
    candidates : torch.Tensor
        [candidates, size].
    codes : torch.Tensor
        [candidates]; equal numbers stand for equal candidates.
    positives : torch.Tensor
        [predictions], index of the true candidate of each prediction.
    negatives : torch.Tensor
        [predictions, num_negatives], indices of distractors.
    logit_temperature : float
        Divisor of the cosines.

    Returns
    -------
    Contrast
        In fp32, also under autocast.

    Note
    ----
    Other implementations gather the vectors of all distractors. All cosines of an
    utterance are one product of matrices, which is about 60 times faster; a distractor
    that is drawn m times has the weight m in the soft-max. The result is the same.

    Example
    -------
    >>> x = torch.eye(3)
    >>> negatives = torch.tensor([[1, 1], [2, 0], [0, 1]])
    >>> result = contrast(x, x, torch.arange(3), torch.arange(3), negatives)
    >>> round(result.loss.item(), 4), result.correct.item(), result.alone.item()
    (0.0003, 3, 0)
    """
    if not len(predictions):
        nothing = predictions.sum() + candidates.sum()  # for gradients of zero
        return Contrast(nothing, *nothing.detach().long().expand(2), nothing.detach())
    with torch.autocast(predictions.device.type, enabled=False):
        predictions = F.normalize(predictions.float(), dim=-1, eps=1e-8)
        candidates = F.normalize(candidates.float(), dim=-1, eps=1e-8)
        cosines = predictions @ candidates.T
        weights = torch.zeros_like(cosines)
        weights.scatter_add_(
            1, negatives, torch.ones_like(negatives, dtype=torch.float)
        )
        weights.masked_fill_(codes[positives][:, None] == codes, 0)
        alone = ~weights.any(1)
        weights.scatter_(1, positives[:, None], 1)
        guessed = weights.sum(1).log().sum()
        loss = F.cross_entropy(
            cosines / logit_temperature + weights.log(), positives, reduction="sum"
        )
        nearest = cosines.masked_fill(weights == 0, -2).argmax(1)
        correct = (nearest == positives) & ~alone
    return Contrast(loss, correct.sum(), alone.sum(), guessed)
