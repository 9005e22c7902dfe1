"""Published checkpoints of wav2vec 2.0 and its descendants.

Several layouts have the same network under other names:

- S3PRL's: ``{task_cfg, model_cfg, model_weight}``,
- fairseq's: ``{cfg: {task, model}, model}``, older ones ``{args, model}``,
- Microsoft's (WavLM, UniSpeech-SAT): ``{cfg, model}`` (``fairseq_options.py`` reads
  the options of these three),
- torchaudio's: the weights alone (``torchaudio_layout.py``),
- Hugging Face's: a folder with ``config.json`` (``huggingface_layout.py``).

:func:`read_transformer` reads the configuration and the weights of a
:class:`~s3prl_sb.lobes.networks.transformer.SpeechTransformer` from each.

Authors
 * The s3prl_sb developers, 2026
"""

import ast
import re

from s3prl_sb.lobes.checkpoints.fairseq_options import options_in, weights_in
from s3prl_sb.lobes.checkpoints.huggingface_layout import read_huggingface
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.renaming import bare, below, layer_rules, renamed
from s3prl_sb.lobes.checkpoints.sample_rates import stated_in
from s3prl_sb.lobes.checkpoints.torchaudio_layout import (
    FIRST,
    looks_like_torchaudio,
    read_torchaudio,
)
from s3prl_sb.lobes.networks.encoder import ACTIVATIONS
from s3prl_sb.lobes.networks.transformer import TransformerConfig

#: Weights that only pre-training or a fine-tuned task uses.
FAIRSEQ_TRAINING = re.compile(
    r"(mask_emb$|final_proj\.|quantizer\.|project_q\.|label_embs_concat$"
    r"|input_quantizer\.|target_glu\.|proj\.|_ema|heads\.|_codebook)"
)
#: Name of the first weight.
FAIRSEQ_FIRST = "feature_extractor.conv_layers.0.0.weight"
FAIRSEQ_NAMES = [
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"front_end.convolutions.\1."),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.(1\.)?", r"front_end.norms.\1."),
    (r"post_extract_proj\.", "projection."),
    (r"encoder\.pos_conv\.(\d+)\.0\.", r"encoder.positions.convolutions.\1."),
    (r"encoder\.pos_conv\.0\.", "encoder.positions.convolutions.0."),
    (r"encoder\.layer_norm\.", "encoder.norm."),
    (r"layer_norm\.", "front_end_norm."),
]
#: Names below ``encoder.layers.<number>.``, theirs and ours.
FAIRSEQ_LAYER = [
    (r"self_attn\.(q_proj|linear_q)\.", "attention.query."),
    (r"self_attn\.(k_proj|linear_k)\.", "attention.key."),
    (r"self_attn\.(v_proj|linear_v)\.", "attention.value."),
    (r"self_attn\.(out_proj|linear_out)\.", "attention.output."),
    (r"self_attn\.linear_pos\.", "attention.position."),
    (r"self_attn\.pos_bias_u$", "attention.content_bias"),
    (r"self_attn\.pos_bias_v$", "attention.position_bias"),
    (r"self_attn\.relative_attention_bias\.", "attention.buckets.table."),
    (r"self_attn\.grep_linear\.", "attention.gate."),
    (r"self_attn\.grep_a$", "attention.gate_scale"),
    (r"self_attn_layer_norm\.", "attention_norm."),
    (r"fc1\.", "expand."),
    (r"fc2\.", "contract."),
    (r"ffn1\.layer_norm\.", "first_ffn.norm."),
    (r"ffn1\.w_1\.", "first_ffn.expand."),
    (r"ffn1\.w_2\.", "first_ffn.contract."),
    (r"ffn2\.layer_norm\.", "second_ffn.norm."),
    (r"ffn2\.w_1\.", "second_ffn.expand."),
    (r"ffn2\.w_2\.", "second_ffn.contract."),
    (r"conv_module\.layer_norm\.", "convolution.norm."),
    (r"conv_module\.pointwise_conv1\.", "convolution.enter."),
    (r"conv_module\.depthwise_conv\.", "convolution.depthwise."),
    (r"conv_module\.batch_norm\.", "convolution.batch_norm."),
    (r"conv_module\.pointwise_conv2\.", "convolution.leave."),
]
#: fairseq's ``pos_enc_type`` of conformers.
CONFORMER_ATTENTION = {"abs": "plain", "rel_pos": "transformer_xl", "rope": "rotary"}


def read_transformer(path, target_lang=None):
    """Reads a checkpoint of any of these layouts.

    Arguments
    ---------
    path : pathlib.Path
        File, or folder in Hugging Face's layout.
    target_lang : str, optional
        Language of the adapters, for a folder with several.

    Returns
    -------
    config : dict
        Entries of :class:`TransformerConfig`.
    weights : dict
        Names of the :class:`SpeechTransformer`'s parameters to tensors.

    Raises
    ------
    CheckpointError
        If it has another layout or is of an unsupported variant.
    """
    if path.is_dir():
        return read_huggingface(path, target_lang)
    if target_lang is not None:
        raise CheckpointError(
            f"'{path}' is a file, and adapters of a language (target_lang: "
            f"{target_lang}) lie in a folder of Hugging Face beside the weights."
        )
    content = as_dict(read(path))
    state = below(bare(weights_in(content)), FIRST)
    if looks_like_torchaudio(state):
        return read_torchaudio(state)
    if FIRST in state:
        raise CheckpointError(
            f"'{path}' holds weights of transformers, which do not say their sizes: "
            "give the folder with them and their config.json."
        )
    task, model = options_in(content, path)
    config = fairseq_config(task, model, path)
    return config, fairseq_weights(weights_in(content), config)


