"""DistilHuBERT: two layers that predict three of HuBERT's twelve.

Paper: Chang et al., "DistilHuBERT: Speech Representation Learning by Layer-wise
Distillation of Hidden-unit BERT", ICASSP 2022,
https://arxiv.org/abs/2110.01900. Reproduces the hidden states of S3PRL's
``upstream/distiller``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

from torch import nn

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import (
    fairseq_config,
    fairseq_weights,
)
from s3prl_sb.lobes.checkpoints.values import check_only
from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.lobes.networks.transformer import SpeechTransformer, TransformerConfig
from s3prl_sb.lobes.upstreams.wav2vec2 import TransformerUpstream

#: Options of a checkpoint for which the class supports a single value.
ONLY = {
    "task_emb_type": "expand-last",
    "out_layer_type": "expand-last",
    "attention_type": "original",
}
#: S3PRL's defaults of the options of the network.
DEFAULTS = {
    "encoder_embed_dim": 768,
    "encoder_ffn_embed_dim": 3072,
    "encoder_layers": 1,
    "encoder_attention_heads": 12,
    "activation_dropout": 0.1,
    "final_dim": 768,
    "n_tasks": 12,
    "out_layer_inter_dim": -1,
    "pred_layer_id": None,
}


@dataclasses.dataclass
class DistilConfig(TransformerConfig):
    """Sizes and options of a :class:`DistilTransformer`.

    Arguments
    ---------
    targets : list of int
        Layers of the teacher; each has a head that predicts it.
    target_size : int
        Size of the teacher's layers.
    inner_size : int
        Size of the hidden layer of a head.
    """

    targets: list = dataclasses.field(default_factory=lambda: [4, 8, 12])
    target_size: int = 768
    inner_size: int = 768


class DistilTransformer(SpeechTransformer):
    """Transformer without a norm after the convolutions, and with ``heads`` that
    predict the teacher's layers from its last layer.

    Arguments
    ---------
    config : DistilConfig
        Sizes and options.
    """

    def __init__(self, config):
        super().__init__(config)
        self.front_end_norm = nn.Identity()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(config.hidden_size, config.inner_size),
                nn.GELU(),
                nn.Linear(config.inner_size, config.target_size),
            )
            for _ in config.targets
        )

    def reset_parameters(self, seed=0):
        """Sets random weights, which depend on the seed alone."""
        super().reset_parameters(seed)
        initialize(self.heads, seed + 1)


def read_distiller(path):
    """Reads a checkpoint in S3PRL's format, ``{Distiller, Config}``.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    config : dict
        Entries of :class:`DistilConfig`.
    weights : dict
        Weights of :class:`DistilTransformer`.

    Raises
    ------
    CheckpointError
        If it belongs to another family, or to a variant that is not supported.
    """
    content = as_dict(read(path))
    options = plain(content.get("Config"))
    if "Distiller" not in content or not isinstance(options, dict):
        raise CheckpointError(
            f"'{path}' is no checkpoint of DistilHuBERT: it holds "
            f"{sorted(map(str, content))[:8]}, where S3PRL's has Distiller and Config."
        )
    options = options.get("distiller")
    if not isinstance(options, dict):
        raise CheckpointError(f"'{path}' does not say the sizes of its network.")
    check_only(options, ONLY, path, ", as of the published model.")
    config = _config(options, path)
    weights = dict(content["Distiller"])
    heads = _heads(weights, config)
    return config, {**fairseq_weights(weights, config), **heads}


def _config(options, path):
    """Returns the entries of a :class:`DistilConfig`."""
    layers = options.get("extractor_conv_feature_layers")
    options = {**DEFAULTS, **options, "conv_feature_layers": layers}
    inner = options["out_layer_inter_dim"]
    return {
        **fairseq_config({}, options, path),
        "targets": list(options["pred_layer_id"] or range(1, options["n_tasks"] + 1)),
        "target_size": options["final_dim"],
        "inner_size": inner if inner > 0 else options["encoder_embed_dim"],
    }


def _heads(weights, config):
    """Removes the heads, which are stacked, from the weights and returns each."""
    heads, count = {}, len(config["targets"])
    parts = {
        ("0", name): weights.pop(f"output_layer.0.{name}", None)
        for name in ("weight", "bias")
    }
    if count == 1:
        for name in ("weight", "bias"):
            parts["2", name] = weights.pop(f"output_layer.2.layer.{name}", None)
    else:
        weight = weights.pop("output_layer.2.weight", None)  # [heads, in, out]
        bias = weights.pop("output_layer.2.bias", None)  # [1, 1, heads, out]
        parts["2", "weight"] = None if weight is None else weight.mT.flatten(0, 1)
        parts["2", "bias"] = None if bias is None else bias.flatten()
    for (layer, name), tensor in parts.items():
        if tensor is not None:  # load_weights() reports what is missing
            for i, part in enumerate(tensor.chunk(count)):
                heads[f"heads.{i}.{layer}.{name}"] = part.contiguous()
    return heads


class DistilHubert(TransformerUpstream):
    """DistilHuBERT.

    Its hidden states are the projected features, the outputs of the layers and
    the predictions of the teacher's layers: six of them in the published model.
    The third is the one that the paper evaluates.

    Arguments
    ---------
    source : str, optional
        Checkpoint in S3PRL's format, or an address. It brings its own
        architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`DistilConfig` that differ from the published model;
        only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.wav2vec2.TransformerUpstream`.

    Note
    ----
    S3PRL overwrites the padding of the first hidden state with zeros, and a padded
    batch changes its group norm; here the features do not depend on the batch. When
    fine-tuning, S3PRL trains the convolutions with a tenth of their gradient; here
    they are not trained, or, with ``freeze_front_end: False``, with all of it.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]], "targets": [4, 8, 12],
    ...     "target_size": 24, "inner_size": 32}
    >>> hidden_states, lens = DistilHubert(config=tiny)(torch.randn(2, 16000))
    >>> [state.shape[-1] for state in hidden_states]
    [32, 32, 32, 24, 24, 24]
    """

    Config, Network = DistilConfig, DistilTransformer
    defaults = {"num_layers": 2, "activation_dropout": 0.1, "input_dropout": 0.0}
    selection = "projected"
    read = staticmethod(read_distiller)

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        self.num_layers += len(self.config.targets)
        self.output_size = self.config.target_size

    def _switch_off_unreached(self):
        """Does nothing: the heads see the norm after the last layer."""

    @property
    def output_sizes(self):
        """Size of each hidden state."""
        heads = len(self.config.targets)
        layers = self.num_layers - heads
        return [self.config.hidden_size] * layers + [self.config.target_size] * heads

    @property
    def predicted_layers(self):
        """Layers of the teacher that the last hidden states predict."""
        return self.config.targets

    def contextualize(self, x, frames):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.contextualize`; with the
        outputs of the heads."""
        for x in super().contextualize(x, frames):
            yield x
        if self.config.norm_first:
            x = self.network.encoder.norm(x)
        for head in self.network.heads:
            yield head(x)
