"""SpidR and DinoSR: the network of data2vec for speech, trained to predict the online
clusters of its own teacher's layers.

Papers: Poli et al., "SpidR: Learning Fast and Stable Linguistic Units for Spoken
Language Models Without Supervision", https://arxiv.org/abs/2512.20308; Liu et al.,
"DinoSR: Self-Distillation and Online Clustering for Self-supervised Speech
Representation Learning", https://arxiv.org/abs/2305.10005.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.lobes.checkpoints import huggingface_layout
from s3prl_sb.lobes.checkpoints.fairseq_options import weights_in
from s3prl_sb.lobes.checkpoints.reading import as_dict, read, read_json
from s3prl_sb.lobes.checkpoints.renaming import (
    bare,
    layer_rules,
    renamed,
    split_projections,
)
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import read_transformer
from s3prl_sb.lobes.checkpoints.transformer_sizes import sizes_in
from s3prl_sb.lobes.upstreams.data2vec import Data2VecAudio

#: A weight that only files of SpidR's code have.
LANDMARK = "student.layers.0.attention.qkv.weight"
#: Configuration of a training, beside its checkpoints.
CONFIG = "config.json"
NAMES = [
    *layer_rules(
        r"student\.layers\.",
        [(r"attention\.proj\.", "attention.output."), *huggingface_layout.LAYER],
    ),
    (
        r"student\.pos_conv_embed\.convs\.(\d+)\.",
        r"encoder.positions.convolutions.\1.",
    ),
    (r"student\.layer_norm\.", "encoder.norm."),
    *huggingface_layout.NAMES,  # the convolutions and the projection
]
TRAINING = re.compile(r"(teacher\.|heads\.|codebooks\.|mask_embedding$|current_step$)")


def read_spidr(path, target_lang=None):
    """Reads a checkpoint of SpidR or DinoSR.

    Arguments
    ---------
    path : pathlib.Path
        File of SpidR's code (``{model: …}`` or the weights alone), or of fairseq, as
        the authors of DinoSR published it.
    target_lang : str, optional
        See :class:`~s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2`.

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
    states = {} if path.is_dir() else bare(weights_in(as_dict(read(path))))
    if LANDMARK not in states:
        return read_transformer(path, target_lang)
    parts = [f".attention.{part}_proj." for part in "qkv"]
    weights = split_projections(states, ".attention.qkv.", parts)
    weights = renamed(weights, NAMES, TRAINING)
    options = _options(path.with_name(CONFIG))
    config = sizes_in(weights)
    config |= {
        "conv_layers": options.get(
            "extractor_conv_layer_config", config["conv_layers"]
        ),
        "num_heads": options.get("encoder_num_heads", config["num_heads"]),
        "norm_first": options.get("encoder_layer_norm_first", False),
        "qkv_bias": "encoder.layers.0.attention.query.bias" in weights,
        "normalize_wav": True,
    }
    return config, weights


def _options(path):
    """Returns the options of the network in a config.json, if there is one."""
    content = read_json(path) if path.is_file() else {}
    return as_dict(content.get("model", content))


class SpidR(Data2VecAudio):
    """SpidR and DinoSR.

    The arguments are those of
    :class:`~s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2`. The ``source`` may also be a
    file of SpidR's code. The number of heads and the strides of the convolutions are
    those in ``config.json`` beside it, or those of all published models: a head for
    each 64 channels.

    Note
    ----
    Waveforms are standardized as the authors standardize a whole utterance. What they
    call the features of a layer is the output of its feed-forward before the residual:
    ``feature_selection: fairseq_layers_before_residual``. By default, as for every
    upstream of this architecture, hidden states are the input of every layer and the
    output of the last.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hidden_states, lens = SpidR(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 32]))
    """

    defaults = {**Data2VecAudio.defaults, "qkv_bias": False}
    read = staticmethod(read_spidr)
