"""S3PRL's checkpoints of networks over acoustic features: Mockingjay, APC, NPC.

Names are listed as S3PRL's state dicts have them. Each family's table, with which its
reader converts S3PRL's names to ours, finds the weight of each: it is the only table.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import dataclasses
import re
from collections.abc import Iterable
from typing import Any

import torch

from s3prl_sb.lobes.cards.writing import ConversionError, plain_config
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.checkpoints.s3prl_layout import AUDIO, NAMES
from s3prl_sb.lobes.s3prl_writing.heads import HeadWeights
from s3prl_sb.lobes.upstreams import mockingjay, npc

WEIGHT_AND_BIAS = ("weight", "bias")
_HEAD = "head.output.weight"
#: Layers of a block of the Transformer, after ``encoder.layer.<number>.``.
TRANSFORMER_LAYER = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)
#: Further names of norms in networks that begin with them.
PRE_NORMS = ("attention.LayerNorm", "LayerNorm")
#: Parts of a batch norm.
BATCH_NORM = (
    *WEIGHT_AND_BIAS,
    "running_mean",
    "running_var",
    "num_batches_tracked",
)
GRU = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


# ------------------------------------------------- Mockingjay, TERA, Audio ALBERT
def mockingjay_state(upstream: Any, heads: HeadWeights) -> dict[str, Any]:
    """Returns a checkpoint of S3PRL's Mockingjay, TERA or Audio ALBERT.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.mockingjay.Mockingjay
    heads : HeadWeights
        Weights of the objective. Without any, ``SpecHead`` is left out: S3PRL's
        upstreams do not read it, only its pre-training does.

    Returns
    -------
    dict
        ``Transformer``, ``SpecHead``, ``Config``, ``Upstream_Config``.

    Example
    -------
    >>> tiny = {"transformer": {"hidden_size": 24, "num_hidden_layers": 1}}
    >>> upstream = mockingjay.Tera(config=tiny)
    >>> sorted(mockingjay_state(upstream, HeadWeights(random=True)))
    ['Config', 'SpecHead', 'Transformer', 'Upstream_Config']
    """
    architecture = upstream.network.config
    weights = upstream.network.state_dict()
    transformer = {}
    for theirs in _transformer_names(architecture):
        name = our_name(theirs, mockingjay.NAMES)
        if architecture.share_layer:  # S3PRL's file holds as many copies
            name = re.sub(r"^layers\.\d+\.", "layers.0.", name)
        transformer[theirs] = weights[name]
    state: dict[str, Any] = {"Transformer": transformer}
    if _HEAD in heads.weights or heads.random:
        size = architecture.hidden_size
        output = heads.size(_HEAD, default=upstream.features.output_size)
        state["SpecHead"] = {
            **heads.linear("head.dense", "dense", size, size),
            **heads.tensor("head.norm.weight", "LayerNorm.weight", size),
            **heads.tensor("head.norm.bias", "LayerNorm.bias", size, std=0.0),
            **heads.linear("head.output", "output", output, size),
        }
    return {**state, "Config": {}, "Upstream_Config": _mockingjay_config(upstream)}


def _transformer_names(architecture: Any) -> Iterable[str]:
    """Yields the names in S3PRL's ``Transformer``."""
    layers = ["input_representations.spec_transform", "input_representations.LayerNorm"]
    parts = TRANSFORMER_LAYER + (PRE_NORMS if architecture.pre_layer_norm else ())
    for i in range(architecture.num_hidden_layers):
        layers += [f"encoder.layer.{i}.{part}" for part in parts]
    if architecture.pre_layer_norm:
        count = architecture.num_hidden_layers + 1
        layers += [f"encoder.LayerNorm.{i}" for i in range(count)]
    return (f"{layer}.{part}" for layer in layers for part in WEIGHT_AND_BIAS)


def _mockingjay_config(upstream: Any) -> dict[str, Any]:
    """Returns the blocks, completed by what S3PRL reads and we do not."""
    config = copy.deepcopy(plain_config(upstream))
    size = upstream.network.config.hidden_size
    architecture = dataclasses.asdict(upstream.network.config)
    config["transformer"] = {"input_dim": -1, **architecture, **config["transformer"]}
    config["task"] = {"loss": "L1", "position_encoding_size": size, **config["task"]}
    audio = config["audio"]
    if "ark" in audio:  # features that were extracted before
        config["transformer"]["input_dim"] = config.pop("audio")["ark"]["size"]
    elif "kaldi" not in audio:
        audio.setdefault("n_mfcc", 13)
        audio["input"] = {"channel": 0, **audio["input"]}
        audio.setdefault("target", {**audio["input"], "channel": 1})
    return config


