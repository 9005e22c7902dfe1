"""Small random models of S3PRL 0.4.18 over waveforms, see ``s3prl_models.py``."""

import argparse
import dataclasses

import transformers
from s3prl import hub
from s3prl_models import LAYERS, SMALL, models, randomized, save, weights


@models(
    modified_cpc={
        "hiddenGar": 24,
        "nLevelsGRU": 2,
        "arMode": "LSTM",
        "normMode": "layerNorm",
    },
    cpc_gru={
        "hiddenGar": 16,
        "nLevelsGRU": 1,
        "arMode": "GRU",
        "normMode": "batchNorm",
    },
)
def cpc_family(folder, **options):
    from s3prl.upstream.cpc.cpc_default_config import get_default_cpc_config
    from s3prl.upstream.cpc.feature_loader import getAR, getEncoder, loadArgs
    from s3prl.upstream.cpc.model import CPCModel

    options |= {"hiddenEncoder": 24, "samplingType": "samespeaker"}
    config = get_default_cpc_config()
    loadArgs(config, argparse.Namespace(**options))
    model = CPCModel(getEncoder(config), getAR(config))
    return hub.cpc_local(save(folder, {"config": options, "weights": weights(model)}))


#: Of fairseq's tasks; S3PRL's converted checkpoints keep it.
TASK = {"_name": "audio_pretraining", "data": "/x", "labels": None}
TASK |= {"sample_rate": 16000, "normalize": False, "enable_padding": False}
TASK |= {"max_sample_size": None, "min_sample_size": None}
QUANTIZED = {"vq_vars": 20, "vq_groups": 2, "combine_groups": True}
QUANTIZED |= {"activation": "gelu"}


def wav2vec_file(folder, name="ckpt.pt", **options):
    """A converted checkpoint of wav2vec or vq-wav2vec."""
    from s3prl.upstream.wav2vec.wav2vec_model import Wav2VecConfig, Wav2VecModel

    defaults = {
        "activation": "relu",
        "infonce": True,
        "prediction_steps": 12,
        "num_negatives": 10,
        "conv_feature_layers": "[(24, 10, 5), (24, 8, 4)] + [(24, 4, 2)] * 3"
        " + [(24, 1, 1)] * 2",
        "conv_aggregator_layers": "[(24, 2, 1), (24, 3, 1), (24, 4, 1), (24, 5, 1)]"
        " + [(24, 6, 1)]",
        "skip_connections_agg": True,
        "residual_scale": 0.5,
        "log_compression": True,
    }
    config = Wav2VecConfig(**{**defaults, **options})
    content = {"task_cfg": dict(TASK), "model_weight": weights(Wav2VecModel(config))}
    content["model_cfg"] = {**dataclasses.asdict(config), "_name": "wav2vec"}
    return save(folder, content, name)


@models(
    "wav2vec",
    wav2vec_gru={
        "conv_aggregator_layers": "[(24, 3, 1)] * 3",
        "skip_connections_feat": True,
        "agg_zero_pad": True,
        "no_conv_bias": True,
        "log_compression": False,
    },
)
def wav2vec_family(folder, **options):
    return hub.wav2vec_local(wav2vec_file(folder, **options))


@models(
    vq_wav2vec_kmeans={"vq_type": "kmeans"},
    vq_wav2vec_gumbel={
        "vq_type": "gumbel",
        "vq_depth": 2,
        "vq_temp": (2.0, 0.5, 0.999995),
    },
)
def vq_wav2vec_family(folder, **options):
    return hub.vq_wav2vec_custom(wav2vec_file(folder, **QUANTIZED, **options))


