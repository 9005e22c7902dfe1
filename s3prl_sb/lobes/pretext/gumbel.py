"""Gumbel noise, which makes the choice of a code random in training.

Paper: Jang et al., "Categorical Reparameterization with Gumbel-Softmax",
https://arxiv.org/abs/1611.01144.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import numpy
import torch


def gumbel_noise(
    generators: Sequence[numpy.random.Generator],
    frames: Sequence[int],
    size: int,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Returns standard Gumbel noise for packed frames.

    Arguments
    ---------
    generators : list of numpy.random.Generator
        Random numbers of each utterance.
    frames : list of int
        Number of frames of each utterance.
    size : int
        Number of values for a frame.
    device : torch.device
        Device of the result. Logarithms are taken there: they cost more than the
        random numbers.

    Returns
    -------
    torch.Tensor
        [total_frames, size], float32.

    Example
    -------
    >>> noise = gumbel_noise([numpy.random.default_rng(0)], [1000], 64)
    >>> f"{noise.mean():.1f} {noise.std():.1f}"  # Euler's constant, pi / sqrt(6)
    '0.6 1.3'
    """
    uniform = numpy.empty((sum(frames), size), numpy.float32)
    start = 0
    for generator, count in zip(generators, frames, strict=True):
        generator.random(out=uniform[start : start + count], dtype=numpy.float32)
        start += count
    tiny = torch.finfo(torch.float32).tiny
    x = torch.from_numpy(uniform).to(device).clamp_min_(tiny)
    return x.log_().neg_().log_().neg_()
