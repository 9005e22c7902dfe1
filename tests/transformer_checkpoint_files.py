"""Checkpoints of wav2vec 2.0 and its descendants in every layout, for tests."""

import argparse
import json

import torch
from safetensors.torch import save_file
from tensors import error, noise

from s3prl_sb.lobes.upstreams.hubert import Hubert

BASE = {
    "conv_layers": [[16, 10, 5], [16, 3, 2], [24, 2, 2]],
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 3,
    "num_heads": 4,
    "position_kernel": 16,
    "position_groups": 4,
}
LARGE = {
    **BASE,
    "conv_norm": "layer",
    "conv_bias": True,
    "norm_first": True,
    "normalize_wav": True,
}
#: fairseq's and Hugging Face's names of what an encoder layer consists of.
FAIRSEQ_LAYER = {
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "output": "self_attn.out_proj",
    "attention_norm": "self_attn_layer_norm",
    "expand": "fc1",
    "contract": "fc2",
    "ffn_norm": "final_layer_norm",
}
HF_LAYER = {
    "query": "attention.q_proj",
    "key": "attention.k_proj",
    "value": "attention.v_proj",
    "output": "attention.out_proj",
    "attention_norm": "layer_norm",
    "expand": "feed_forward.intermediate_dense",
    "contract": "feed_forward.output_dense",
    "ffn_norm": "final_layer_norm",
}


def randomized(config, kind=Hubert, **options):
    """A network in which every parameter matters."""
    upstream = kind(config=config, **options)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in upstream.named_parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 25
        parameter.data.normal_(std=fan_in**-0.5, generator=generator)
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1
    return upstream


# ------------------------------------------------------------------ layouts
def weight_normed(weights, prefix, new_names):
    """The positional convolution in the two parts of PyTorch's weight norm."""
    v = 3 * weights.pop(f"{prefix}.weight")
    g = (v / 3).norm(dim=(0, 1), keepdim=True)
    names = ("weight_g", "weight_v")
    if new_names:
        names = (
            "parametrizations.weight.original0",
            "parametrizations.weight.original1",
        )
    weights.update({f"{prefix}.{name}": part for name, part in zip(names, (g, v))})
    return weights


def renamed(upstream, convolution, norm, names, layer_names, new_names=False):
    """The network's weights under other names; independent of the package's rules."""
    weights = {}
    for name, tensor in upstream.network.state_dict().items():
        name = name.removeprefix("encoder.").replace(".attention.", ".")
        name = name.replace("positions.convolutions.0.", "positions.")
        head, _, rest = name.partition(".")
        if head == "layers":
            number, part, kind = rest.split(".")
            name = f"encoder.layers.{number}.{layer_names[part]}.{kind}"
        elif head == "front_end":
            part, number, kind = rest.split(".")
            pattern = convolution if part == "convolutions" else norm
            name = f"feature_extractor.conv_layers.{number}.{pattern}.{kind}"
        else:
            name = f"{names[head]}.{rest}"
        weights[name] = tensor.clone()
    return weight_normed(weights, names["positions"], new_names)


def fairseq(upstream, **changes):
    """Task, model and weights as fairseq has them, those of pre-training included."""
    config, large = upstream.config, upstream.config.conv_norm == "layer"
    task = {"normalize": config.normalize_wav, "sample_rate": 16000}
    layers = " + ".join(f"[({c}, {k}, {s})] * 1" for c, k, s in config.conv_layers)
    model = {
        "extractor_mode": "layer_norm" if large else "default",
        "conv_feature_layers": layers,
        "conv_bias": config.conv_bias,
        "encoder_embed_dim": config.hidden_size,
        "encoder_ffn_embed_dim": config.ffn_size,
        "encoder_layers": config.num_layers,
        "encoder_attention_heads": config.num_heads,
        "layer_norm_first": config.norm_first,
        "conv_pos": config.position_kernel,
        "conv_pos_groups": config.position_groups,
        "activation_fn": "gelu",
        "layer_type": "transformer",
        "encoder_layerdrop": 0.05,
        **changes,
    }
    names = {
        "front_end_norm": "layer_norm",
        "projection": "post_extract_proj",
        "positions": "encoder.pos_conv.0",
        "norm": "encoder.layer_norm",
    }
    weights = renamed(upstream, "0", "2.1" if large else "2", names, FAIRSEQ_LAYER)
    weights["mask_emb"] = torch.ones(config.hidden_size)
    weights["quantizer.vars"] = torch.ones(1, 8, 4)
    weights["project_q.weight"] = weights["final_proj.weight"] = torch.ones(4, 4)
    weights["label_embs_concat"] = torch.ones(5, 4)
    return task, model, weights


