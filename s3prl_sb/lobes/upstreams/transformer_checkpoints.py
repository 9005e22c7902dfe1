"""Checkpoints of wav2vec 2.0, HuBERT and kin, as they are published.

Three layouts hold the same network under other names:

- S3PRL's: ``{task_cfg, model_cfg, model_weight}``,
- fairseq's: ``{cfg: {task, model}, model}``, older ones ``{args, model}``,
- Hugging Face's: a folder with ``config.json`` and the weights.

:func:`read_transformer` gives the configuration and the weights of a
:class:`~s3prl_sb.lobes.upstreams.transformer.SpeechTransformer` for each.

Authors
 * The s3prl_sb developers, 2026
"""

import ast
import re

import torch

from s3prl_sb.lobes.upstreams import checkpoints
from s3prl_sb.lobes.upstreams.checkpoints import CheckpointError
from s3prl_sb.lobes.upstreams.transformer import TransformerConfig

#: Weights that only pre-training or a fine-tuned task uses.
FAIRSEQ_TRAINING = re.compile(
    r"(mask_emb$|final_proj\.|quantizer\.|project_q\.|label_embs_concat$"
    r"|input_quantizer\.|target_glu\.|proj\.|_ema)"
)
HF_TRAINING = re.compile(
    r"(masked_spec_embed$|quantizer\.|project_q\.|project_hid\.|lm_head\."
    r"|classifier\.|projector\.|layer_weights$)"
)
FAIRSEQ_NAMES = [
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"front_end.convolutions.\1."),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.(1\.)?", r"front_end.norms.\1."),
    (r"post_extract_proj\.", "projection."),
    (r"encoder\.pos_conv\.0\.", "positions."),
    (r"encoder\.layer_norm\.", "encoder_norm."),
    (r"encoder\.layers\.(\d+)\.self_attn\.q_proj\.", r"layers.\1.query."),
    (r"encoder\.layers\.(\d+)\.self_attn\.k_proj\.", r"layers.\1.key."),
    (r"encoder\.layers\.(\d+)\.self_attn\.v_proj\.", r"layers.\1.value."),
    (r"encoder\.layers\.(\d+)\.self_attn\.out_proj\.", r"layers.\1.output."),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"layers.\1.attention_norm."),
    (r"encoder\.layers\.(\d+)\.fc1\.", r"layers.\1.expand."),
    (r"encoder\.layers\.(\d+)\.fc2\.", r"layers.\1.contract."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"layers.\1.ffn_norm."),
    (r"layer_norm\.", "front_end_norm."),
]
HF_NAMES = [
    (r"feature_extractor\.conv_layers\.(\d+)\.conv\.", r"front_end.convolutions.\1."),
    (r"feature_extractor\.conv_layers\.(\d+)\.layer_norm\.", r"front_end.norms.\1."),
    (r"feature_projection\.layer_norm\.", "front_end_norm."),
    (r"feature_projection\.projection\.", "projection."),
    (r"encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original0",
     "positions.weight_g"),
    (r"encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original1",
     "positions.weight_v"),
    (r"encoder\.pos_conv_embed\.conv\.", "positions."),
    (r"encoder\.layer_norm\.", "encoder_norm."),
    (r"encoder\.layers\.(\d+)\.attention\.q_proj\.", r"layers.\1.query."),
    (r"encoder\.layers\.(\d+)\.attention\.k_proj\.", r"layers.\1.key."),
    (r"encoder\.layers\.(\d+)\.attention\.v_proj\.", r"layers.\1.value."),
    (r"encoder\.layers\.(\d+)\.attention\.out_proj\.", r"layers.\1.output."),
    (r"encoder\.layers\.(\d+)\.layer_norm\.", r"layers.\1.attention_norm."),
    (r"encoder\.layers\.(\d+)\.feed_forward\.intermediate_dense\.",
     r"layers.\1.expand."),
    (r"encoder\.layers\.(\d+)\.feed_forward\.output_dense\.", r"layers.\1.contract."),
    (r"encoder\.layers\.(\d+)\.final_layer_norm\.", r"layers.\1.ffn_norm."),
]  # fmt: skip


def read_transformer(path):
    """Reads a checkpoint of any of the three layouts.

    Arguments
    ---------
    path : pathlib.Path
        A file, or a folder in Hugging Face's layout.

    Returns
    -------
    config : dict
        The entries of :class:`TransformerConfig`, from the checkpoint itself.
    weights : dict
        Names of the :class:`SpeechTransformer`'s parameters to tensors.

    Raises
    ------
    CheckpointError
        If it is of none of them, or of a variant that is not supported.
    """
    if path.is_dir():
        return _read_huggingface(path)
    content = checkpoints.read(path)
    if not isinstance(content, dict):
        content = {}
    if {"task_cfg", "model_cfg", "model_weight"} <= content.keys():
        task, model = content["task_cfg"], content["model_cfg"]
        weights = content["model_weight"]
    elif "model" in content and content.get("cfg") is not None:
        cfg = checkpoints.plain(content["cfg"])
        task, model = cfg.get("task"), cfg.get("model")
        weights = content["model"]
    elif "model" in content and content.get("args") is not None:
        task = model = checkpoints.plain(content["args"])
        weights = content["model"]
    else:
        raise CheckpointError(
            f"'{path}' is no checkpoint of wav2vec 2.0 or HuBERT: it holds "
            f"{sorted(map(str, content))[:8]}, where S3PRL's has task_cfg, "
            "model_cfg and model_weight, and fairseq's cfg (or args) and model."
        )
    task, model = checkpoints.plain(task), checkpoints.plain(model)
    if not isinstance(model, dict) or "encoder_embed_dim" not in (
        model := _nested(model)
    ):
        raise CheckpointError(f"'{path}' does not say the sizes of its network.")
    return _fairseq_config(task or {}, model, path), _fairseq_weights(weights)


