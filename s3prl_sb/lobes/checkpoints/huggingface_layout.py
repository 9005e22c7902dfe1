"""Folders in Hugging Face's layout of wav2vec 2.0 and its descendants.

The networks are the same under other names, so ``config.json`` and the weights are
read without the library ``transformers``. (All its other models need
``huggingface.py``.)

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.lobes.checkpoints import huggingface_folder
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.renaming import layer_rules, renamed
from s3prl_sb.lobes.checkpoints.values import check_only

#: Model types, and the prefix of the weights of each.
PREFIXES = {
    "wav2vec2": "wav2vec2.",
    "hubert": "hubert.",
    "wavlm": "wavlm.",
    "unispeech-sat": "unispeech_sat.",
    "data2vec-audio": "data2vec_audio.",
}
NAMES = [
    (r"feature_extractor\.conv_layers\.(\d+)\.conv\.", r"front_end.convolutions.\1."),
    (r"feature_extractor\.conv_layers\.(\d+)\.layer_norm\.", r"front_end.norms.\1."),
    (r"feature_projection\.layer_norm\.", "front_end_norm."),
    (r"feature_projection\.projection\.", "projection."),
    (r"encoder\.pos_conv_embed\.conv\.", "encoder.positions.convolutions.0."),
    (r"encoder\.pos_conv_embed\.layers\.(\d+)\.conv\.",
     r"encoder.positions.convolutions.\1."),
    (r"encoder\.layer_norm\.", "encoder.norm."),
]  # fmt: skip
#: Names below ``encoder.layers.<number>.``, theirs and ours. torchaudio has the same,
#: and ``attention.attention`` in its WavLM.
LAYER = [
    (r"attention\.q_proj\.", "attention.query."),
    (r"attention\.k_proj\.", "attention.key."),
    (r"attention\.v_proj\.", "attention.value."),
    (r"attention\.(attention\.)?out_proj\.", "attention.output."),
    (r"attention\.gru_rel_pos_linear\.", "attention.gate."),
    (r"attention\.gru_rel_pos_const$", "attention.gate_scale"),
    (r"attention\.rel_attn_embed\.", "attention.buckets.table."),
    (r"layer_norm\.", "attention_norm."),
    (r"feed_forward\.intermediate_dense\.", "expand."),
    (r"feed_forward\.output_dense\.", "contract."),
    (r"final_layer_norm\.", "ffn_norm."),
    (r"adapter_layer\.norm\.", "language_adapter.norm."),
    (r"adapter_layer\.linear_1\.", "language_adapter.contract."),
    (r"adapter_layer\.linear_2\.", "language_adapter.expand."),
]


def read_huggingface(folder, target_lang=None):
    """Reads a folder of a supported model type.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the model.
    target_lang : str, optional
        See :func:`~s3prl_sb.lobes.checkpoints.huggingface_folder.weights`.

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
        If it holds another model or an unsupported variant.
    """
    hf = huggingface_folder.entries(folder, target_lang)
    kind = hf.get("model_type")
    if kind not in PREFIXES:
        raise CheckpointError(
            f"'{folder}' holds a {kind}, none of: {', '.join(PREFIXES)}. For other "
            "models of Hugging Face use the class huggingface.HuggingFace."
        )
    if not hf.get("feat_proj_layer_norm", True) or hf.get("conv_pos_batch_norm"):
        raise CheckpointError(
            f"'{folder}' is of a variant that this class does not build. Use the class "
            "huggingface.HuggingFace."
        )
    only = {
        "hidden_act": "gelu",
        "feat_extract_activation": "gelu",
        "layer_norm_eps": 1e-5,
    }
    remark = ". Use the class huggingface.HuggingFace."
    check_only(hf, only, folder, remark)
    config, prefixes = _config(hf, kind), [PREFIXES[kind]]
    has_adapters = "adapter_size" in config
    weights = huggingface_folder.weights(folder, prefixes, has_adapters, target_lang)
    rules = [*NAMES, *layer_rules(r"encoder\.layers\.", LAYER)]
    return config, renamed(weights, rules, re.compile("(?!)"))


def _config(hf, kind):
    """Returns the entries of a :class:`TransformerConfig`."""
    data2vec, preprocessor = kind == "data2vec-audio", hf["preprocessor"]
    layers = zip(hf["conv_dim"], hf["conv_kernel"], hf["conv_stride"])
    config = dict(
        conv_layers=list(map(list, layers)),
        conv_norm="layer" if data2vec else hf.get("feat_extract_norm", "group"),
        conv_bias=hf.get("conv_bias", False),
        hidden_size=hf["hidden_size"],
        ffn_size=hf["intermediate_size"],
        num_layers=hf["num_hidden_layers"],
        num_heads=hf["num_attention_heads"],
        norm_first=not data2vec and hf.get("do_stable_layer_norm", False),
        attention="gated_relative" if kind == "wavlm" else "plain",
        position_kernel=hf.get("num_conv_pos_embeddings", 128),
        position_groups=hf.get("num_conv_pos_embedding_groups", 16),
        normalize_wav=bool(preprocessor.get("do_normalize", True)),
        normalize_eps=1e-7,
        dropout=hf.get("hidden_dropout", 0.1),
        attention_dropout=hf.get("attention_dropout", 0.1),
        activation_dropout=hf.get("activation_dropout", 0.0),
        input_dropout=hf.get("feat_proj_dropout", 0.0),
    )
    if preprocessor.get("sampling_rate") is not None:
        config["sample_rate"] = preprocessor["sampling_rate"]
    if config["norm_first"] and hf.get("adapter_attn_dim") is not None:
        config["adapter_size"] = hf["adapter_attn_dim"]
        config["target_lang"] = hf.get("target_lang")
    if data2vec:  # several convolutions, each with this kernel
        config["position_depth"] = hf.get("num_conv_pos_embeddings", 5)
        kernel = hf.get("conv_pos_kernel_size", 19)
        config["position_kernel"] = kernel * config["position_depth"]
    if kind == "wavlm":
        config["num_buckets"] = hf.get("num_buckets", 320)
        config["max_distance"] = hf.get("max_bucket_distance", 800)
    return config
