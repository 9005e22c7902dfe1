"""data2vec for speech: the network of wav2vec 2.0 with deeper positions.

Paper: Baevski et al., "data2vec: A General Framework for Self-supervised
Learning in Speech, Vision and Language", https://arxiv.org/abs/2202.03555.
Reproduces S3PRL's ``upstream/data2vec``.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2


class Data2VecAudio(Wav2Vec2):
    """data2vec for speech.

    The arguments are those of
    :class:`~s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2`.

    Note
    ----
    In a padded batch of S3PRL the positional convolutions see the output of the
    first of them over the padding. Here there is no padding.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hidden_states, lens = Data2VecAudio(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 32]))
    """

    defaults = {
        "conv_norm": "layer",
        "position_kernel": 95,
        "position_depth": 5,
        "normalize_wav": True,
    }