def huggingface(
    upstream, folder, new_names=False, prefix="", task_head=False, **changes
):
    """A folder in Hugging Face's layout."""
    config = upstream.config
    folder.mkdir()
    channels, kernels, strides = zip(*config.conv_layers)
    hf = {
        "model_type": "hubert",
        "conv_dim": channels,
        "conv_kernel": kernels,
        "conv_stride": strides,
        "conv_bias": config.conv_bias,
        "feat_extract_norm": config.conv_norm,
        "hidden_act": "gelu",
        "feat_extract_activation": "gelu",
        "layer_norm_eps": 1e-5,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.ffn_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "do_stable_layer_norm": config.norm_first,
        "num_conv_pos_embeddings": config.position_kernel,
        "num_conv_pos_embedding_groups": config.position_groups,
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(hf))
    normalize = json.dumps({"do_normalize": config.normalize_wav})
    (folder / "preprocessor_config.json").write_text(normalize)
    names = {
        "front_end_norm": "feature_projection.layer_norm",
        "projection": "feature_projection.projection",
        "positions": "encoder.pos_conv_embed.conv",
        "norm": "encoder.layer_norm",
    }
    weights = renamed(upstream, "conv", "layer_norm", names, HF_LAYER, new_names)
    weights["masked_spec_embed"] = torch.ones(config.hidden_size)
    weights = {prefix + name: tensor.contiguous() for name, tensor in weights.items()}
    if task_head:
        weights["lm_head.weight"] = torch.ones(5, config.hidden_size)
    save_file(weights, folder / "model.safetensors")
    return folder


def content(layout, upstream, **changes):
    task, model, weights = fairseq(upstream, **changes)
    tuned = {f"w2v_encoder.w2v_model.{k}": v for k, v in weights.items()}
    tuned["w2v_encoder.proj.weight"] = torch.ones(5, 4)
    flat = argparse.Namespace(**task, **model)
    return {
        "s3prl": {"task_cfg": task, "model_cfg": model, "model_weight": weights},
        "cfg": {"cfg": {"task": task, "model": model}, "model": weights},
        "namespaces": {
            "cfg": {
                "task": argparse.Namespace(**task),
                "model": argparse.Namespace(**model),
            },
            "args": None,
            "model": weights,
        },
        "args": {"args": flat, "cfg": None, "model": weights},
        "tuned cfg": {
            "cfg": {"task": task, "model": {"w2v_args": {"task": {}, "model": model}}},
            "model": tuned,
        },
        "tuned args": {
            "args": argparse.Namespace(w2v_args=argparse.Namespace(**model), **task),
            "model": tuned,
        },
    }[layout]


LAYOUTS = ("s3prl", "cfg", "namespaces", "args", "tuned cfg", "tuned args")


def assert_same(upstream, original):
    wavs, lens = noise(8000).view(2, 4000), torch.tensor([1.0, 0.6])
    assert upstream.config.normalize_wav == original.config.normalize_wav
    for a, b in zip(upstream(wavs, lens)[0], original(wavs, lens)[0], strict=True):
        assert error(a, b) < 1e-5