# --------------------------------------------------------------------- APC and NPC
def apc_state(upstream: Any, heads: HeadWeights) -> dict[str, Any]:
    """Returns a checkpoint of S3PRL's APC or VQ-APC.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.apc.Apc
    heads : HeadWeights
        Weights of the objective; the linear layer ``head`` is S3PRL's ``postnet``.

    Returns
    -------
    dict
        ``config``, ``model``, ``Upstream_Config``.

    Note
    ----
    S3PRL's loader takes no fewer than three layers, and returns three hidden states.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> state = apc_state(Apc(config={"hidden_size": 8}), HeadWeights(random=True))
    >>> list(state["model"])[-1], state["config"]["model"]["paras"]["num_layers"]
    ('postnet.bias', 3)
    """
    config = upstream.config
    names = [f"rnn_layers.{i}.{part}" for i in range(config.num_layers) for part in GRU]
    model = _renamed(upstream.network, names + _quantizer_names(config), NAMES)
    return _checkpoint(upstream, model, heads, config.hidden_size, temperature=0.5)


def npc_state(upstream: Any, heads: HeadWeights) -> dict[str, Any]:
    """Returns a checkpoint of S3PRL's NPC.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.npc.Npc
    heads : HeadWeights
        Weights of the objective; the linear layer ``head`` is S3PRL's ``postnet``.

    Returns
    -------
    dict
        ``config``, ``model``, ``Upstream_Config``.

    Example
    -------
    >>> upstream = npc.Npc(config={"hidden_size": 8})
    >>> state = npc_state(upstream, HeadWeights(random=True))
    >>> state["model"]["masked_convs.0.conv.weight"].shape
    torch.Size([8, 8, 15])
    """
    config, masked = upstream.config, upstream.network.masked
    parts = [
        f"{name}.{part}" for name in ("conv", "linear") for part in WEIGHT_AND_BIAS
    ]
    if config.batch_norm:
        parts += [f"{name}.{part}" for name in ("bn1", "bn2") for part in BATCH_NORM]
    names = [f"blocks.{i}.{part}" for i in range(config.n_blocks) for part in parts]
    names += [f"masked_convs.{i}.conv.bias" for i in masked]
    if config.dim_bottleneck:
        names.append("ae_bottleneck.weight")
    names += _quantizer_names(config)
    model = _renamed(upstream.network, names, {**NAMES, **npc.NAMES})
    for i in range(config.n_blocks):  # kernels of one frame
        name = f"blocks.{i}.linear.weight"
        model[name] = model[name][..., None]
    for i, layer in masked.items():
        mask, kernel = _masked_kernel(layer, config.kernel_size)
        model[f"masked_convs.{i}.conv_mask"] = mask
        model[f"masked_convs.{i}.conv.weight"] = kernel
    size = config.dim_bottleneck or config.hidden_size
    return _checkpoint(upstream, model, heads, size, temperature=1.0)


def _masked_kernel(layer, kernel_size):
    """Returns S3PRL's mask, and its kernel over all frames, of a masked convolution."""
    before, after = layer.before.weight.detach(), layer.after.weight.detach()
    taps = before.shape[-1]
    kernel = before.new_zeros(*before.shape[:2], kernel_size)
    kernel[..., :taps], kernel[..., -taps:] = before, after
    mask = torch.zeros_like(kernel)
    mask[..., :taps] = mask[..., -taps:] = 1
    return mask, kernel


def _quantizer_names(config: Any) -> list[str]:
    """Returns the names in S3PRL's ``vq_layers``."""
    parts = ("vq_logits.weight", "vq_logits.bias", "codebook_CxE.weight")
    count = len(config.codebook_size or ())
    return [f"vq_layers.{i}.{part}" for i in range(count) for part in parts]


def _renamed(network, names, table):
    """Returns the weights under S3PRL's names."""
    weights = network.state_dict()
    model = {name: weights[our_name(name, table)] for name in names}
    for name in names:
        if ".codebook_CxE." in name:  # a linear layer, over one-hot vectors
            model[name] = model[name].t()
    return model


def _checkpoint(upstream, model, heads, size, temperature):
    """Returns the content of a checkpoint of APC or NPC."""
    paras = plain_config(upstream)
    audio = _audio(paras.pop("audio"))
    sizes, dims = paras.pop("codebook_size"), paras.pop("code_dim")
    if sizes:
        paras["vq"] = {
            "codebook_size": sizes,
            "code_dim": dims or list(upstream.network.quantizer.code_dim),
            "gumbel_temperature": heads.arguments.get("temperature", temperature),
        }
    if not paras.get("dim_bottleneck", True):
        del paras["dim_bottleneck"]
    future = heads.arguments.get("n_future", 5)
    config = {
        "model": {"paras": paras},
        "task": {"sequence_length": 1500, "n_future": future},
        "data": {"audio": audio},
    }
    model.update(heads.linear("head", "postnet", audio["feat_dim"], size))
    return {"config": config, "model": model, "Upstream_Config": copy.deepcopy(config)}


def _audio(options):
    """Returns S3PRL's ``data.audio`` of the options of our Kaldi features."""
    options = dict(options)
    for name in ("window_type", "deltas"):
        if options.pop(name) != AUDIO[name]:
            raise ConversionError(
                f"S3PRL's APC and NPC have {name}: {AUDIO[name]}, and this network has "
                "another one."
            )
    return {
        "feat_type": "fbank",
        "feat_dim": options.pop("num_mel_bins"),
        "frame_length": options.pop("frame_length", 25),
        "frame_shift": options.pop("frame_shift", 10),
        "decode_wav": False,
        **options,
    }
