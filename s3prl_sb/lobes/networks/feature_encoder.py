"""Encoder over acoustic features: a projection, positions and layers.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.encoder import Encoder
from s3prl_sb.lobes.networks.initialization import initialize


class FeatureEncoder(nn.Module):
    """Encoder of wav2vec 2.0 over features, as in DeCoAR 2.0.

    Arguments
    ---------
    input_size : int
        Size of the features.
    config : EncoderConfig
        Sizes of the encoder.

    Example
    -------
    >>> from s3prl_sb.lobes.networks.encoder_config import EncoderConfig
    >>> config = EncoderConfig(hidden_size=32, ffn_size=64, num_layers=2,
    ...     num_heads=4)
    >>> network = FeatureEncoder(80, config).eval()
    >>> [list(state.shape) for state in network(torch.randn(9, 80), [5, 4])]
    [[9, 32], [9, 32], [9, 32]]
    """

    def __init__(self, input_size, config):
        super().__init__()
        self.config = config
        self.projection = nn.Linear(input_size, config.hidden_size)
        self.encoder = Encoder(config)

    def reset_parameters(self, seed=0):
        """Sets random weights for training from scratch.

        Arguments
        ---------
        seed : int
            Equal seeds give equal weights, in every process.
        """
        initialize(self, seed)
        self.encoder.initialize(torch.Generator().manual_seed(seed))

    def embed(self, x):
        """[total_frames, input_size] -> input of the encoder [total_frames,
        hidden_size]."""
        return F.dropout(self.projection(x), self.config.input_dropout, self.training)

    def forward(self, x, frames):
        """Yields the hidden states.

        Arguments
        ---------
        x : torch.Tensor
            Features [total_frames, input_size].
        frames : list of int
            Frames of each utterance.

        Yields
        ------
        torch.Tensor
            [total_frames, hidden_size]: the input of every layer, then the
            output of the last.
        """
        yield from self.encoder(self.embed(x), frames)
