"""Random models of S3PRL 0.4.18 over acoustic features, in S3PRL's file formats.

This module runs in the environment of S3PRL that ``make.py`` sets up. Each function
of :data:`MODELS` writes the files of a fixture into a folder, and returns the expert
of S3PRL that reads them. All classes are S3PRL's; the weights are random.
``s3prl_waveform_models.py`` has the models of waveforms.
"""

import collections.abc
import dataclasses
import math
import sys
import types
from pathlib import Path

import peer_stand_ins  # before anything of S3PRL  # noqa: F401
import torch
import yaml
from s3prl import hub

MODELS = {}
#: Sizes are constants in S3PRL, so that the files are too large for a repository.
FULL_SIZE = ("decoar", "decoar_layers", "decoar2", "lighthubert_small", "vggish")
FULL_SIZE += ("byol_s_default", "byol_s_cvt", "byol_s_resnetish34")
FULL_SIZE += ("ssast_frame", "ssast_patch")
#: Sizes of the other models, by fairseq's names.
LAYERS = "[(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16, 2, 2)] * 2"
SMALL = {"encoder_layers": 3, "encoder_embed_dim": 32, "encoder_ffn_embed_dim": 64}
SMALL |= {"encoder_attention_heads": 4, "conv_feature_layers": LAYERS}
SMALL |= {"conv_pos": 128, "conv_pos_groups": 16, "encoder_layerdrop": 0.05}
SMALL |= {"dropout_input": 0.1, "dropout_features": 0.1}
#: timm 0.4.5 imports it; torch 2 no longer has it.
sys.modules["torch._six"] = types.SimpleNamespace(container_abcs=collections.abc)


def models(*variants, **options):
    """Registers a function for several fixtures: ``name=arguments``."""

    def register(function):
        names = dict.fromkeys(variants or (function.__name__,), {}) | options
        for name, arguments in names.items():
            MODELS[name] = lambda folder, a=arguments: function(folder, **a)
        return function

    return register


def randomized(model):
    """The model with random weights that keep activations alive, and its batch
    statistics; a function of torch's seed."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            last = name.rpartition(".")[2]
            if not parameter.is_floating_point():  # a size that is kept as one
                continue
            if parameter.dim() < 2 or parameter.shape[0] == 1 == parameter.shape[-1]:
                parameter.normal_(float(last == "weight"), 0.1)
            elif last != "weight_g":
                # ReLUs and gates shrink what passes through them.
                deep = any(k in name for k in ("extractor.", "gEncoder", "lstm"))
                fan_in = parameter[0].numel()
                parameter.normal_(0, (2.0 if deep else 1.0) / math.sqrt(fan_in))
        for module in model.modules():
            if hasattr(module, "weight_g"):
                axes = [d for d, n in enumerate(module.weight_g.shape) if n == 1]
                norms = module.weight_v.norm(dim=axes, keepdim=True)
                module.weight_g.copy_(norms * (0.8 + 0.4 * torch.rand_like(norms)))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
    return model


def weights(model):
    """The state of a random model."""
    return {k: v.detach().clone() for k, v in randomized(model).state_dict().items()}


def save(folder, content, name="ckpt.pt"):
    """The path of a new checkpoint."""
    torch.save(content, folder / name)
    return str(folder / name)


# --------------------------------------------------------------- log mel features
def apc_file(folder, network, paras):
    """A checkpoint as APC's and NPC's training saves it."""
    audio = {"feat_type": "fbank", "feat_dim": 80, "frame_length": 25}
    audio |= {"frame_shift": 10, "decode_wav": False, "cmvn": True}
    task = {"sequence_length": 1500, "n_future": 5}
    config = {"model": {"paras": paras}, "task": task, "data": {"audio": audio}}
    model = weights(network(80, **paras))
    return save(folder, {"config": config, "model": model, "Upstream_Config": config})


@models(
    apc={},
    vq_apc={"vq": {"codebook_size": [24], "code_dim": [32], "gumbel_temperature": 0.5}},
)
def apc_family(folder, **more):
    from s3prl.upstream.apc.apc import APC

    paras = {"num_layers": 3, "hidden_size": 32, "dropout": 0.1, "residual": True}
    return hub.apc_local(apc_file(folder, APC, {**paras, **more}))


@models()
def npc(folder):
    from s3prl.upstream.npc.npc import NPC

    vq = {"codebook_size": [16] * 4, "code_dim": [8] * 4, "gumbel_temperature": 1.0}
    paras = {"kernel_size": 15, "mask_size": 5, "n_blocks": 4, "hidden_size": 32}
    paras |= {"dropout": 0.1, "residual": True, "batch_norm": True, "vq": vq}
    paras |= {"activate": "relu", "disable_cross_layer": False}
    return hub.npc_local(apc_file(folder, NPC, paras))


def mel_audio(target="mel"):
    """S3PRL's options of features of its own transform."""
    entry = {"log": True, "delta": 0, "cmvn": True}
    audio = {"target_level": -25, "win_ms": 25, "hop_ms": 10, "n_freq": 201}
    audio |= {"n_mels": 80, "n_mfcc": 13}
    audio["input"] = {"feat_type": "mel", "channel": 0, **entry}
    audio["target"] = {"feat_type": target, "channel": 1, **entry}
    return audio


