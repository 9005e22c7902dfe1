"""UniSpeech-SAT: HuBERT's network, pre-trained to tell speakers apart.

Paper: Chen et al., "UniSpeech-SAT: Universal Speech Representation Learning
with Speaker Aware Pre-Training", https://arxiv.org/abs/2110.05752.
Reproduces S3PRL's ``upstream/unispeech_sat``.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2


class UniSpeechSat(Wav2Vec2):
    """UniSpeech-SAT.

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
    >>> hidden_states, lens = UniSpeechSat(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 32]))
    """
