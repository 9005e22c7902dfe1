"""A linear classifier of normalized means: X-ARES' probe.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.named_poolings import made_pooling
from s3prl_sb.lobes.heads.parts import Part, output_size
from s3prl_sb.lobes.heads.pooling import is_poolable


class LayerNormClassifier(torch.nn.Module):
    """Pools, applies layer normalization, and classifies with one linear layer.

    The pooling comes first, so with the mean it is
    :class:`~s3prl_sb.lobes.heads.pooling.Poolable`.

    Paper: Zhang et al. 2025, "X-ARES", https://arxiv.org/abs/2505.16369.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.
    pooling : str, dict, callable or torch.nn.Module, optional
        See :class:`~s3prl_sb.lobes.heads.utterance.UtteranceClassifier`.

    Raises
    ------
    HeadError
        If there is no such pooling.

    Example
    -------
    >>> head = LayerNormClassifier(input_size=768, num_classes=50)
    >>> head(torch.randn(4, 50, 768), torch.ones(4)).shape
    torch.Size([4, 50])
    """

    def __init__(self, input_size: int, num_classes: int, pooling: Part | None = None):
        super().__init__()
        self.pooling = made_pooling("mean" if pooling is None else pooling, input_size)
        size = output_size(self.pooling, input_size)
        self.norm = torch.nn.LayerNorm(size)
        self.classifier = torch.nn.Linear(size, num_classes)

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
        return self.classifier(self.norm(self.pooling(features, lens)))
