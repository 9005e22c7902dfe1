"""XEUS: an E-Branchformer over the convolutions of wav2vec 2.0, for 4000 languages.

Paper: Chen et al., "Towards Robust Speech Representation Learning for Thousands of
Languages", https://arxiv.org/abs/2407.00837.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.lobes.checkpoints.espnet_layout import (
    CONFIG,
    training_options,
    weights_file,
)
from s3prl_sb.lobes.checkpoints.fairseq_options import weights_in
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.renaming import bare, below, layer_rules, renamed
from s3prl_sb.lobes.checkpoints.transformer_sizes import sizes_in
from s3prl_sb.lobes.checkpoints.values import check_only
from s3prl_sb.lobes.upstreams.wav2vec2 import TransformerUpstream

FIRST = "frontend.layers.0.conv.weight"
#: A weight that only an E-Branchformer has.
LANDMARK = "encoder.encoders.0.cgmlp.csgu.conv.weight"
#: Names below ``encoder.encoders.<number>.``, theirs and ours.
LAYER = [
    (r"norm_ff_macaron\.", "first_ffn.norm."),
    (r"feed_forward_macaron\.w_1\.", "first_ffn.expand."),
    (r"feed_forward_macaron\.w_2\.", "first_ffn.contract."),
    (r"norm_mha\.", "attention_norm."),
    (r"attn\.linear_q\.", "attention.query."),
    (r"attn\.linear_k\.", "attention.key."),
    (r"attn\.linear_v\.", "attention.value."),
    (r"attn\.linear_out\.", "attention.output."),
    (r"norm_mlp\.", "gate.norm."),
    (r"cgmlp\.channel_proj1\.0\.", "gate.enter."),
    (r"cgmlp\.csgu\.norm\.", "gate.gate_norm."),
    (r"cgmlp\.csgu\.conv\.", "gate.depthwise."),
    (r"cgmlp\.channel_proj2\.", "gate.leave."),
    (r"depthwise_conv_fusion\.", "depthwise."),
    (r"merge_proj\.", "merge."),
    (r"norm_ff\.", "second_ffn.norm."),
    (r"feed_forward\.w_1\.", "second_ffn.expand."),
    (r"feed_forward\.w_2\.", "second_ffn.contract."),
    (r"norm_final\.", "norm."),
]
NAMES = [
    *layer_rules(r"encoder\.encoders\.", LAYER),
    (r"frontend\.layers\.(\d+)\.conv\.", r"front_end.convolutions.\1."),
    (r"frontend\.layers\.(\d+)\.layer_norm\.", r"front_end.norms.\1."),
    (r"preencoder\.linear_out\.", "projection."),
    # a convolution, or a list of one, by the release of ESPnet
    (r"encoder\.embed\.0\.convs?\.(0\.)?", "encoder.positions.convolutions.0."),
    (r"encoder\.after_norm\.", "encoder.norm."),
]
TRAINING = re.compile(r"(losses\.|util_modules\.|global_step$)")
#: What all layers of XEUS have in common, whatever their sizes.
FIXED = {
    "conv_norm": "layer",
    "conv_bias": True,
    "front_end_norm": False,
    "layer": "e_branchformer",
    "positions": "convolutional",
    "position_residual": False,
    "norm_first": True,
    "norm_eps": 1e-12,
    "normalize_wav": True,
}
#: Number of heads, which the weights do not show.
HEADS = 8
#: Options in ESPnet's encoder_conf for which this class has one value only.
ONLY = {
    "attention_layer_type": "selfattn",
    "pos_enc_layer_type": "conv",
    "gate_activation": "identity",
    "ffn_activation_type": "swish",
    "qk_norm": False,
}


def read_xeus(path):
    """Reads a checkpoint of XEUS.

    Arguments
    ---------
    path : pathlib.Path
        File of the weights, or a folder with one such file at any depth. If ESPnet's
        ``config.yaml`` is beside it, the number of heads is read there.

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
        If it is of another family, or of an unsupported variant.
    """
    path = weights_file(path) if path.is_dir() else path
    states = below(bare(weights_in(as_dict(read(path)))), FIRST)
    if FIRST not in states or LANDMARK not in states:
        raise CheckpointError(
            f"'{path}' is no checkpoint of XEUS: it holds {sorted(states)[:6]}, where "
            f"these have {FIRST} and {LANDMARK}."
        )
    weights = renamed(states, NAMES, TRAINING)
    layer = "encoder.layers.0."
    config = {
        **sizes_in(weights),
        **FIXED,
        "gate_size": len(weights[layer + "gate.enter.weight"]),
        "convolution_kernel": weights[layer + "gate.depthwise.weight"].shape[2],
        "merge_kernel": weights[layer + "depthwise.weight"].shape[2],
        "num_heads": HEADS,
    }
    file = path.with_name(CONFIG)
    return config | (_options(file) if file.is_file() else {}), weights


def _options(path):
    """Returns the entries that ESPnet's config.yaml decides."""
    options = training_options(path)
    encoder, frontend = options["encoder_conf"], as_dict(options.get("frontend_conf"))
    check_only(encoder, ONLY, path, ".")
    return {  # the defaults are ESPnet's
        "num_heads": encoder.get("attention_heads", 4),
        "normalize_wav": bool(frontend.get("normalize_audio", False)),
    }


class Xeus(TransformerUpstream):
    """XEUS.

    Its hidden states are the input of every layer and the output of the last one, after
    the encoder's final norm: ``num_layers`` is one more than the layers.

    Arguments
    ---------
    source : str or list of str, optional
        The weights: a file, a folder with one such file at any depth, or an address.
        None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`
        that differ from XEUS's; only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.wav2vec2.TransformerUpstream`.

    Note
    ----
    ESPnet standardizes the samples of a whole batch, padding included, and its
    convolutions see the padding: each utterance depends on the others. Here a waveform
    is standardized by itself, and there is no padding. The features are those that
    ESPnet gives for each utterance alone.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "gate_size": 64, "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hidden_states, lens = Xeus(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 32]))
    """

    defaults = {
        **FIXED,
        "hidden_size": 1024,
        "ffn_size": 4096,
        "gate_size": 4096,
        "num_layers": 19,
        "num_heads": HEADS,
    }
    read = staticmethod(read_xeus)