@models()
def discretebert(folder):
    from s3prl.upstream.roberta import hubconf, roberta_model
    from s3prl.upstream.roberta.dictionary import Dictionary
    from s3prl.upstream.roberta.expert import UpstreamExpert

    codes = wav2vec_file(
        folder, "vq.pt", **QUANTIZED | {"vq_vars": 6}, vq_type="kmeans"
    )
    text = "".join(f"{a}-{b} 1\n" for a in range(6) for b in range(6))
    (folder / "dict.txt").write_text(text)
    dictionary = Dictionary.load(str(folder / "dict.txt"))
    dictionary.add_symbol("<mask>")
    options = argparse.Namespace(
        encoder_layers=3,
        encoder_embed_dim=32,
        encoder_ffn_embed_dim=64,
        encoder_attention_heads=4,
        max_positions=64,
        tokens_per_sample=64,
        max_source_positions=64,
    )
    roberta_model.base_architecture(options)
    encoder = roberta_model.RobertaEncoder(options, dictionary)
    model = roberta_model.RobertaModel(options, encoder)
    task = {"data": "/x", "tokens_per_sample": 64, "sample_break_mode": "none"}
    content = {"task_cfg": {**task, "seed": 1}, "model_cfg": options}
    content |= {"model_weight": weights(model), "text_dictionary": text}
    wrapper = hubconf._vq_wav2vec_codeids_wrapper(hub.vq_wav2vec_custom(codes))
    return UpstreamExpert(save(folder, content), wrapper)


# ------------------------------------------------- Transformers over convolutions
#: As the large models are built.
LARGE = {"extractor_mode": "layer_norm", "layer_norm_first": True, "conv_bias": True}
LARGE |= {"encoder_layerdrop": 0.0, "dropout": 0.0}
CONFORMER = LARGE | {"layer_type": "conformer", "attn_type": "espnet"}
CONFORMER |= {"depthwise_conv_kernel_size": 31, "normalize": True}
SELECTION = "fairseq_layers"


def fairseq_file(folder, config, model, task, name, **more):
    """A converted checkpoint of fairseq's."""
    content = {"task_cfg": task, "model_weight": weights(model), **more}
    content["model_cfg"] = {**dataclasses.asdict(config), "_name": name}
    return save(folder, content)


@models(
    "wav2vec2",
    wav2vec2_large={**LARGE, "normalize": True},
    wav2vec2_fairseq_layers={"selection": SELECTION},
    wav2vec2_fairseq_layers_before_residual={
        "selection": f"{SELECTION}_before_residual"
    },
    wav2vec2_conformer_relpos={**CONFORMER, "pos_enc_type": "rel_pos"},
    wav2vec2_conformer_rope={**CONFORMER, "pos_enc_type": "rope"},
)
def wav2vec2_family(folder, normalize=False, selection=None, **options):
    from s3prl.upstream.wav2vec2.wav2vec2_model import Wav2Vec2Config, Wav2Vec2Model

    quantizer = {"latent_vars": 12, "latent_groups": 2, "latent_dim": 16}
    sizes = {**SMALL, **quantizer, "quantize_targets": True, "final_dim": 32}
    config = Wav2Vec2Config(**{**sizes, **options})
    task = {**TASK, "normalize": normalize}
    path = fairseq_file(folder, config, Wav2Vec2Model(config), task, "wav2vec2")
    return hub.wav2vec2_local(
        path, **{"feature_selection": selection} if selection else {}
    )


@models("hubert", hubert_large={**LARGE, "normalize": True})
def hubert_family(folder, normalize=False, **options):
    from s3prl.upstream.hubert import hubert_model as theirs

    config = theirs.HubertConfig(
        **{**SMALL, "label_rate": 50.0, "final_dim": 32} | options
    )
    task = theirs.HubertPretrainingConfig(label_rate=50.0, normalize=normalize)
    symbols = [[str(i) for i in range(20)]]
    model = theirs.HubertModel(config, task, symbols)
    fields = {**dataclasses.asdict(task), "_name": "hubert_pretraining"}
    more = {"dictionaries_symbols": symbols}
    return hub.hubert_local(
        fairseq_file(folder, config, model, fields, "hubert", **more)
    )


@models()
def multires_hubert(folder):
    from s3prl.upstream.multires_hubert import hubert_model as theirs

    options = {**SMALL, "label_rate": 50.0, "label_rate_ratios": [1, 2]}
    options |= {"encoder_layers": 2, "conv_adapator_kernal": 7, "final_dim": 32}
    options |= {"use_single_target": True, "use_plain_updownsample": True}
    config = theirs.MultiresHubertConfig(**options)
    task = theirs.MultiresHubertPretrainingConfig(normalize=False)
    symbols = [[str(i) for i in range(20)]] * 2
    model = theirs.MultiresHubertModel(config, task, symbols)
    more = {"dictionaries_symbols": symbols}
    task = dataclasses.asdict(task)
    return hub.multires_hubert_local(
        fairseq_file(folder, config, model, task, "multires_hubert", **more)
    )


