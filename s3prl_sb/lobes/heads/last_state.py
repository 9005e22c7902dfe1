"""Head that classifies an utterance by the last state of a recurrent layer.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.heads.recurrent import RaggedGRU


class LastStateClassifier(torch.nn.Module):
    """One GRU layer over every fifth frame, and two layers over its last state.

    It is the classifier of sentiment in the first code of Mockingjay (Liu et al.,
    https://arxiv.org/abs/1910.12638), which the paper calls a one-layer RNN.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.
    hidden_size : int
        Size of the GRU, and of the layer with a ReLU after it.
    every : int
        Frames from one that the GRU reads to the next. An utterance of ``n`` frames has
        ``n // every`` of them, at least one.
    dropout : float
        Dropout before the last layer.

    Example
    -------
    >>> head = LastStateClassifier(input_size=24, num_classes=2)
    >>> head(torch.randn(4, 50, 24), torch.tensor([1, 0.8, 0.2, 0.02])).shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        hidden_size: int = 32,
        every: int = 5,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.every = every
        self.gru = RaggedGRU(input_size, hidden_size)
        self.classifier = torch.nn.Sequential(
            torch.nn.Linear(hidden_size, hidden_size),
            torch.nn.ReLU(),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(hidden_size, num_classes),
        )

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
        last = (frame_mask(features, lens).sum(1) // self.every - 1).clamp_min(0)
        x = features[:, :: self.every]
        states = self.gru(x, torch.ones(len(x), device=x.device))
        return self.classifier(states[torch.arange(len(x), device=x.device), last])