KALDI_AUDIO = {
    "kaldi": {
        "feat_type": "fbank",
        "fbank": {
            "num_mel_bins": 80,
            "frame_length": 25.0,
            "frame_shift": 10.0,
            "use_log_fbank": True,
        },
    },
    "delta": {"order": 2, "win_length": 5},
    "cmvn": {"use_cmvn": True},
}


@models(
    mockingjay={"audio": KALDI_AUDIO, "size": 240},
    # A large model's input is cut into sequences of this length.
    mockingjay_linear={
        "audio": mel_audio("linear"),
        "target": 201,
        "length": 60,
        "num_hidden_layers": 4,
    },
    # As in the published checkpoints: the model's configuration is in "Config".
    mockingjay_legacy={"legacy": True},
    mockingjay_preln={"pre_layer_norm": True},
    tera={"expert": "tera_local"},
    audio_albert={"expert": "audio_albert_local", "share_layer": True},
    spec_augment={"expert": "spec_augment_local"},
)
def mockingjay_family(
    folder,
    audio=None,
    size=80,
    target=None,
    length=1500,
    legacy=False,
    expert="mockingjay_local",
    **options,
):
    from s3prl.upstream.mockingjay import model as theirs
    from s3prl.upstream.spec_augment.hubconf import spec_augment_local

    network = {"input_dim": -1, "hidden_size": 32, "num_hidden_layers": 3}
    network |= {"num_attention_heads": 4, "intermediate_size": 64, "hidden_act": "gelu"}
    network |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    network |= {"initializer_range": 0.02, "layer_norm_eps": 1e-12}
    network |= {"share_layer": False, "pre_layer_norm": False, **options}
    config = theirs.TransformerConfig(network)
    encoder = weights(theirs.TransformerModel(config, size))
    head = theirs.TransformerSpecPredictionHead(config, target or size)
    task = {"loss": "L1", "sequence_length": length, "position_encoding_size": 32}
    task |= {"mask_proportion": 0.15, "mask_consecutive_min": 7}
    task |= {"mask_consecutive_max": 7, "mask_allow_overlap": True}
    task |= {"mask_bucket_ratio": 1.5, "mask_frequency": 0.2, "noise_proportion": 0.0}
    upstream = {"transformer": network, "task": task, "audio": audio or mel_audio()}
    runner = {"runner": {"total_steps": 10}, "optimizer": {"name": "AdamW", "lr": 2e-4}}
    content = {"Transformer": encoder, "SpecHead": weights(head)}
    content |= {"Step": 1, "Optimizer": {}}
    if legacy:
        content |= {"Config": upstream, "Runner": runner}
    else:
        content |= {"Config": runner, "Upstream_Config": upstream}
    load = getattr(hub, expert, spec_augment_local)  # the hub lacks the last one
    return load(save(folder, content))


@models("decoar2", decoar2_tiny={"small": True})
def decoar2_family(folder, small=False):
    from s3prl.upstream.decoar2 import decoar2

    sizes = (32, 3, 64, 4) if small else (768, 12, 3072, 12)
    names = ("embed_dim", "layers", "ffn_embed_dim", "attention_heads")
    decoar2.args.update({f"encoder_{k}": v for k, v in zip(names, sizes)})
    return hub.decoar2_local(save(folder, {"model": weights(decoar2.Decoar2())}))


@models(
    decoar={"expert": "decoar_local"}, decoar_layers={"expert": "decoar_layers_local"}
)
def decoar_family(folder, expert):
    from s3prl.upstream.decoar.decoar import Decoar

    return getattr(hub, expert)(save(folder, {"model": weights(Decoar())}))


# ------------------------------------------------------------- images of features
@models()
def byol_a(folder):
    from s3prl.upstream.byol_a.byol_a import AudioNTT2020
    from s3prl.upstream.byol_a.expert import UpstreamExpert
    from s3prl.upstream.byol_a.hubconf import DEFAULT_CONFIG_PATH

    path = save(folder, weights(AudioNTT2020(d=32)))
    return UpstreamExpert(path, DEFAULT_CONFIG_PATH, 32)


