"""State dicts of torchaudio's wav2vec 2.0, HuBERT and WavLM.

``torchaudio.pipelines`` downloads the weights alone. The sizes follow from them. In all
of its pipelines the large models (layer norm in the convolutions) normalize waveforms
and have norms first.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.lobes.checkpoints.huggingface_layout import LAYER
from s3prl_sb.lobes.checkpoints.renaming import (
    layer_rules,
    renamed,
    split_projections,
)
from s3prl_sb.lobes.checkpoints.transformer_sizes import sizes_in

TRAINING = re.compile(r"(aux\.|mask_generator\.|logit_generator\.)")
NAMES = [
    (r"feature_extractor\.conv_layers\.(\d+)\.conv\.", r"front_end.convolutions.\1."),
    (r"feature_extractor\.conv_layers\.(\d+)\.layer_norm\.", r"front_end.norms.\1."),
    (r"encoder\.feature_projection\.layer_norm\.", "front_end_norm."),
    (r"encoder\.feature_projection\.projection\.", "projection."),
    (r"encoder\.transformer\.pos_conv_embed\.conv\.",
     "encoder.positions.convolutions.0."),
    (r"encoder\.transformer\.layer_norm\.", "encoder.norm."),
]  # fmt: skip
FIRST = "feature_extractor.conv_layers.0.conv.weight"
PREFIX = "encoder.transformer.layers."


def looks_like_torchaudio(content):
    """Checks whether a state dict is torchaudio's.

    Arguments
    ---------
    content : dict
        Content of a file.

    Returns
    -------
    bool
    """
    return FIRST in content and any(str(name).startswith(PREFIX) for name in content)


def read_torchaudio(content):
    """Reads the configuration and the weights from a state dict.

    Arguments
    ---------
    content : dict
        The state dict.

    Returns
    -------
    config : dict
        Entries of
        :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`.
    weights : dict
        Weights of a ``SpeechTransformer``.
    """
    parts = [f".attention.{part}_proj." for part in "qkv"]
    weights = split_projections(content, ".attention.attention.in_proj_", parts)
    rules = [*layer_rules(r"encoder\.transformer\.layers\.", LAYER), *NAMES]
    weights = renamed(weights, rules, TRAINING)
    config = sizes_in(weights)
    large = config["conv_norm"] == "layer"
    return {**config, "norm_first": large, "normalize_wav": large}, weights
