"""Quantization by a random projection and a random codebook.

Paper: Chiu et al., "Self-supervised Learning with Random-projection Quantizer for
Speech Recognition", ICML 2022, https://arxiv.org/abs/2202.01855.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.precision import KeepsPrecision, full_precision
from s3prl_sb.lobes.pretext.arguments import require


class RandomProjectionQuantizer(KeepsPrecision, nn.Module):
    """Frozen quantizer of BEST-RQ.

    Frames are projected by a matrix with Xavier's distribution; the code is the nearest
    vector of a codebook of random directions, after the frame has length 1 as well.
    Both are buffers, which checkpoints contain. Normalize the frames before: otherwise
    few codes occur.

    Arguments
    ---------
    input_size : int
        Size of the frames.
    entries : int
        Number of codewords, the vectors of the codebook.
    code_size : int
        Size of the projected frames.
    seed : int
        Seed of projection and codebook.

    Example
    -------
    >>> quantizer = RandomProjectionQuantizer(80, entries=512)
    >>> quantizer(torch.randn(7, 80)).shape
    torch.Size([7])
    """

    projection: torch.Tensor
    codebook: torch.Tensor

    def __init__(
        self, input_size: int, entries: int = 8192, code_size: int = 16, seed: int = 0
    ):
        require("whole", low=1, input_size=input_size, code_size=code_size)
        require("whole", low=2, entries=entries)
        require("whole", low=0, seed=seed)
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        projection = torch.empty(input_size, code_size)
        nn.init.xavier_uniform_(projection, generator=random)
        codebook = F.normalize(torch.randn(entries, code_size, generator=random))
        self.register_buffer("projection", projection)
        self.register_buffer("codebook", codebook)

    @torch.no_grad()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the codes [frames] of frames [frames, input_size]."""
        with full_precision():
            # Among vectors of length 1 the nearest has the largest product, and the
            # length of the frame changes none of them relative to the others.
            return (x.float() @ self.projection @ self.codebook.T).argmax(-1)
