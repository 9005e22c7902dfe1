"""S3PRL's checkpoints of DistilHuBERT, HuBERT and wav2vec 2.0: fairseq's networks.

Names are listed as fairseq's state dicts have them; the table of the reader finds our
weight of each.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Any

import torch

from s3prl_sb.lobes.cards.writing import ConversionError
from s3prl_sb.lobes.checkpoints.renaming import ruled_name
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import fairseq_rules
from s3prl_sb.lobes.s3prl_writing.heads import HeadWeights

LAYER = (
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.q_proj",
    "self_attn.out_proj",
    "self_attn_layer_norm",
    "fc1",
    "fc2",
    "final_layer_norm",
)
#: Options of the network for which S3PRL's classes have one value only.
ONLY = {
    "layer": "transformer",
    "attention": "plain",
    "qkv_bias": True,
    "position_residual": True,
    "position_depth": 1,
    "adapter_size": 0,
    "norm_eps": 1e-5,
}
#: Sizes of published heads, for random ones.
FINAL, UNITS, CODES, GROUPS = 256, 500, 320, 2
_FINAL_WEIGHT, _LABELS = "final_projection.weight", "label_embeddings"
_LOGITS, _CODEWORDS = "quantizer.logits.weight", "quantizer.codewords"


def wav2vec2_state(upstream: Any, heads: HeadWeights) -> dict[str, Any]:
    """Returns a checkpoint of S3PRL's wav2vec 2.0.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2
    heads : HeadWeights
        Weights of the objective: mask vector, quantizer, projections.

    Returns
    -------
    dict
        ``task_cfg``, ``model_cfg``, ``model_weight``.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 1, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> state = wav2vec2_state(Wav2Vec2(config=tiny), HeadWeights(random=True))
    >>> state["model_weight"]["quantizer.vars"].shape
    torch.Size([1, 640, 128])
    """
    config, final = upstream.config, heads.size(_FINAL_WEIGHT, 0, FINAL)
    groups, codes = GROUPS, CODES
    if _CODEWORDS in heads.weights:
        shape = heads.weights[_CODEWORDS].shape  # [groups, codes, size]
        groups, codes = shape[-3], shape[-2]
    part = heads.size(_CODEWORDS, -1, final // groups)
    channels = config.conv_layers[-1][0]
    weights = {
        **encoder_weights(upstream),
        **heads.tensor("mask_vector", "mask_emb", config.hidden_size),
        **heads.linear(
            "quantizer.logits", "quantizer.weight_proj", groups * codes, channels
        ),
        **heads.tensor(_CODEWORDS, "quantizer.vars", 1, groups * codes, part),
        **heads.linear("quantized_projection", "project_q", final, groups * part),
        **heads.linear("final_projection", "final_proj", final, config.hidden_size),
    }
    model = {
        **encoder_options(config),
        "conv_feature_layers": notation(config.conv_layers),
        "final_dim": final,
        "quantize_targets": True,
        "latent_vars": codes,
        "latent_groups": groups,
        "latent_dim": groups * part,
        "_name": "wav2vec2",
    }
    task = {"_name": "audio_pretraining", **audio_options(config)}
    return {"task_cfg": task, "model_cfg": model, "model_weight": weights}


def hubert_state(upstream: Any, heads: HeadWeights) -> dict[str, Any]:
    """Returns a checkpoint of S3PRL's HuBERT.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.hubert.Hubert
    heads : HeadWeights
        Weights of the objective: mask vector, projection, embeddings of the units.

    Returns
    -------
    dict
        ``task_cfg``, ``model_cfg``, ``model_weight``, ``dictionaries_symbols``.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> state = hubert_state(load("hubert_small_random"), HeadWeights(random=True))
    >>> len(state["dictionaries_symbols"][0])
    500
    """
    config, final = upstream.config, heads.size(_FINAL_WEIGHT, 0, FINAL)
    units = heads.size(_LABELS, 0, UNITS)
    rate = config.sample_rate / upstream.stride
    weights = {
        **encoder_weights(upstream),
        **heads.tensor("mask_vector", "mask_emb", config.hidden_size),
        **heads.tensor(_LABELS, "label_embs_concat", units, final),
        **heads.linear("final_projection", "final_proj", final, config.hidden_size),
    }
    model = {
        **encoder_options(config),
        "conv_feature_layers": notation(config.conv_layers),
        "label_rate": rate,
        "final_dim": final,
        "untie_final_proj": False,
        "_name": "hubert",
    }
    task = {"_name": "hubert_pretraining", "label_rate": rate}
    return {
        "task_cfg": {**task, **audio_options(config)},
        "model_cfg": model,
        "model_weight": weights,
        "dictionaries_symbols": [[str(unit) for unit in range(units)]],
    }


def distiller_state(upstream: Any, heads: HeadWeights) -> dict[str, Any]:
    """Returns a checkpoint of S3PRL's DistilHuBERT.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.distilhubert.DistilHubert
    heads : HeadWeights
        Not used: the heads are hidden states, and thus in the network.

    Returns
    -------
    dict
        ``Distiller``, ``Config``.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 1, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> state = distiller_state(DistilHubert(config=tiny), HeadWeights())
    >>> list(state)
    ['Distiller', 'Config']
    """
    config, network = upstream.config, upstream.network
    weights = encoder_weights(upstream)
    first = [head[0] for head in network.heads]
    last = [head[2] for head in network.heads]
    weights["output_layer.0.weight"] = torch.cat([layer.weight for layer in first])
    weights["output_layer.0.bias"] = torch.cat([layer.bias for layer in first])
    if len(last) == 1:
        weights["output_layer.2.layer.weight"] = last[0].weight
        weights["output_layer.2.layer.bias"] = last[0].bias
    else:  # [heads, in, out] and [1, 1, heads, out]
        weights["output_layer.2.weight"] = torch.stack(
            [layer.weight.t() for layer in last]
        )
        bias = torch.stack([layer.bias for layer in last])
        weights["output_layer.2.bias"] = bias[None, None]
    options = encoder_options(config)
    for name in ("conv_bias", "dropout_input", "dropout_features", "layer_type"):
        del options[name]
    same = config.inner_size == config.hidden_size
    options |= {
        "extractor_conv_feature_layers": notation(config.conv_layers),
        "attention_type": "original",
        "final_dim": config.target_size,
        "out_layer_type": "expand-last",
        "out_layer_inter_dim": -1 if same else config.inner_size,
        "n_tasks": len(config.targets),
        "task_emb_type": "expand-last",
        "pred_layer_id": list(config.targets),
    }
    blocks = {"distiller": options, "teacher": {}, "task": {"sequence_length": 250000}}
    return {
        "Distiller": weights,
        "Config": {**blocks, "audio": {"target_level": "None"}},
    }


# ---------------------------------------------------------------- of all of them
def encoder_weights(upstream: Any) -> dict[str, torch.Tensor]:
    """Returns the weights of the convolutions and of the Transformer.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.wav2vec2.TransformerUpstream

    Returns
    -------
    dict
        fairseq's names to tensors.

    Raises
    ------
    ConversionError
        If S3PRL's classes have no such network.
    """
    config = upstream.config
    for name, only in ONLY.items():
        if getattr(config, name) != only:
            raise ConversionError(
                f"This network has {name}: {getattr(config, name)}, and S3PRL's "
                f"layout is written for {name}: {only} alone."
            )
    weights = upstream.network.state_dict()
    rules = fairseq_rules(config.layer)
    kernel = weights[ruled_name("encoder.pos_conv.0.weight", rules)]
    result = {  # weight norm: a length of each tap, and a direction
        "encoder.pos_conv.0.weight_g": kernel.norm(dim=(0, 1), keepdim=True),
        "encoder.pos_conv.0.weight_v": kernel,
    }
    for name in _names(config, has_norm="front_end_norm.weight" in weights):
        result[name] = weights[ruled_name(name, rules)]
    return result


def _names(config: Any, has_norm: bool) -> list[str]:
    """Returns fairseq's names, those of the kernel of positions aside."""
    convolutions, layer_norm = "feature_extractor.conv_layers", config.conv_norm
    count, layers, names = len(config.conv_layers), ["encoder.layer_norm"], []
    for i in range(count):
        names.append(f"{convolutions}.{i}.0.weight")
        names += [f"{convolutions}.{i}.0.bias"] if config.conv_bias else []
        if layer_norm == "layer":
            layers.append(f"{convolutions}.{i}.2.1")
        elif i == 0:  # the only one with a group norm
            layers.append(f"{convolutions}.{i}.2")
    if config.conv_layers[-1][0] != config.hidden_size:
        layers.append("post_extract_proj")
    layers += ["layer_norm"] if has_norm else []
    for i in range(config.num_layers):
        layers += [f"encoder.layers.{i}.{part}" for part in LAYER]
    names += [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    return [*names, "encoder.pos_conv.0.bias"]


def encoder_options(config: Any) -> dict[str, Any]:
    """Returns fairseq's options of the network, the convolutions aside.

    Arguments
    ---------
    config : s3prl_sb.lobes.networks.transformer.TransformerConfig

    Returns
    -------
    dict
    """
    return {
        "extractor_mode": "layer_norm" if config.conv_norm == "layer" else "default",
        "conv_bias": config.conv_bias,
        "layer_type": "transformer",
        "encoder_layers": config.num_layers,
        "encoder_embed_dim": config.hidden_size,
        "encoder_ffn_embed_dim": config.ffn_size,
        "encoder_attention_heads": config.num_heads,
        "activation_fn": config.activation,
        "layer_norm_first": config.norm_first,
        "conv_pos": config.position_kernel,
        "conv_pos_groups": config.position_groups,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "encoder_layerdrop": config.layerdrop,
        "dropout_input": config.input_dropout,
        "dropout_features": config.input_dropout,
    }


def audio_options(config: Any) -> dict[str, Any]:
    """Returns fairseq's options of the waveforms.

    Arguments
    ---------
    config : s3prl_sb.lobes.networks.transformer.TransformerConfig

    Returns
    -------
    dict
    """
    return {"sample_rate": config.sample_rate, "normalize": config.normalize_wav}


def notation(layers: list[list[int]]) -> str:
    """Returns convolutions in fairseq's notation.

    Arguments
    ---------
    layers : list of [int, int, int]
        Channels, kernel size and stride of each.

    Returns
    -------
    str

    Example
    -------
    >>> notation([[512, 10, 5], [512, 3, 2], [512, 3, 2]])
    '[(512, 10, 5), (512, 3, 2), (512, 3, 2)]'
    """
    return str([tuple(layer) for layer in layers])
