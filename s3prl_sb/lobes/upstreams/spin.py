"""Spin and R-Spin: HuBERT and WavLM, tuned until their clusters forget the speaker.

Papers: Chang et al., "Self-supervised Fine-tuning for Improved Content Representations
by Speaker-invariant Clustering", https://arxiv.org/abs/2305.11072; Chang and Glass,
"R-Spin: Efficient Speaker and Noise-invariant Representation Learning with Acoustic
Pieces", https://arxiv.org/abs/2311.09117.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.lobes.checkpoints.fairseq_options import weights_in
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.renaming import bare, renamed
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import (
    FAIRSEQ_FIRST,
    FAIRSEQ_TRAINING,
    fairseq_rules,
)
from s3prl_sb.lobes.checkpoints.transformer_sizes import sizes_in
from s3prl_sb.lobes.upstreams.wav2vec2 import TransformerUpstream

#: Prefix of the network's names: of Spin, and of R-Spin.
PREFIX = re.compile(r"^encoder\.(model\.)?(?=[a-z])")
#: What stands beside the network: the prediction head, and the codebook.
CLUSTERS = re.compile(r"(pred_head\.|codebook\.|loss_module\.)")


def read_spin(path):
    """Reads a checkpoint of Spin or R-Spin.

    Arguments
    ---------
    path : pathlib.Path
        File with ``state_dict``: ``encoder.…`` beside ``pred_head.…`` and a codebook.

    Returns
    -------
    config : dict
        Entries of
        :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`.
    weights : dict
        Weights of a ``SpeechTransformer``.

    Raises
    ------
    CheckpointError
        If it is of another family.
    """
    states = bare(weights_in(as_dict(read(path))))
    network = {
        PREFIX.sub("", name, count=1): tensor
        for name, tensor in states.items()
        if not CLUSTERS.match(name)
    }
    if len(network) == len(states) or FAIRSEQ_FIRST not in network:
        raise CheckpointError(
            f"'{path}' is no checkpoint of Spin or R-Spin: it holds "
            f"{sorted(states)[:6]}, where these have encoder.… beside pred_head.…"
        )
    weights = renamed(network, fairseq_rules("transformer"), FAIRSEQ_TRAINING)
    return sizes_in(weights), weights


class Spin(TransformerUpstream):
    """Spin over HuBERT or WavLM, and R-Spin over WavLM.

    Its hidden states are the projected features and the outputs of the layers, as in
    the authors' code for S3PRL.

    Arguments
    ---------
    source : str or list of str, optional
        Checkpoint. It brings its own architecture. None: a random network of
        ``config``.
    config : dict, optional
        Entries of :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`
        that differ from the base model; only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.wav2vec2.TransformerUpstream`.

    Note
    ----
    In the original a padded batch changes the features: the group norm of the base
    models sees the padding, and the attention mask derives from a rounded ratio. Here
    the features do not depend on the batch.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hidden_states, lens = Spin(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 32]))
    """

    selection = "projected"
    read = staticmethod(read_spin)
