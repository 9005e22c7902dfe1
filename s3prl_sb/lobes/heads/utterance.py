"""Heads that classify whole utterances.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.named_poolings import made_pooling
from s3prl_sb.lobes.heads.parts import Part, output_size
from s3prl_sb.lobes.heads.pooling import is_poolable


class UtteranceClassifier(torch.nn.Module):
    """SUPERB's probe for whole utterances: project, pool, classify.

    There is no non-linearity between the layers, so with mean pooling the head is
    :class:`~s3prl_sb.lobes.heads.pooling.Poolable`: the feature cache may keep one
    vector per hidden state instead of all frames.

    Paper: Yang et al., "SUPERB", https://arxiv.org/abs/2105.01051.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.
    hidden_size : int, optional
        Size of the projection; None for a classifier of the features themselves.
    pooling : str, dict, callable or torch.nn.Module, optional
        A :class:`~s3prl_sb.lobes.heads.pooling.Pooling`: its name (``s3prl-sb heads``
        lists them), or see :data:`~s3prl_sb.lobes.heads.parts.Part`; default: mean over
        true frames.

    Raises
    ------
    HeadError
        If there is no such pooling.

    Example
    -------
    >>> head = UtteranceClassifier(input_size=768, num_classes=12)
    >>> head(torch.randn(4, 50, 768), torch.ones(4)).shape
    torch.Size([4, 12])
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        hidden_size: int | None = 256,
        pooling: Part | None = None,
    ):
        super().__init__()
        self.projection: torch.nn.Module = torch.nn.Identity()
        if hidden_size is not None:
            self.projection = torch.nn.Linear(input_size, hidden_size)
        hidden_size = input_size if hidden_size is None else hidden_size
        pooling = "mean" if pooling is None else pooling
        self.pooling = made_pooling(pooling, hidden_size)
        pooled_size = output_size(self.pooling, hidden_size)
        self.classifier = torch.nn.Linear(pooled_size, num_classes)

    @property
    def linear(self) -> bool:
        """True if features may be averaged over time before the head."""
        return is_poolable(self.pooling)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns logits.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, num_classes].
        """
        return self.classifier(self.pooling(self.projection(features), lens))