def conv_layers(text):
    """Parses fairseq's notation of convolutions, without evaluating it.

    Arguments
    ---------
    text : str
        Such as ``"[(512,10,5)] + [(512,3,2)] * 4"``.

    Returns
    -------
    list of [int, int, int]

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


def _nested(model):
    """The encoder's options, which a fine-tuned model holds one level down."""
    inner = model.get("w2v_args")
    if "encoder_embed_dim" not in model and isinstance(inner, dict):
        return inner.get("model", inner)
    return model


def _fairseq_config(task, model, path):
    for option, plain_value in (
        ("layer_type", "transformer"),
        ("pos_enc_type", "abs"),
        ("pos_conv_depth", 1),
        ("activation_fn", "gelu"),
    ):
        if model.get(option, plain_value) not in (plain_value, None):
            raise CheckpointError(
                f"'{path}' has {option}: {model[option]}, and this class builds "
                f"{plain_value} only."
            )
    layer_norm = model.get("extractor_mode", "default") == "layer_norm"
    return dict(
        conv_layers=conv_layers(model["conv_feature_layers"])
        if model.get("conv_feature_layers")
        else TransformerConfig().conv_layers,
        conv_norm="layer" if layer_norm else "group",
        conv_bias=bool(model.get("conv_bias", False)),
        hidden_size=model["encoder_embed_dim"],
        ffn_size=model["encoder_ffn_embed_dim"],
        num_layers=model["encoder_layers"],
        num_heads=model["encoder_attention_heads"],
        norm_first=bool(model.get("layer_norm_first", False)),
        position_kernel=model.get("conv_pos", 128),
        position_groups=model.get("conv_pos_groups", 16),
        normalize_wav=bool(task.get("normalize", model.get("normalize", False))),
        dropout=model.get("dropout", 0.1),
        attention_dropout=model.get("attention_dropout", 0.1),
        activation_dropout=model.get("activation_dropout", 0.0),
        input_dropout=model.get("dropout_input", 0.0),
    )


def _fairseq_weights(weights):
    """fairseq's names, also under a fine-tuned model's prefix."""
    prefix = "w2v_encoder.w2v_model."
    if any(name.startswith(prefix) for name in weights):
        weights = {
            name.removeprefix(prefix): tensor
            for name, tensor in weights.items()
            if name.startswith(prefix)
        }
    return _renamed(weights, FAIRSEQ_NAMES, FAIRSEQ_TRAINING)


def _renamed(weights, table, training_only):
    """Our names; what no rule knows keeps its own and is reported later."""
    result = {}
    for name, tensor in weights.items():
        if training_only.match(name):
            continue
        for pattern, ours in table:
            renamed, count = re.subn("^" + pattern, ours, name)
            if count:
                name = renamed
                break
        result[name] = tensor
    g = result.pop("positions.weight_g", None)
    v = result.pop("positions.weight_v", None)
    if g is not None and v is not None:  # weight norm over all but the kernel
        result["positions.weight"] = torch._weight_norm(v.float(), g.float(), 2)
    return result


def _read_huggingface(folder):
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"'{folder}' has no config.json.")
    hf = checkpoints.read_json(folder / "config.json")
    if hf.get("model_type") not in ("wav2vec2", "hubert"):
        raise CheckpointError(
            f"'{folder}' holds a {hf.get('model_type')}, neither wav2vec2 nor hubert."
        )
    files = [folder / "model.safetensors", folder / "pytorch_model.bin"]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        names = " or ".join(file.name for file in files)
        raise CheckpointError(f"'{folder}' has no weights: {names}.")
    if not hf.get("feat_proj_layer_norm", True) or hf.get("conv_pos_batch_norm"):
        raise CheckpointError(f"'{folder}' is of a variant that is not supported.")
    for option, plain_value in (
        ("hidden_act", "gelu"),
        ("feat_extract_activation", "gelu"),
        ("layer_norm_eps", 1e-5),
    ):
        if hf.get(option, plain_value) != plain_value:
            raise CheckpointError(
                f"'{folder}' has {option}: {hf[option]}, and this class builds "
                f"{plain_value} only."
            )
    preprocessor = folder / "preprocessor_config.json"
    normalize = preprocessor.is_file() and checkpoints.read_json(preprocessor).get(
        "do_normalize", True
    )
    config = dict(
        conv_layers=[
            list(layer)
            for layer in zip(hf["conv_dim"], hf["conv_kernel"], hf["conv_stride"])
        ],
        conv_norm=hf.get("feat_extract_norm", "group"),
        conv_bias=hf.get("conv_bias", False),
        hidden_size=hf["hidden_size"],
        ffn_size=hf["intermediate_size"],
        num_layers=hf["num_hidden_layers"],
        num_heads=hf["num_attention_heads"],
        norm_first=hf.get("do_stable_layer_norm", False),
        position_kernel=hf.get("num_conv_pos_embeddings", 128),
        position_groups=hf.get("num_conv_pos_embedding_groups", 16),
        normalize_wav=bool(normalize),
        normalize_eps=1e-7,
        dropout=hf.get("hidden_dropout", 0.1),
        attention_dropout=hf.get("attention_dropout", 0.1),
        activation_dropout=hf.get("activation_dropout", 0.0),
        input_dropout=hf.get("feat_proj_dropout", 0.0),
    )
    weights = {
        re.sub(r"^(wav2vec2|hubert)\.", "", name): tensor
        for name, tensor in checkpoints.read(found).items()
    }
    return config, _renamed(weights, HF_NAMES, HF_TRAINING)
