"""Cross-entropy of sequences with smoothed labels.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F

#: Target of the padding.
IGNORED = -100


def sequence_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, smoothing: float = 0.1
) -> torch.Tensor:
    """Returns the cross-entropy of texts: a sum over tokens, a mean over texts.

    The true token has the probability 1 − ``smoothing``; all others share the rest
    equally, as in fairseq.

    Arguments
    ---------
    logits : torch.Tensor
        [batch, tokens, classes].
    targets : torch.Tensor
        [batch, tokens]; :data:`IGNORED` where there is padding.
    smoothing : float
        Probability of a token other than the true one, at most 0.5.

    Returns
    -------
    torch.Tensor
        A scalar, in float32.

    Note
    ----
    torch's ``label_smoothing`` gives a part of the rest to the true token, too; of
    this loss it is the value at ``smoothing`` * classes / (classes - 1).

    Example
    -------
    >>> logits, targets = torch.zeros(1, 3, 4), torch.tensor([[1, 2, IGNORED]])
    >>> sequence_cross_entropy(logits, targets) / 2 - torch.log(torch.tensor(4.0))
    tensor(0.)
    """
    classes = logits.shape[-1]
    loss = F.cross_entropy(
        logits.float().flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=smoothing * classes / max(classes - 1, 1),
    )
    return loss / len(targets)


def shifted(tokens: torch.Tensor, lens: torch.Tensor, start: int):
    """Returns what a decoder reads and what it must write.

    Arguments
    ---------
    tokens : torch.Tensor
        [batch, tokens], texts with an end token.
    lens : torch.Tensor
        [batch], relative lengths.
    start : int
        Index of the token before the first one.

    Returns
    -------
    prefix : torch.Tensor
        [batch, tokens], the start token and the text without its last token.
    targets : torch.Tensor
        [batch, tokens], the text; :data:`IGNORED` where there is padding.

    Example
    -------
    >>> tokens, lens = torch.tensor([[5, 6, 2], [7, 2, 0]]), torch.tensor([1, 2 / 3])
    >>> shifted(tokens, lens, start=1)
    (tensor([[1, 5, 6],
            [1, 7, 2]]), tensor([[   5,    6,    2],
            [   7,    2, -100]]))
    """
    count = tokens.shape[1]
    first = torch.full_like(tokens[:, :1], start)
    true = (lens * count).round()[:, None]
    padding = torch.arange(count, device=tokens.device) >= true
    return torch.cat([first, tokens[:, :-1]], 1), tokens.masked_fill(padding, IGNORED)
