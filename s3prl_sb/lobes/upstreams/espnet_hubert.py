"""HuBERT and WavLabLM as ESPnet trains them.

Papers: Chen et al., "Reducing Barriers to Self-Supervised Learning: HuBERT
Pre-training with Academic Compute", https://arxiv.org/abs/2306.06672; Chen et
al., "Joint Prediction and Denoising for Large-scale Multilingual
Self-supervised Learning" (WavLabLM), https://arxiv.org/abs/2309.15317.
Reproduces the hidden states of S3PRL's ``upstream/espnet_hubert``.

The network is torchaudio's HuBERT. A checkpoint is two files: the weights, and
the configuration of the training, of which only values are read.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.identity.opened import opened
from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.fetch import fetch
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.torchaudio_layout import (
    STRIDES,
    looks_like_torchaudio,
    read_torchaudio,
)
from s3prl_sb.lobes.networks.transformer import CONV_LAYERS
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.storage.files import FileError, read_yaml

CONFIG = "config.yaml"
PREFIXES = ("encoder.hubert_pretrain_model.wav2vec2.", "encoder.hubert_pretrain_model.")
COUNTER = "encoder.global_step"  # of updates in fine-tuning
#: ESPnet's options, with its defaults, and our entries of TransformerConfig.
OPTIONS = {
    "extractor_mode": ("group_norm", "conv_norm"),
    "extractor_conv_layer_config": (CONV_LAYERS, "conv_layers"),
    "extractor_conv_bias": (False, "conv_bias"),
    "encoder_embed_dim": (768, "hidden_size"),
    "encoder_projection_dropout": (0.1, "input_dropout"),
    "encoder_pos_conv_kernel": (128, "position_kernel"),
    "encoder_pos_conv_groups": (16, "position_groups"),
    "encoder_num_layers": (12, "num_layers"),
    "encoder_num_heads": (12, "num_heads"),
    "encoder_attention_dropout": (0.1, "attention_dropout"),
    "encoder_ff_interm_features": (3072, "ffn_size"),
    "encoder_ff_interm_dropout": (0.0, "activation_dropout"),
    "encoder_dropout": (0.1, "dropout"),
    "encoder_layer_norm_first": (False, "norm_first"),
}


def read_espnet(path, architecture=None):
    """Reads a checkpoint of ESPnet's HuBERT.

    Arguments
    ---------
    path : pathlib.Path
        The file of the weights, or a folder with them and ``config.yaml``.
    architecture : str, optional
        ``config.yaml`` or its address, if none lies beside the weights.

    Returns
    -------
    config : dict
        Entries of
        :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`.
    weights : dict
        Of a ``SpeechTransformer``.

    Raises
    ------
    CheckpointError
        If it is of another kind, or one of the files is missing.
    """
    path = _weights_in(path) if path.is_dir() else path
    content = checkpoints.read(path)
    content = content if isinstance(content, dict) else {}
    states = {}
    for name, tensor in content.items():
        for prefix in PREFIXES:
            name = str(name).removeprefix(prefix)
        states[name] = tensor
    states.pop(COUNTER, None)
    theirs = any(str(name).startswith(PREFIXES[0]) for name in content)
    if not theirs or not looks_like_torchaudio(states):
        raise CheckpointError(
            f"'{path}' is no checkpoint of ESPnet's HuBERT: it holds "
            f"{sorted(map(str, content))[:6]}, where these have {PREFIXES[0]}…"
        )
    beside = path.with_name(CONFIG)
    if not beside.is_file():
        if architecture is None:
            raise CheckpointError(
                f"The weights in '{path}' do not show all of their architecture. Put "
                f"the {CONFIG} of their training beside them, or give it as "
                "`architecture`."
            )
        beside = fetch(architecture)
    config = read_config(beside)
    if len(config["conv_layers"]) != len(STRIDES):
        raise CheckpointError(
            f"'{beside}' has {len(config['conv_layers'])} convolutions, and this "
            f"class reads {len(STRIDES)} only."
        )
    return config, read_torchaudio(states)[1]


def read_config(path):
    """What ESPnet's ``config.yaml`` says of the network.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    dict
        Entries of
        :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`.

    Raises
    ------
    CheckpointError
        If it is of another kind.

    Example
    -------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "config.yaml")
    ...     _ = path.write_text("encoder_conf: {encoder_num_layers: 24}")
    ...     read_config(path)["num_layers"]
    24
    """
    try:
        told = read_yaml(opened(path), "YAML of plain values", typ="safe")
    except FileError as error:
        raise CheckpointError(str(error)) from error
    options = told.get("encoder_conf") if isinstance(told, dict) else None
    if not isinstance(options, dict):
        raise CheckpointError(
            f"'{path}' is no {CONFIG} of ESPnet's: it has no encoder_conf."
        )
    config = {}
    for theirs, (default, ours) in OPTIONS.items():
        config[ours] = value = options.get(theirs, default)
        plain = (bool, int, float, str)
        if theirs == "extractor_conv_layer_config":
            valid = isinstance(value, (list, tuple)) and all(
                isinstance(row, (list, tuple))
                and len(row) == 3
                and all(isinstance(number, int) for number in row)
                for row in value
            )
        else:  # a number may stand for another, not for text
            kind = str if isinstance(default, str) else plain[:3]
            valid = isinstance(value, kind)
        if not valid:
            raise CheckpointError(f"'{path}' has {theirs}: {value}.")
    mode = config["conv_norm"]
    if not re.fullmatch("(group|layer)_norm", mode):
        raise CheckpointError(f"'{path}' has extractor_mode: {mode}.")
    config["conv_norm"] = mode.removesuffix("_norm")
    config["conv_layers"] = [list(row) for row in config["conv_layers"]]
    config["normalize_wav"] = False
    return config


def _weights_in(folder):
    found = sorted(folder.glob("*.pth"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:8])
        raise CheckpointError(
            f"'{folder}' holds {len(found)} files *.pth"
            + f" ({names}); give the file itself." * bool(found)
            + ", where a checkpoint is one." * (not found)
        )
    return found[0]


class EspnetHubert(Wav2Vec2):
    """ESPnet's HuBERT: :class:`~s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2`'s
    network, from ESPnet's files.

    Its hidden states are the outputs of the Transformer layers, one for each;
    of large models without the final norm.

    Arguments
    ---------
    source : str, optional
        The weights: a file, a folder with them and ``config.yaml``, or an
        address. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`
        that differ from the base model; only without ``source``.
    architecture : str, optional
        The ``config.yaml`` of the weights or its address. Needed only if none
        lies beside them.
    freeze, freeze_front_end, precision, adapter, layerdrop, chunk_seconds, \
overlap_seconds, seed
        As of :class:`~s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2`.

    Note
    ----
    S3PRL lets a padded batch change what the base models compute: their group
    norm sees the padding. Here every utterance gets what it gets alone. As in
    S3PRL, waveforms are not normalized, for large models neither. S3PRL's
    address of the configuration of ``espnet_hubert_large_gs_ll60k`` is that of
    a web page; here it is the file's.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hidden_states, lens = EspnetHubert(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (2, torch.Size([2, 50, 32]))
    """

    def __init__(
        self,
        source=None,
        config=None,
        architecture=None,
        freeze=True,
        freeze_front_end=True,
        precision="fp32",
        adapter=None,
        layerdrop=0.0,
        chunk_seconds=None,
        overlap_seconds=2.0,
        seed=0,
    ):
        self.architecture = architecture
        super().__init__(
            source,
            config,
            feature_selection="fairseq_layers",
            freeze=freeze,
            freeze_front_end=freeze_front_end,
            precision=precision,
            adapter=adapter,
            layerdrop=layerdrop,
            chunk_seconds=chunk_seconds,
            overlap_seconds=overlap_seconds,
            seed=seed,
        )

    def reader(self, path):
        """Configuration and weights of a path, see :func:`read_espnet`."""
        return read_espnet(path, self.architecture)