@models(
    byol_s_default={"kind": "default"},
    byol_s_cvt={"kind": "cvt"},
    byol_s_resnetish34={"kind": "resnetish34"},
)
def byol_s_family(folder, kind):
    from s3prl.upstream.byol_s.byol_a.common import load_yaml_config
    from s3prl.upstream.byol_s.expert import UpstreamExpert
    from s3prl.upstream.byol_s.serab_byols import serab

    config = load_yaml_config(Path(serab.__file__).parent / "config.yaml")
    path = save(folder, weights(serab.get_model(kind, config)))
    return UpstreamExpert(ckpt=path, model_name=kind)


WHOLE_FRAMES = {"ast_kernel_size_chan": 128, "ast_kernel_size_time": 2}
WHOLE_FRAMES |= {"ast_kernel_stride_chan": 128, "ast_kernel_stride_time": 2}


@models("mae_ast_patch", mae_ast_frame=WHOLE_FRAMES)
def mae_ast_family(folder, **options):
    from s3prl.upstream.mae_ast.mae_ast import MAE_AST, MAE_AST_Config

    sizes = {k: v for k, v in SMALL.items() if k.startswith("encoder_")}
    sizes |= {"decoder_embed_dim": 32, "decoder_layers": 1, "conv_pos": 16}
    sizes |= {"conv_pos_groups": 4, "enc_sine_pos": True, "dec_sine_pos": True}
    sizes |= {"max_token_length": 1000}  # the table of sines is in the file
    config = {**dataclasses.asdict(MAE_AST_Config()), **sizes, **options}
    task = {"sample_rate": 16000, "feature_type": "fbank", "feature_rate": 100}
    task |= {"feature_dim": 128, "mask_type": "random_mask", "deltas": False}
    task |= {"normalize": False, "mask_spans": False}
    model = MAE_AST(types.SimpleNamespace(**config), types.SimpleNamespace(**task))
    content = {"cfg": {"model": config, "task": task}, "model": weights(model)}
    return hub.mae_ast_local(save(folder, content))


@models(ssast_patch={"shape": (16, 16)}, ssast_frame={"shape": (128, 2)})
def ssast_family(folder, shape):
    from s3prl.upstream.ssast.ast_models import ASTModel
    from s3prl.upstream.ssast.expert import UpstreamExpert

    height, width = shape
    model = ASTModel(
        fshape=height,
        tshape=width,
        fstride=height,
        tstride=width,
        input_fdim=128,
        input_tdim=1024,
        model_size="tiny",
        pretrain_stage=True,
    )
    state = {f"module.{name}": value for name, value in weights(model).items()}
    path = save(folder, state)
    return UpstreamExpert(path, f"tiny_{'p' if width == height else 'f'}", 1.0)


@models()
def vggish(folder):
    from s3prl.upstream.vggish.expert import UpstreamExpert
    from s3prl.upstream.vggish.vggish import VGG, make_layers

    network = weights(VGG(make_layers()))
    vectors, _ = torch.linalg.qr(torch.randn(128, 128))
    pca = {"pca_eigen_vectors": vectors, "pca_means": 0.1 * torch.randn(128, 1)}
    save(folder, {"vggish": network, "pca": pca})
    arrays = {name: value.numpy() for name, value in pca.items()}
    return UpstreamExpert(ckpt={"vggish": network, "pca": arrays})


# ------------------------------------------------------------- acoustic features
for _name in ("fbank", "fbank_no_cmvn", "mfcc", "spectrogram", "mel", "linear"):
    MODELS[_name] = lambda folder, name=_name: getattr(hub, name)()


@models()
def stft_mag(folder):
    options = {"n_fft": 512, "hop_length": 160, "win_length": 400}
    options |= {"window": "hann", "center": True, "log": True}
    path = folder / "stft.yaml"
    path.write_text(yaml.safe_dump({"spectrogram": options}))
    return hub.stft_mag(str(path))


@models()
def baseline_local_delta(folder):
    chosen = {"feat_type": "mfcc", "channel": 0, "log": False, "delta": 2, "cmvn": True}
    config = {"win_ms": 25, "hop_ms": 10, "n_freq": 201, "n_mels": 40, "n_mfcc": 13}
    path = folder / "conf.yaml"
    path.write_text(yaml.safe_dump({**config, "input": chosen}))
    return hub.baseline_local(str(path))
