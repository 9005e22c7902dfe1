"""Head that pools the features first, and classifies the result by a small network.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.named_poolings import made_pooling
from s3prl_sb.lobes.heads.parts import Part, output_size
from s3prl_sb.lobes.heads.pooling import is_poolable


class PooledClassifier(torch.nn.Module):
    """Pools over time; then dropout, a layer with a GELU, dropout, and a classifier.

    It is the classifier of sentiment of SLUE (Shon et al.,
    https://arxiv.org/abs/2111.10367). With mean pooling it is
    :class:`~s3prl_sb.lobes.heads.pooling.Poolable`.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.
    hidden_size : int, optional
        Size of the layer; default: that of the pooled features.
    dropout : float
        Dropout probability before both layers.
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
    >>> head = PooledClassifier(input_size=24, num_classes=3)
    >>> head(torch.randn(4, 50, 24), torch.ones(4)).shape, head.linear
    (torch.Size([4, 3]), True)
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        hidden_size: int | None = None,
        dropout: float = 0.2,
        pooling: Part | None = None,
    ):
        super().__init__()
        pooling = "mean" if pooling is None else pooling
        self.pooling = made_pooling(pooling, input_size)
        size = output_size(self.pooling, input_size)
        hidden_size = size if hidden_size is None else hidden_size
        self.classifier = torch.nn.Sequential(
            torch.nn.Dropout(dropout),
            torch.nn.Linear(size, hidden_size),
            torch.nn.GELU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(hidden_size, num_classes),
        )

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
        return self.classifier(self.pooling(features, lens))
