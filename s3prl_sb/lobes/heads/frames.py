"""Heads that classify every frame.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


class FrameClassifier(torch.nn.Module):
    """SUPERB's probe for frames: project and classify, without a non-linearity.

    There is no downsampling: it returns as many frames as it gets.

    Paper: Yang et al., "SUPERB", https://arxiv.org/abs/2105.01051.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.
    hidden_size : int, optional
        Size of the projection; None for a classifier of the features themselves.

    Example
    -------
    >>> head = FrameClassifier(input_size=768, num_classes=74)
    >>> head(torch.randn(4, 50, 768), torch.ones(4)).shape
    torch.Size([4, 50, 74])
    """

    def __init__(
        self, input_size: int, num_classes: int, hidden_size: int | None = 256
    ):
        super().__init__()
        self.projection: torch.nn.Module = torch.nn.Identity()
        if hidden_size is not None:
            self.projection = torch.nn.Linear(input_size, hidden_size)
        self.classifier = torch.nn.Linear(hidden_size or input_size, num_classes)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns logits.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths. They also apply to the logits, as no frame
            depends on another.

        Returns
        -------
        torch.Tensor
            [batch, frames, num_classes].
        """
        return self.classifier(self.projection(features))
