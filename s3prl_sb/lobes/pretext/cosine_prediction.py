"""Prediction of a class by the cosine between a vector and each class's embedding.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F


def cosine_logits(
    x: torch.Tensor, embeddings: torch.Tensor, logit_temperature: float = 0.1
) -> torch.Tensor:
    """Returns the cosines between vectors and embeddings, over a temperature.

    It is one product of normalized matrices, in single precision also under autocast.

    Paper: Hsu et al., "HuBERT", https://arxiv.org/abs/2106.07447, equation 3.

    Arguments
    ---------
    x : torch.Tensor
        Vectors [rows, size].
    embeddings : torch.Tensor
        One vector per class, [classes, size].
    logit_temperature : float
        Divisor of the cosines.

    Returns
    -------
    torch.Tensor
        [rows, classes], float32.

    Note
    ----
    fairseq and torchaudio make a column of the true class and one of each class, and
    set the second column of the true class to minus infinity. The cross-entropy is the
    same as that of these logits.

    Example
    -------
    >>> logits = cosine_logits(torch.eye(3)[:2], torch.eye(3), logit_temperature=0.5)
    >>> logits.tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """
    with torch.autocast(x.device.type, enabled=False):
        x, embeddings = x.float(), embeddings.float()
        cosines = F.normalize(x, dim=-1) @ F.normalize(embeddings, dim=-1).T
        return cosines / logit_temperature
