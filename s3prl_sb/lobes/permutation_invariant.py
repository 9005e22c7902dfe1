"""Permutation-invariant loss for speaker diarization.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.pooling import frame_mask


def permutation_invariant_bce(logits, labels, lens):
    """Returns the binary cross-entropy for the best order of the speakers.

    It is a mean over speakers and over the true frames of all utterances. All orders
    are computed at once, so it suits a few speakers only.

    Papers: Yu et al. 2017, https://arxiv.org/abs/1607.00325; Fujita et al. 2019,
    https://arxiv.org/abs/1909.05952 (for diarization).

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
    permutations = list(itertools.permutations(range(speakers)))
    orders = torch.tensor(permutations, device=logits.device)
    each = torch.arange(speakers, device=logits.device)
    best, index = cost[:, each, orders].sum(2).min(1)
    return best.sum() / counted.sum().clamp_min(1), orders[index]
