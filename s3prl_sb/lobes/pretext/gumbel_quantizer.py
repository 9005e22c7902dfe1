"""Product quantization by the Gumbel soft-max.

Papers: Jang et al., "Categorical Reparameterization with Gumbel-Softmax", ICLR 2017,
https://arxiv.org/abs/1611.01144; Baevski et al., "vq-wav2vec", ICLR 2020,
https://arxiv.org/abs/1910.05453.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.pretext.arguments import require


class Quantized(NamedTuple):
    """Frames after quantization."""

    vectors: torch.Tensor  #: codewords of all groups, [frames, code_size]
    codes: torch.Tensor  #: one number for a combination of codewords, [frames]
    #: distribution over the codewords, of each frame, [frames, groups, entries]; in
    #: evaluation of the chosen ones only
    probabilities: torch.Tensor


class GumbelQuantizer(nn.Module):
    """Chooses a codeword in each of several codebooks for a frame.

    In training the choice is random, and its gradient that of the soft-max
    (straight-through); in evaluation it is the most probable codeword.

    Arguments
    ---------
    input_size : int
        Size of the frames.
    groups : int
        Number of codebooks.
    entries : int
        Number of codewords of a codebook.
    code_size : int
        Size of the result: of the codewords of all groups together.

    Example
    -------
    >>> quantizer = GumbelQuantizer(32, groups=2, entries=8, code_size=16)
    >>> noise = torch.zeros(5, 2, 8)  # see s3prl_sb.lobes.pretext.gumbel
    >>> quantized = quantizer(torch.randn(5, 32), noise)
    >>> quantized.vectors.shape, quantized.probabilities.sum(-1).shape
    (torch.Size([5, 16]), torch.Size([5, 2]))
    """

    def __init__(
        self, input_size: int, groups: int = 2, entries: int = 320, code_size: int = 256
    ):
        require("whole", low=1, input_size=input_size, groups=groups)
        require("whole", low=2, entries=entries)
        require("whole", low=1, code_size=code_size)
        super().__init__()
        if code_size % groups:
            raise ValueError(
                f"The code_size {code_size} must be a multiple of {groups} groups."
            )
        self.groups, self.entries = groups, entries
        self.temperature = 1.0  # changes in training
        self.logits = nn.Linear(input_size, groups * entries)
        self.codewords = nn.Parameter(torch.empty(groups, entries, code_size // groups))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initializes the weights as in wav2vec 2.0."""
        nn.init.normal_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)
        nn.init.uniform_(self.codewords)

    def forward(self, x: torch.Tensor, noise: torch.Tensor | None = None) -> Quantized:
        """Returns the codewords of frames.

        Arguments
        ---------
        x : torch.Tensor
            [frames, input_size].
        noise : torch.Tensor, optional
            :func:`~s3prl_sb.lobes.pretext.gumbel.gumbel_noise`, [frames, groups,
            entries], for training mode.

        Returns
        -------
        Quantized
            In fp32, also under autocast.
        """
        logits = self.logits(x).view(-1, self.groups, self.entries).float()
        with torch.autocast(x.device.type, enabled=False):
            if self.training:
                assert noise is not None, "In training the choice needs noise."
                probabilities = logits.softmax(-1)
                soft = ((logits + noise) / self.temperature).softmax(-1)
                chosen = soft.argmax(-1)
                hard = F.one_hot(chosen, self.entries).to(soft.dtype)
                choice = hard - soft.detach() + soft
            else:
                chosen = logits.argmax(-1)
                choice = F.one_hot(chosen, self.entries).to(logits.dtype)
                probabilities = choice
            vectors = torch.bmm(choice.transpose(0, 1), self.codewords.float())
        places = self.entries ** torch.arange(self.groups, device=x.device)
        return Quantized(
            vectors.transpose(0, 1).flatten(1), (chosen * places).sum(-1), probabilities
        )


def perplexity(probabilities: torch.Tensor) -> torch.Tensor:
    """Returns the perplexity of distributions, summed over the groups.

    Arguments
    ---------
    probabilities : torch.Tensor
        [groups, entries]; each group adds up to 1.

    Returns
    -------
    torch.Tensor
        A scalar: the number of equally frequent codewords with this entropy. It is
        between ``groups`` and ``groups * entries``.

    Example
    -------
    >>> round(perplexity(torch.full((2, 8), 1 / 8)).item())
    16
    """
    # Where a probability underflows to zero, its gradient must stay finite.
    logarithms = probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()
    return (-(probabilities * logarithms).sum(-1)).exp().sum()
