"""LightHuBERT: sub-networks of a once-for-all supernet.

Paper: Wang et al., "LightHuBERT: Lightweight and Configurable Speech
Representation Learning with Once-for-All Hidden-Unit BERT", Interspeech 2022,
https://arxiv.org/abs/2203.15610. Reproduces the hidden states of S3PRL's
``upstream/lighthubert``.

A checkpoint holds a supernet; its sub-networks use a corner of each matrix. The
selected one is cut out when the file is read, and becomes an ordinary Transformer of
its size.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import bare
from s3prl_sb.lobes.checkpoints.sample_rates import USUAL, stated_in
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import (
    fairseq_config,
    fairseq_weights,
)
from s3prl_sb.lobes.upstreams.wav2vec2 import TransformerUpstream

SIZES = ("hidden_size", "ffn_size", "num_heads")
#: :data:`SIZES` of the sub-network of each supernet.
SUBNETS = {"small": (384, 1536, 6), "base": (640, 2560, 10)}
#: :data:`SIZES` of the first stage of training, which is used whole.
WHOLE = (768, 3072, 12)
#: S3PRL's defaults of the sizes of a supernet.
DEFAULTS = {
    "encoder_embed_dim": 768,
    "encoder_ffn_embed_dim": 3072,
    "encoder_layers": 12,
    "encoder_attention_heads": 12,
}


def read_supernet(path):
    """Reads a supernet, ``{cfg: {model}, model}``, and cuts its sub-network out.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    config : dict
        Entries of :class:`TransformerConfig` of the sub-network.
    weights : dict
        Names of the :class:`SpeechTransformer`'s parameters to tensors.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint, or is an unsupported variant.
    """
    content = as_dict(read(path))
    cfg = as_dict(plain(content.get("cfg")))
    task, options = as_dict(cfg.get("task")), as_dict(cfg.get("model"))
    kind = options.get("_name")
    if kind not in ("hubert_pruner", "student_hubert") or "model" not in content:
        raise CheckpointError(
            f"'{path}' is no checkpoint of LightHuBERT: it holds "
            f"{sorted(map(str, content))[:8]}, of a model called {kind}, where "
            "S3PRL's has cfg and model, of hubert_pruner or student_hubert."
        )
    sizes = WHOLE
    if kind == "hubert_pruner":
        file = str(options.get("pruner_supernet", "")).lower()
        sizes = SUBNETS["small" if file.endswith("small.yaml") else "base"]
    supernet = _config(options, path)
    weights = {
        name: tensor
        for name, tensor in bare(content["model"]).items()
        if not name.startswith("layer_pred_heads.")  # used by the distillation alone
    }
    config = {**supernet, **dict(zip(SIZES, sizes))}
    config["sample_rate"] = stated_in(task, options) or USUAL
    _check(supernet, config, path)
    try:
        return config, cut(fairseq_weights(weights, supernet), supernet, config)
    except (AttributeError, IndexError) as error:  # other shapes, or no tensors
        raise CheckpointError(
            f"'{path}' holds weights of other sizes than it says: {error}"
        ) from error


def _config(options, path):
    """Returns the supernet's entries of :class:`TransformerConfig`.

    Defaults are those of S3PRL.
    """
    is_pruned = options.get("prune_encoder_pos_conv", True)
    if options.get("pos_conv_depth", 1) > 1 and not is_pruned:
        raise CheckpointError(
            f"'{path}' has positional convolutions of the supernet's size, and "
            "this class builds those of the sub-network's only."
        )
    config = fairseq_config({"normalize": True}, {**DEFAULTS, **options}, path)
    norm = "layer" if options.get("extractor_mode") != "default" else "group"
    return {**config, "conv_norm": norm}


def _check(supernet, config, path):
    """Checks that the sub-network fits the supernet, with heads of the same size."""
    per_head = {c["hidden_size"] / c["num_heads"] for c in (supernet, config)}
    blocks = {c["ffn_size"] / c["hidden_size"] for c in (supernet, config)}
    fits = all(config[n] <= supernet[n] for n in SIZES)
    if not fits or len(per_head) > 1 or any(b % 1 for b in blocks):
        raise CheckpointError(
            f"'{path}' is of a supernet of {[supernet[n] for n in SIZES]} "
            f"({', '.join(SIZES)}), in which its sub-network of "
            f"{[config[n] for n in SIZES]} does not lie."
        )


def cut(weights, supernet, config):
    """Cuts a sub-network out of a supernet.

    The first entries of each dimension are used. A feed-forward n times as wide as the
    frames consists of n blocks; the first entries of each block are used.

    Arguments
    ---------
    weights : dict
        Names of a :class:`SpeechTransformer`'s parameters to tensors.
    supernet : dict
        Configuration of the supernet.
    config : dict
        Configuration of the sub-network; widths of feed-forwards are multiples of
        the frames'.

    Returns
    -------
    dict
        The weights of the sub-network.

    Example
    -------
    >>> four = {"hidden_size": 4, "ffn_size": 8, "position_groups": 1}
    >>> two = {"hidden_size": 2, "ffn_size": 4, "position_groups": 1}
    >>> weights = {"encoder.layers.0.expand.bias": torch.arange(8)}
    >>> cut(weights, four, two)
    {'encoder.layers.0.expand.bias': tensor([0, 1, 4, 5])}
    """
    old, new = supernet["hidden_size"], config["hidden_size"]
    blocks = torch.arange(supernet["ffn_size"]).view(-1, old)
    wide = blocks[: config["ffn_size"] // new, :new].flatten()
    channels = new // config["position_groups"]
    result = {}
    for name, tensor in weights.items():
        if name.startswith("encoder.positions."):
            tensor = tensor[:new, :channels] if tensor.dim() == 3 else tensor[:new]
        elif ".expand." in name:
            tensor = tensor[wide]
            tensor = tensor[:, :new] if tensor.dim() == 2 else tensor
        elif ".contract." in name:
            tensor = tensor[:new, wide] if tensor.dim() == 2 else tensor[:new]
        elif name.startswith("encoder."):
            tensor = tensor[:new, :new] if tensor.dim() == 2 else tensor[:new]
        elif name.startswith("projection."):
            tensor = tensor[:new]
        result[name] = tensor.contiguous()
    return result


class LightHubert(TransformerUpstream):
    """LightHuBERT.

    Its hidden states are the projected features and the outputs of the layers.

    Arguments
    ---------
    source : str, optional
        Checkpoint in S3PRL's format, or an address. It brings its own
        architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`TransformerConfig` that differ from the small model;
        only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.wav2vec2.TransformerUpstream`.

    Note
    ----
    S3PRL derives the attention mask of a padded batch from a rounded ratio, so
    that one or two frames of padding pass for speech. Here the number of frames
    is exact. When fine-tuning, S3PRL keeps the whole supernet and trains the
    convolutions too; here the sub-network is all there is, and the convolutions
    stay as they are unless ``freeze_front_end`` is False.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hidden_states, lens = LightHubert(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 32]))
    """

    defaults = {
        "hidden_size": 384,
        "ffn_size": 1536,
        "num_heads": 6,
        "conv_norm": "layer",
        "normalize_wav": True,
        "input_dropout": 0.0,
    }
    selection = "projected"
    read = staticmethod(read_supernet)
