"""Random weights that depend on a seed alone.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch
from torch import nn


def initialize(network, seed=0):
    """Sets random weights, of a scale that keeps activations alive in deep networks.

    Uses no global random generator. Norms start as the identity, biases at
    zero, batch statistics at mean 0 and variance 1.

    Arguments
    ---------
    network : torch.nn.Module
        Network to change.
    seed : int
        Seed of the weights.

    Example
    -------
    >>> convolution = nn.Conv1d(1, 8, 4)
    >>> initialize(convolution, seed=3)
    >>> convolution.bias.abs().sum().item()
    0.0
    """
    random = torch.Generator().manual_seed(seed)
    norms = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, norms):
                nn.init.constant_(parameter, float(name == "weight"))
            elif isinstance(module, nn.PReLU):
                nn.init.constant_(parameter, 0.25)
            elif parameter.dim() < 2:
                nn.init.zeros_(parameter)
            elif isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(parameter, std=0.02, generator=random)
            else:  # convolutions, recurrent layers, tables
                std = math.sqrt(1 / max(1, parameter[0].numel()))
                nn.init.normal_(parameter, std=std, generator=random)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