def conv_layers(text):
    """Parses fairseq's notation of convolutions, without evaluating it.

    Arguments
    ---------
    text : str
        Convolutions, such as ``"[(512,10,5)] + [(512,3,2)] * 4"``.

    Returns
    -------
    list of [int, int, int]
        Channels, kernel size and stride of each.

    Example
    -------
    >>> conv_layers("[(512,10,5)] + [(512,3,2)] * 2")
    [[512, 10, 5], [512, 3, 2], [512, 3, 2]]
    """

    def value(node):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return value(node.left) + value(node.right)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return value(node.left) * value(node.right)
        return ast.literal_eval(node)

    try:
        return [
            list(map(int, layer)) for layer in value(ast.parse(text, mode="eval").body)
        ]
    except (SyntaxError, ValueError, TypeError) as error:
        raise CheckpointError(f"Not a list of convolutions: '{text}'") from error


def fairseq_config(task, model, path):
    """Converts fairseq's options to entries of a :class:`TransformerConfig`.

    Arguments
    ---------
    task, model : dict
        Options from :func:`~s3prl_sb.lobes.checkpoints.fairseq_options.options_in`.
    path : str
        The file, for errors.

    Returns
    -------
    dict
    """
    activation = model.get("activation_fn") or "gelu"
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"'{path}' has activation_fn: {activation}, and this class builds "
            f"{', '.join(ACTIVATIONS)} only."
        )
    conformer = model.get("layer_type") == "conformer"
    attention = "plain"
    if conformer:
        attention = CONFORMER_ATTENTION[model.get("pos_enc_type") or "abs"]
    elif model.get("relative_position_embedding"):
        if not model.get("gru_rel_pos"):
            raise CheckpointError(f"'{path}' has relative positions without a gate.")
        attention = "gated_relative"
    layer_norm = model.get("extractor_mode", "default") == "layer_norm"
    layers = model.get("conv_feature_layers")
    config = dict(
        conv_layers=conv_layers(layers) if layers else TransformerConfig().conv_layers,
        conv_norm="layer" if layer_norm else "group",
        conv_bias=bool(model.get("conv_bias", False)),
        hidden_size=model["encoder_embed_dim"],
        ffn_size=model["encoder_ffn_embed_dim"],
        num_layers=model["encoder_layers"],
        num_heads=model["encoder_attention_heads"],
        norm_first=bool(model.get("layer_norm_first", False)),
        layer="conformer" if conformer else "transformer",
        attention=attention,
        activation=activation,
        position_kernel=model.get("conv_pos", 128),
        position_groups=model.get("conv_pos_groups", 16),
        position_depth=model.get("pos_conv_depth") or 1,
        normalize_wav=bool(task.get("normalize", model.get("normalize", False))),
        dropout=model.get("dropout", 0.1),
        attention_dropout=model.get("attention_dropout", 0.1),
        activation_dropout=model.get("activation_dropout", 0.0),
        input_dropout=model.get("dropout_input", 0.0),
    )
    if (rate := stated_in(task, model)) is not None:
        config["sample_rate"] = rate
    if attention == "gated_relative":
        config["num_buckets"] = model.get("num_buckets", 320)
        config["max_distance"] = model.get("max_distance", 1280)
    if conformer:
        config["convolution_kernel"] = model.get("depthwise_conv_kernel_size", 31)
    return config


def fairseq_weights(weights, config):
    """Converts fairseq's weights to our names.

    Arguments
    ---------
    weights : dict
        Their names to tensors, possibly with wrappers and the head of a task.
    config : dict
        Its entry ``layer`` is used.

    Returns
    -------
    dict
        Our names to tensors.
    """
    weights = below(bare(weights), FAIRSEQ_FIRST)
    unused = FAIRSEQ_TRAINING.pattern
    if config["layer"] == "conformer":  # built, but never run
        unused += r"|encoder\.pos_conv\.|.*\.rotary_emb\.inv_freq$"
    return renamed(weights, fairseq_rules(config["layer"]), re.compile(unused))


def fairseq_rules(layer):
    """Returns the rules from fairseq's names to ours.

    Arguments
    ---------
    layer : str
        "transformer" or "conformer".

    Returns
    -------
    list of (str, str)
        See :func:`~s3prl_sb.lobes.checkpoints.renaming.renamed`.
    """
    last = "norm." if layer == "conformer" else "ffn_norm."
    names = [*FAIRSEQ_LAYER, (r"final_layer_norm\.", last)]
    return [*layer_rules(r"encoder\.layers\.", names), *FAIRSEQ_NAMES]
