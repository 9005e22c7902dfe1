"""Losses that do not depend on the order of speakers or sources.

All orders are computed at once, which suits a few speakers only.

Papers: Yu et al. 2017, https://arxiv.org/abs/1607.00325; Fujita et al. 2019,
https://arxiv.org/abs/1909.05952 (for diarization); Kolbæk et al. 2017,
https://arxiv.org/abs/1703.06284 (for whole utterances).

Authors
 * The s3prl_sb developers, 2026
"""

import itertools

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.pooling import frame_mask

#: Distances of spectra by name, of a difference.
DISTANCES = {"mse": torch.square, "l1": torch.abs}


def best_order(cost: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the least cost over all orders of the references.

    Arguments
    ---------
    cost : torch.Tensor
        [batch, estimates, references], cost of each pair.

    Returns
    -------
    best : torch.Tensor
        [batch], the sum over the pairs of the best order.
    order : torch.Tensor
        [batch, estimates]: reference ``order[b, i]`` belongs to estimate ``i``.

    Example
    -------
    >>> best, order = best_order(torch.tensor([[[5.0, 1.0], [2.0, 7.0]]]))
    >>> best.tolist(), order.tolist()
    ([3.0], [[1, 0]])
    """
    size = cost.shape[-1]
    permutations = list(itertools.permutations(range(size)))
    orders = torch.tensor(permutations, device=cost.device)
    each = torch.arange(size, device=cost.device)
    best, index = cost[:, each, orders].sum(2).min(1)
    return best, orders[index]


def permutation_invariant_bce(logits, labels, lens):
    """Returns the binary cross-entropy for the best order of the speakers.

    It is a mean over speakers and over the true frames of all utterances.

    Arguments
    ---------
    logits : torch.Tensor
        [batch, frames, speakers].
    labels : torch.Tensor
        [batch, frames, speakers], 0 or 1. Frames with a negative label do not count.
    lens : torch.Tensor
        [batch], relative lengths.

    Returns
    -------
    loss : torch.Tensor
        A scalar; 0 if no frame counts.
    order : torch.Tensor
        [batch, speakers]: speaker ``order[b, i]`` of the labels is speaker ``i`` of
        the logits.

    Example
    -------
    >>> labels = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]]])
    >>> logits = 100 * (labels.flip(2) - 0.5)
    >>> loss, order = permutation_invariant_bce(logits, labels, torch.ones(1))
    >>> round(loss.item(), 6), order.tolist()
    (0.0, [[1, 0]])
    """
    if logits.shape != labels.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)}, labels {tuple(labels.shape)}: not the same"
        )
    speakers = logits.shape[2]
    counted = frame_mask(logits, lens) & (labels >= 0).all(2)
    # Each speaker of the logits with each of the labels
    shape = (*logits.shape, speakers)
    cost = F.binary_cross_entropy_with_logits(
        logits.float().unsqueeze(3).expand(shape),
        labels.float().clamp_min(0).unsqueeze(2).expand(shape),
        reduction="none",
    )
    cost = cost.masked_fill(~counted[:, :, None, None], 0).sum(1) / speakers
    best, order = best_order(cost)
    return best.sum() / counted.sum().clamp_min(1), order


def permutation_invariant_distance(
    estimates: torch.Tensor,
    references: torch.Tensor,
    frames: torch.Tensor,
    distance: str = "mse",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the distance of spectra for the best order of the sources.

    It is a sum over bins, a mean over the true frames and the sources of each
    utterance, and a mean over utterances.

    Arguments
    ---------
    estimates, references : torch.Tensor
        [batch, frames, sources, bins], real.
    frames : torch.Tensor
        [batch], number of true frames of each utterance.
    distance : str
        "mse", the squared difference, or "l1", the absolute one.

    Returns
    -------
    loss : torch.Tensor
        A scalar.
    order : torch.Tensor
        See :func:`best_order`.

    Example
    -------
    >>> sources = torch.arange(12.0).view(1, 3, 2, 2)
    >>> estimates, frames = sources.flip(2) + 0.5, torch.tensor([3])
    >>> loss, order = permutation_invariant_distance(estimates, sources, frames)
    >>> loss.item(), order.tolist()
    (0.5, [[1, 0]])
    """
    true = torch.arange(estimates.shape[1], device=frames.device) < frames[:, None]
    each = estimates.float().unsqueeze(3) - references.float().unsqueeze(2)
    each = (
        DISTANCES[distance](each).sum(4).masked_fill(~true[..., None, None], 0).sum(1)
    )
    best, order = best_order(each)
    return (best / (frames * estimates.shape[2])).mean(), order
