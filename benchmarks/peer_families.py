"""Random checkpoints in S3PRL's formats, written with S3PRL's own classes.

Runs in the environment of S3PRL; see ``peer_s3prl.py``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import importlib
import os

import torch

#: Family to the package of its ``UpstreamExpert`` in ``s3prl.upstream``.
EXPERTS = {
    "wav2vec2": "wav2vec2",
    "hubert": "hubert",
    "wavlm": "wavlm",
    "unispeech_sat": "unispeech_sat",
    "data2vec": "data2vec",
    "wav2vec2_conformer_relpos": "wav2vec2",
    "wav2vec2_conformer_rope": "wav2vec2",
    "distilhubert": "distiller",
    "multires_hubert": "multires_hubert",
    "mockingjay": "mockingjay",
}
CONVOLUTIONS = "[({0},10,5)] + [({0},3,2)] * 4 + [({0},2,2)] * 2"
SIZES = {
    "base": {
        "encoder_layers": 12,
        "encoder_embed_dim": 768,
        "encoder_ffn_embed_dim": 3072,
        "encoder_attention_heads": 12,
        "conv_feature_layers": CONVOLUTIONS.format(512),
    },
    "large": {
        "encoder_layers": 24,
        "encoder_embed_dim": 1024,
        "encoder_ffn_embed_dim": 4096,
        "encoder_attention_heads": 16,
        "conv_feature_layers": CONVOLUTIONS.format(512),
        "extractor_mode": "layer_norm",
        "layer_norm_first": True,
    },
    "tiny": {  # for trying the scripts out
        "encoder_layers": 3,
        "encoder_embed_dim": 64,
        "encoder_ffn_embed_dim": 256,
        "encoder_attention_heads": 4,
        "conv_feature_layers": CONVOLUTIONS.format(32),
    },
}
SYMBOLS = [str(i) for i in range(20)]


def make(family, size):
    """The content of a random checkpoint of the family; a function of both."""
    torch.manual_seed(0)
    sizes = dict(SIZES[size])
    if family.startswith("wav2vec2"):
        return _wav2vec2(family, sizes)
    makers = {
        "hubert": _hubert,
        "multires_hubert": _multires_hubert,
        "wavlm": _wavlm,
        "unispeech_sat": _unispeech_sat,
        "data2vec": _data2vec,
        "distilhubert": _distilhubert,
        "mockingjay": _mockingjay,
    }
    return makers[family](sizes)


def expert(family):
    """S3PRL's ``UpstreamExpert`` of the family."""
    return _s3prl(f"{EXPERTS[family]}.expert").UpstreamExpert


def write(folder, size, family):
    """Writes the checkpoint; returns its path."""
    path = os.path.join(folder, f"{family}.pt")
    torch.save(make(family, size), path)
    return path


def _s3prl(module):
    return importlib.import_module(f"s3prl.upstream.{module}")


