"""Distance of predicted hidden states from those of a teacher.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F


def distances(
    prediction: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the distance and the cosine similarity of each frame.

    Paper: Chang et al., "DistilHuBERT", https://arxiv.org/abs/2110.01900, equation 1.

    Arguments
    ---------
    prediction, target : torch.Tensor
        Frames [frames, size].

    Returns
    -------
    l1 : torch.Tensor
        [frames], float32: mean absolute difference.
    cosine : torch.Tensor
        [frames], float32, from -1 to 1.

    Example
    -------
    >>> l1, cosine = distances(torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    >>> l1.tolist(), round(cosine.item(), 4)
    ([1.0], 0.7071)
    """
    prediction, target = prediction.float(), target.float()
    l1 = (prediction - target).abs().mean(-1)
    return l1, F.cosine_similarity(prediction, target, dim=-1)
