"""HiFi-GAN, SpeechBrain's lobe (Kong et al., https://arxiv.org/abs/2010.05646).

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

import torch
from speechbrain.lobes.models.HifiGAN import HifiganGenerator
from speechbrain.nnet.CNN import Conv1d


def hifigan(options: Mapping[str, Any], zero_padding: bool = False) -> torch.nn.Module:
    """Builds a generator without weight normalization.

    Arguments
    ---------
    options : dict
        Arguments of SpeechBrain's ``HifiganGenerator``.
    zero_padding : bool
        Whether convolutions pad with zeros, as ParallelWaveGAN's do; SpeechBrain's
        reflect. Odd factors also have ParallelWaveGAN's padding then.

    Returns
    -------
    torch.nn.Module
        From [1, n_mels, frames] to [1, 1, samples].

    Example
    -------
    >>> network = hifigan(
    ...     {
    ...         "in_channels": 80,
    ...         "out_channels": 1,
    ...         "resblock_type": "1",
    ...         "resblock_dilation_sizes": [[1, 3, 5]],
    ...         "resblock_kernel_sizes": [3],
    ...         "upsample_kernel_sizes": [10],
    ...         "upsample_initial_channel": 4,
    ...         "upsample_factors": [5],
    ...     },
    ...     zero_padding=True,
    ... )
    >>> network(torch.zeros(1, 80, 9)).shape
    torch.Size([1, 1, 45])
    """
    generator = HifiganGenerator(**options)
    generator.remove_weight_norm()
    if zero_padding:
        for module in generator.modules():
            if isinstance(module, Conv1d):
                module.padding_mode = "constant"
        for layer, factor in zip(generator.ups, options["upsample_factors"]):
            layer.conv.padding = (factor // 2 + factor % 2,)
            layer.conv.output_padding = (factor % 2,)
    return generator