def _weights(model):
    """Weights away from the initial values, which would hide a swapped norm or
    bias and make attention all but uniform."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn_like(parameter)
            elif parameter.dim() == 2:
                parameter *= 2
    return model.state_dict()


def _wav2vec2(family, sizes):
    module = _s3prl("wav2vec2.wav2vec2_model")
    normalize = "conformer" in family
    if normalize:  # of the published ones' options, with half the layers
        sizes["encoder_layers"] = (sizes["encoder_layers"] + 1) // 2
        sizes.update(
            layer_type="conformer",
            attn_type="espnet",
            pos_enc_type="rope" if "rope" in family else "rel_pos",
            extractor_mode="layer_norm",
            layer_norm_first=True,
            conv_bias=True,
        )
    config = module.Wav2Vec2Config(quantize_targets=True, final_dim=256, **sizes)
    return {
        "task_cfg": _audio_task(normalize),
        "model_cfg": dataclasses.asdict(config),
        "model_weight": _weights(module.Wav2Vec2Model(config)),
    }


def _audio_task(normalize):
    task = _s3prl("wav2vec2.wav2vec2_model").AudioPretrainingConfig
    return dataclasses.asdict(task(normalize=normalize))


def _hubert(sizes):
    module = _s3prl("hubert.hubert_model")
    config = module.HubertConfig(label_rate=50.0, **sizes)
    task = module.HubertPretrainingConfig(label_rate=50.0, normalize=False)
    return {
        "task_cfg": dataclasses.asdict(task),
        "model_cfg": dataclasses.asdict(config),
        "model_weight": _weights(module.HubertModel(config, task, [SYMBOLS])),
        "dictionaries_symbols": [SYMBOLS],
    }


def _multires_hubert(sizes):
    module = _s3prl("multires_hubert.hubert_model")
    sizes["encoder_layers"] //= 3  # of each of its three encoders
    config = module.MultiresHubertConfig(
        label_rate=50.0,
        label_rate_ratios=[1, 2],
        use_single_target=True,
        use_plain_updownsample=True,
        **sizes,
    )
    task = module.MultiresHubertPretrainingConfig(normalize=False)
    symbols = [SYMBOLS, SYMBOLS]
    return {
        "task_cfg": dataclasses.asdict(task),
        "model_cfg": dataclasses.asdict(config),
        "model_weight": _weights(module.MultiresHubertModel(config, task, symbols)),
        "dictionaries_symbols": symbols,
    }


def _unispeech_sat(sizes):
    module = _s3prl("wavlm.WavLM")
    config = {**vars(module.WavLMConfig()), **sizes}
    model = module.WavLM(module.WavLMConfig(config))
    return {"cfg": config, "model": _weights(model)}


def _wavlm(sizes):
    relative = dict(relative_position_embedding=True, gru_rel_pos=True)
    return _unispeech_sat({**sizes, **relative, "max_distance": 800})


def _data2vec(sizes):
    module = _s3prl("data2vec.data2vec_model")
    config = module.Data2VecAudioConfig(
        extractor_mode="layer_norm",
        pos_conv_depth=5,
        conv_pos=95,
        ema_anneal_end_step=10,
        max_update=10,
        **sizes,
    )
    model = module.Data2VecAudioModel(config)
    model.remove_pretraining_modules()
    return {
        "task_cfg": _audio_task(True),
        "model_cfg": dataclasses.asdict(config),
        "model_weight": {**_weights(model), "_ema": {}},
    }


def _distilhubert(sizes):
    module = _s3prl("distiller.model")
    convolutions = sizes.pop("conv_feature_layers")
    config = {
        **sizes,
        "encoder_layers": 2,
        "extractor_conv_feature_layers": convolutions,
        "final_dim": sizes["encoder_embed_dim"],
        "n_tasks": 3,
        "pred_layer_id": [4, 8, 12],
        "out_layer_type": "expand-last",
        "task_emb_type": "expand-last",
    }
    model = module.DistillerModel(module.DistillerConfig(config))
    return {"Distiller": _weights(model), "Config": {"distiller": config}}


def _mockingjay(sizes):
    module = _s3prl("mockingjay.model")
    transformer = {
        "input_dim": -1,
        "hidden_size": sizes["encoder_embed_dim"],
        "num_hidden_layers": 3,
        "num_attention_heads": sizes["encoder_attention_heads"],
        "intermediate_size": sizes["encoder_ffn_embed_dim"],
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "share_layer": False,
        "pre_layer_norm": False,
    }
    mel = {"feat_type": "mel", "log": True, "delta": 0, "cmvn": True}
    audio = {
        "target_level": -25,
        "win_ms": 25,
        "hop_ms": 10,
        "n_freq": 201,
        "n_mels": 80,
        "n_mfcc": 13,
        "input": {**mel, "channel": 0},
        "target": {**mel, "channel": 1},
    }
    config = module.TransformerConfig(transformer)
    return {
        "Transformer": _weights(module.TransformerModel(config, 80)),
        "SpecHead": module.TransformerSpecPredictionHead(config, 80).state_dict(),
        "Config": {},
        "Upstream_Config": {
            "transformer": transformer,
            "audio": audio,
            "task": {"sequence_length": 1500},
        },
    }
