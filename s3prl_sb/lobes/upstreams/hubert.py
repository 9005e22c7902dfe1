"""HuBERT, and every model of its architecture.

Paper: Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by
Masked Prediction of Hidden Units", https://arxiv.org/abs/2106.07447. The
network, the hidden states and the checkpoint layouts are those of wav2vec 2.0;
reproduces S3PRL's ``upstream/hubert``.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2


class Hubert(Wav2Vec2):
    """HuBERT: the network of :class:`~s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2`,
    with another pre-training. The arguments are the same.

    Note
    ----
    S3PRL derives the attention mask of HuBERT from a rounded ratio, so that a
    padded batch treats one or two frames of padding as speech. Here the number
    of frames is exact.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hidden_states, lens = Hubert(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 32]))
    """
