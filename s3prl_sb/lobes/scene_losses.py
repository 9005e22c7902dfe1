"""Losses of a recognizer of scenes, each a mean over what is annotated.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.permutation_invariant import permutation_invariant_bce

#: Orders of the tracks of speakers.
ORDERS = ("permutation", "arrival")


def speaker_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    lens: torch.Tensor,
    order: str = "permutation",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns the binary cross-entropy of the speakers' activity.

    Arguments
    ---------
    logits : torch.Tensor
        [batch, frames, speakers].
    labels : torch.Tensor
        [batch, frames, speakers] of 0 and 1, negative where unknown.
    lens : torch.Tensor
        [batch], relative lengths.
    order : str
        "permutation": the best order of the speakers, as of
        :mod:`~s3prl_sb.lobes.permutation_invariant`; "arrival": who speaks first is
        the first one, as in Sortformer (https://arxiv.org/abs/2409.06656).

    Returns
    -------
    loss : torch.Tensor
        Mean over speakers and annotated frames; 0 if there are none.
    chosen : torch.Tensor
        [batch, speakers]: speaker ``chosen[b, i]`` of the labels belongs to track
        ``i``.
    count : torch.Tensor
        Number of annotated frames.

    Example
    -------
    >>> labels = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    >>> logits = 100 * (labels.flip(2) - 0.5)
    >>> loss, chosen, count = speaker_loss(logits, labels, torch.ones(1), "arrival")
    >>> round(loss.item(), 4), chosen.tolist(), count.item()
    (0.0, [[1, 0]], 2)
    """
    counted = frame_mask(logits, lens) & (labels >= 0).all(2)
    if order == "permutation":
        loss, chosen = permutation_invariant_bce(logits, labels, lens)
        return loss, chosen, counted.sum()
    chosen = arrival_order(labels.masked_fill(~counted.unsqueeze(2), 0.0))
    sorted_labels = labels.gather(2, chosen.unsqueeze(1).expand_as(labels))
    each = F.binary_cross_entropy_with_logits(
        logits.float(), sorted_labels.clamp_min(0.0), reduction="none"
    ).mean(2)
    return _mean(each, counted), chosen, counted.sum()


def arrival_order(labels: torch.Tensor) -> torch.Tensor:
    """Returns the speakers in the order of their first frame; silent ones are last.

    Arguments
    ---------
    labels : torch.Tensor
        [batch, frames, speakers] of 0 and 1.

    Returns
    -------
    torch.Tensor
        [batch, speakers].

    Example
    -------
    >>> arrival_order(torch.tensor([[[0.0, 0.0, 1.0], [0.0, 1.0, 1.0]]])).tolist()
    [[2, 1, 0]]
    """
    active = labels > 0
    first = active.int().argmax(1)
    first = first.masked_fill(~active.any(1), labels.shape[1])
    return first.argsort(dim=1, stable=True)


def event_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    lens: torch.Tensor,
    weight: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the binary cross-entropy of events.

    Arguments
    ---------
    logits, labels, lens
        See :func:`speaker_loss`.
    weight : float
        Weight of the frames in which a label holds, against the others.

    Returns
    -------
    loss : torch.Tensor
        Sum over labels, mean over annotated frames; 0 if there are none.
    count : torch.Tensor
        Number of annotated frames.

    Example
    -------
    >>> labels = torch.tensor([[[0.0, 1.0], [-1.0, -1.0]]])
    >>> loss, count = event_loss(torch.zeros(1, 2, 2), labels, torch.ones(1))
    >>> round(loss.item(), 4), count.item()
    (1.3863, 1)
    """
    counted = frame_mask(logits, lens) & (labels >= 0).all(2)
    each = F.binary_cross_entropy_with_logits(
        logits.float(),
        labels.clamp_min(0.0),
        reduction="none",
        pos_weight=logits.new_tensor(weight, dtype=torch.float32),
    ).sum(2)
    return _mean(each, counted), counted.sum()


def word_loss(
    log_probs: torch.Tensor,
    tracks: Sequence[Sequence[Sequence[int]]],
    known: torch.Tensor,
    lens: torch.Tensor,
    blank: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the loss of connectionist temporal classification over all tracks.

    Arguments
    ---------
    log_probs : torch.Tensor
        [batch, tracks, frames, tokens].
    tracks : list of list of list of int
        Tokens of each track of each recording.
    known : torch.Tensor
        [batch], bool: whether the words are annotated.
    lens : torch.Tensor
        [batch], relative lengths.
    blank : int
        Index of the blank.

    Returns
    -------
    loss : torch.Tensor
        Mean over the tokens, and one end of each track, of the recordings whose words
        are annotated; 0 if there are none.
    count : torch.Tensor
        Number of these tokens and ends.

    Note
    ----
    A track that has fewer frames than its tokens need has no alignment, and counts 0.

    Example
    -------
    >>> log_probs = torch.full((1, 2, 4, 3), 1 / 3).log()
    >>> known = torch.tensor([True])
    >>> loss, count = word_loss(log_probs, [[[1], []]], known, torch.ones(1))
    >>> round(loss.item(), 3), count.item()  # 10 and 1 of 81 alignments
    (2.162, 3)
    """
    frames = (lens * log_probs.shape[2]).round().long()
    rows = [tokens for recording in tracks for tokens in recording]
    targets = torch.tensor(
        [token for tokens in rows for token in tokens], dtype=torch.long
    )
    sizes = torch.tensor([len(tokens) for tokens in rows], dtype=torch.long)
    each = F.ctc_loss(
        log_probs.flatten(0, 1).transpose(0, 1),
        targets.to(log_probs.device),
        frames.repeat_interleave(log_probs.shape[1]),
        sizes.to(log_probs.device),
        blank=blank,
        reduction="none",
        zero_infinity=True,
    ).view(log_probs.shape[:2])
    known = known.to(each.device).unsqueeze(1)
    count = ((sizes.to(each.device).view(each.shape) + 1) * known).sum()
    return (each * known).sum() / count.clamp_min(1), count


def _mean(each, counted):
    """Returns the mean of [batch, frames] over the frames that count."""
    return (each * counted).sum() / counted.sum().clamp_min(1)
