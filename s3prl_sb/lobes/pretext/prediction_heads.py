"""Heads that predict frames from hidden states, for pre-training only.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.lobes.pretext.arguments import require


class SpecHead(nn.Module):
    """Prediction head of Mockingjay and TERA: a hidden layer with a norm.

    Paper: Liu et al., "Mockingjay", https://arxiv.org/abs/1910.12638.

    Arguments
    ---------
    input_size : int
        Size of the hidden states.
    output_size : int
        Size of the predicted frames.
    hidden_size : int, optional
        Size of the hidden layer. None: ``input_size``.
    seed : int
        Seed of the random weights.

    Example
    -------
    >>> SpecHead(32, output_size=80)(torch.randn(10, 32)).shape
    torch.Size([10, 80])
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int | None = None,
        seed: int = 0,
    ):
        if hidden_size is None:
            hidden_size = input_size
        sizes = {"input_size": input_size, "output_size": output_size}
        require("whole", low=1, **sizes, hidden_size=hidden_size)
        require("whole", low=0, seed=seed)
        super().__init__()
        self.dense = nn.Linear(input_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, eps=1e-12)
        self.output = nn.Linear(hidden_size, output_size)
        initialize(self, seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[…, input_size] -> […, output_size]."""
        return self.output(self.norm(F.gelu(self.dense(x))))


def linear_head(input_size: int, output_size: int, seed: int = 0) -> nn.Linear:
    """Returns the prediction head of APC and NPC, a linear layer.

    Arguments
    ---------
    input_size : int
        Size of the hidden states.
    output_size : int
        Size of the predicted frames.
    seed : int
        Seed of the random weights.

    Example
    -------
    >>> linear_head(32, output_size=80)(torch.randn(10, 32)).shape
    torch.Size([10, 80])
    """
    head = nn.Linear(input_size, output_size)
    initialize(head, seed)
    return head
