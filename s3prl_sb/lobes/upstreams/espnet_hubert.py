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

from s3prl_sb.lobes.checkpoints.espnet_layout import (
    CONFIG,
    training_options,
    weights_file,
)
from s3prl_sb.lobes.checkpoints.fetch import fetch
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.torchaudio_layout import (
    looks_like_torchaudio,
    read_torchaudio,
)
from s3prl_sb.lobes.checkpoints.transformer_sizes import STRIDES
from s3prl_sb.lobes.networks.transformer import CONV_LAYERS
from s3prl_sb.lobes.upstreams.wav2vec2 import TransformerUpstream

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
        ``config.yaml`` or its address, if it is not next to the weights.

    Returns
    -------
    config : dict
        Entries of
        :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`.
    weights : dict
        Weights of a ``SpeechTransformer``.

    Raises
    ------
    CheckpointError
        If it belongs to another family, or one of the files is missing.
    """
    path = weights_file(path) if path.is_dir() else path
    content = as_dict(read(path))
    states = {}
    for name, tensor in content.items():
        for prefix in PREFIXES:
            name = str(name).removeprefix(prefix)
        states[name] = tensor
    states.pop(COUNTER, None)
    is_espnet = any(str(name).startswith(PREFIXES[0]) for name in content)
    if not is_espnet or not looks_like_torchaudio(states):
        raise CheckpointError(
            f"'{path}' is no checkpoint of ESPnet's HuBERT: it holds "
            f"{sorted(map(str, content))[:6]}, where these have {PREFIXES[0]}…"
        )
    config_file = path.with_name(CONFIG)
    if not config_file.is_file():
        if architecture is None:
            raise CheckpointError(
                f"The weights in '{path}' do not show all of their architecture. Put "
                f"the {CONFIG} of their training beside them, or give it as "
                "`architecture`."
            )
        config_file = fetch(architecture)
    config = read_config(config_file)
    if len(config["conv_layers"]) != len(STRIDES):
        raise CheckpointError(
            f"'{config_file}' has {len(config['conv_layers'])} convolutions, and this "
            f"class reads {len(STRIDES)} only."
        )
    return config, read_torchaudio(states)[1]


def read_config(path):
    """Reads the configuration of the network from ESPnet's ``config.yaml``.

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
        If the file is not a configuration of ESPnet.

    Example
    -------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "config.yaml")
    ...     _ = path.write_text("encoder_conf: {encoder_num_layers: 24}")
    ...     read_config(path)["num_layers"]
    24
    """
    options = training_options(path)["encoder_conf"]
    config = {}
    for theirs, (default, ours) in OPTIONS.items():
        config[ours] = value = options.get(theirs, default)
        if theirs == "extractor_conv_layer_config":
            valid = isinstance(value, (list, tuple)) and all(
                isinstance(row, (list, tuple))
                and len(row) == 3
                and all(isinstance(number, int) for number in row)
                for row in value
            )
        else:  # a number may stand for another, not for text
            text = isinstance(default, str)
            valid = isinstance(value, str if text else (bool, int, float))
        if not valid:
            raise CheckpointError(f"'{path}' has {theirs}: {value}.")
    mode = config["conv_norm"]
    if not re.fullmatch("(group|layer)_norm", mode):
        raise CheckpointError(f"'{path}' has extractor_mode: {mode}.")
    config["conv_norm"] = mode.removesuffix("_norm")
    config["conv_layers"] = [list(row) for row in config["conv_layers"]]
    config["normalize_wav"] = False
    return config


class EspnetHubert(TransformerUpstream):
    """HuBERT as trained by ESPnet: the network of
    :class:`~s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2`, from ESPnet's files.

    Its hidden states are the outputs of the Transformer layers; those of large
    models lack the final norm.

    Arguments
    ---------
    source : str, optional
        The weights: a file, a folder with them and ``config.yaml``, or an
        address. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`
        that differ from the base model; only without ``source``.
    architecture : str, optional
        The ``config.yaml`` of the weights or its address. Needed only if it is not
        next to them.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.wav2vec2.TransformerUpstream`.

    Note
    ----
    In S3PRL a padded batch changes the features of the base models: their group
    norm sees the padding. Here the features do not depend on the batch. As in
    S3PRL, waveforms are not normalized, even for large models. S3PRL's address of
    the configuration of ``espnet_hubert_large_gs_ll60k`` leads to a web page; here
    it leads to the file.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hidden_states, lens = EspnetHubert(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (2, torch.Size([2, 50, 32]))
    """

    selection = "outputs"

    def __init__(self, source=None, config=None, architecture=None, **options):
        self.architecture = architecture
        super().__init__(source, config, **options)

    def read(self, path):
        """Returns configuration and weights of a path, see :func:`read_espnet`."""
        return read_espnet(path, self.architecture)