@models("data2vec", data2vec_large={"conv_pos": 19})
def data2vec_family(folder, **options):
    from s3prl.upstream.data2vec.data2vec_model import (
        Data2VecAudioConfig,
        Data2VecAudioModel,
    )

    sizes = {**SMALL, "final_dim": 32, "extractor_mode": "layer_norm"}
    sizes |= {"pos_conv_depth": 5, "conv_pos": 95, "average_top_k_layers": 2}
    sizes |= {"ema_anneal_end_step": 10, "max_update": 10, **options}
    config = Data2VecAudioConfig(**sizes)
    model = Data2VecAudioModel(config)
    model.remove_pretraining_modules()
    content = {"task_cfg": {**TASK, "normalize": True}}
    content["model_cfg"] = {**dataclasses.asdict(config), "_name": "data2vec_audio"}
    content["model_weight"] = {**weights(model), "_ema": {}}
    return hub.data2vec_local(save(folder, content))


BUCKETS = {"relative_position_embedding": True, "num_buckets": 32}
BUCKETS |= {"max_distance": 80, "gru_rel_pos": True}


@models(
    wavlm={"expert": "wavlm_local", **BUCKETS},
    wavlm_large={"expert": "wavlm_local", **BUCKETS, **LARGE, "normalize": True},
    unispeech_sat={"expert": "unispeech_sat_local"},
    unispeech_sat_large={"expert": "unispeech_sat_local", **LARGE, "normalize": True},
)
def wavlm_family(folder, expert, **options):
    from s3prl.upstream.wavlm.WavLM import WavLM, WavLMConfig

    config = {**vars(WavLMConfig()), **SMALL, **options}
    model = weights(WavLM(WavLMConfig(config)))
    return getattr(hub, expert)(save(folder, {"cfg": config, "model": model}))


@models()
def distilhubert(folder):
    from s3prl.upstream.distiller.model import DistillerConfig, DistillerModel

    config = {k: v for k, v in SMALL.items() if k.startswith(("encoder", "conv_pos"))}
    config |= {"extractor_mode": "default", "extractor_conv_feature_layers": LAYERS}
    config |= {"extractor_dropout": 0.0, "feature_grad_mult": 0.1, "dropout": 0.1}
    config |= {"encoder_layers": 2, "encoder_layerdrop": 0.0, "activation_fn": "gelu"}
    config |= {"layer_norm_first": False, "attention_type": "original"}
    config |= {"attention_dropout": 0.1, "activation_dropout": 0.1, "final_dim": 32}
    config |= {"out_layer_type": "expand-last", "task_emb_type": "expand-last"}
    config |= {"n_tasks": 3, "pred_layer_id": [4, 8, 12], "loss_type": "l1"}
    config |= {"feat_pen_loss": 0.0, "cosine_loss": 1.0}
    config |= {"init_teacher_conv_layers": True, "init_teacher_encoder_layers": True}
    model = weights(DistillerModel(DistillerConfig(config)))
    whole = {"distiller": config, "teacher": {"model": "hubert_base", "n_layers": 12}}
    whole |= {"task": {"sequence_length": 250000}, "audio": {"target_level": "None"}}
    content = {"Distiller": model, "Config": whole, "Step": 1, "Optimizer": {}}
    return hub.distiller_local(save(folder, content))


@models()
def lighthubert_small(folder):
    from s3prl.upstream.lighthubert.lighthubert import LightHuBERT, LightHuBERTConfig

    options = {"_name": "hubert_pruner", "pruner_supernet": "x/small.yaml"}
    config = LightHuBERTConfig(options)
    config.supernet_type = "small"
    content = {"cfg": {"model": options}, "model": weights(LightHuBERT(config))}
    return hub.lighthubert_local(save(folder, content))


@models(hf_hubert={"kind": "Hubert"}, hf_wav2vec2={"kind": "Wav2Vec2"})
def huggingface_family(folder, kind):
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    sizes |= {"intermediate_size": 64, "conv_dim": (16,) * 7}
    sizes |= {"num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16}
    config = getattr(transformers, f"{kind}Config")(**sizes)
    model = getattr(transformers, f"{kind}Model")(config)
    randomized(model).save_pretrained(folder / "hf")
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(
        folder / "hf"
    )
    return getattr(hub, f"hf_{kind.lower()}_custom")(str(folder / "hf"))
