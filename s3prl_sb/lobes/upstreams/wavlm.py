"""WavLM: HuBERT's network with gated relative positions.

Paper: Chen et al., "WavLM: Large-Scale Self-Supervised Pre-Training for Full
Stack Speech Processing", https://arxiv.org/abs/2110.13900.
Reproduces S3PRL's ``upstream/wavlm``.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2


class WavLM(Wav2Vec2):
    """WavLM.

    The arguments are those of
    :class:`~s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2`.

    Note
    ----
    S3PRL derives the attention mask of a padded batch from a rounded ratio, so
    that one or two frames of padding pass for speech. Here the number of frames
    is exact.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hidden_states, lens = WavLM(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 32]))
    """

    defaults = {"attention": "gated_relative"}
