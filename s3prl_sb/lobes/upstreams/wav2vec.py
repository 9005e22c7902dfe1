"""wav2vec: a convolutional front-end and a convolutional aggregator.

Paper: Schneider et al., "wav2vec: Unsupervised Pre-training for Speech
Recognition", Interspeech 2019, https://arxiv.org/abs/1904.05862. Reproduces
S3PRL's ``upstream/wav2vec``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints import sample_rates
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import bare, our_name
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import conv_layers
from s3prl_sb.lobes.networks.front_end import StridedConvolutions
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}
#: fairseq's names of the weights, and ours.
NAMES = {
    r"^feature_extractor\.conv_layers\.(\d+)\.0\.": r"front_end.convolutions.\1.",
    r"^feature_extractor\.conv_layers\.(\d+)\.2\.": r"front_end.norms.\1.",
    r"^feature_aggregator\.conv_layers\.(\d+)\.1\.": r"aggregator.convolutions.\1.",
    r"^feature_aggregator\.conv_layers\.(\d+)\.3\.": r"aggregator.norms.\1.",
    r"^feature_aggregator\.residual_proj\.": "aggregator.shortcuts.",
    r"^vector_quantizer\.": "quantizer.",
}
#: Weights that only pre-training uses.
TRAINING = ("wav2vec_predictions.", "project_features.")
#: fairseq's defaults for vector quantization, for entries that a checkpoint lacks.
QUANTIZER_DEFAULTS = {
    "vq_type": "none",
    "vq_vars": 320,
    "vq_groups": 2,
    "vq_depth": 1,
    "vq_temp": [2.0, 0.5, 0.999995],
    "combine_groups": False,
}
FRONT_END = [[512, 10, 5], [512, 8, 4]] + [[512, 4, 2]] * 3 + [[512, 1, 1]] * 2
AGGREGATOR = [[512, kernel, 1] for kernel in range(2, 14)]


@dataclasses.dataclass
class Wav2VecConfig:
    """Configuration of wav2vec under fairseq's names; defaults: the large model.

    Arguments
    ---------
    conv_feature_layers, conv_aggregator_layers : list of [int, int, int]
        Channels, kernel size and stride of each convolution.
    sample_rate : int
        Sample rate of the waveforms, Hz.
    activation : str
        "relu" or "gelu".
    log_compression : bool
        Compress the output of the front-end.
    skip_connections_feat, skip_connections_agg : bool
        Shortcuts in front-end and aggregator.
    residual_scale : float
        Scale of the variance of sums with shortcuts.
    agg_zero_pad : bool
        Pad the aggregator's input with zeros, not with the first frame.
    no_conv_bias, non_affine_group_norm : bool
        Layers without bias, and norms without weights.
    dropout, dropout_features : float
        Dropout of the aggregator and of its input, in training mode.
    """

    conv_feature_layers: list = dataclasses.field(default_factory=lambda: FRONT_END)
    conv_aggregator_layers: list = dataclasses.field(default_factory=lambda: AGGREGATOR)
    sample_rate: int = sample_rates.USUAL
    activation: str = "relu"
    log_compression: bool = True
    skip_connections_feat: bool = False
    skip_connections_agg: bool = True
    residual_scale: float = 0.5
    agg_zero_pad: bool = False
    no_conv_bias: bool = False
    non_affine_group_norm: bool = False
    dropout: float = 0.0
    dropout_features: float = 0.0

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of: {', '.join(ACTIVATIONS)}")
        if any(stride != 1 for _, _, stride in self.conv_aggregator_layers):
            raise ValueError("the strides in conv_aggregator_layers must be 1")


def group_normed(x, norm):
    """Applies a group norm to [batch, channels, frames], in fp32."""
    weight, bias = (None if p is None else p.float() for p in (norm.weight, norm.bias))
    y = F.group_norm(x.float(), norm.num_groups, weight, bias, norm.eps)
    return y.to(x.dtype)


class FrontEnd(StridedConvolutions):
    """Strided convolutions over the waveform, each with a norm over all its channels
    and frames.

    Arguments
    ---------
    config : Wav2VecConfig
        Sizes and options.

    Example
    -------
    >>> front_end = FrontEnd(Wav2VecConfig(conv_feature_layers=[[16, 10, 5]]))
    >>> front_end(torch.randn(2, 160)).shape, front_end.frames(160)
    (torch.Size([2, 16, 31]), 31)
    """

    def __init__(self, config):
        super().__init__([layer[1:] for layer in config.conv_feature_layers])
        self.config = config
        channels, affine = 1, not config.non_affine_group_norm
        for size, kernel, stride in config.conv_feature_layers:
            self.convolutions.append(
                nn.Conv1d(channels, size, kernel, stride, bias=False)
            )
            self.norms.append(nn.GroupNorm(1, size, affine=affine))
            channels = size

    def forward(self, wavs):
        """[batch, samples] -> [batch, channels, frames]."""
        x = wavs[:, None].to(self.convolutions[0].weight.dtype)
        activation = ACTIVATIONS[self.config.activation]
        for convolution, norm in zip(self.convolutions, self.norms):
            before, x = x, activation(group_normed(convolution(x), norm))
            if self.config.skip_connections_feat and before.shape[1] == x.shape[1]:
                frames = x.shape[2]  # the shortcut keeps one frame of each stride
                before = before[..., :: before.shape[2] // frames][..., :frames]
                x = (x + before) * self.config.residual_scale**0.5
        return torch.log1p(x.abs()) if self.config.log_compression else x


class Aggregator(nn.Module):
    """Convolutions over previous frames, with shortcuts.

    Arguments
    ---------
    config : Wav2VecConfig
        Sizes and options.

    Example
    -------
    >>> aggregator = Aggregator(Wav2VecConfig(conv_aggregator_layers=[[8, 3, 1]]))
    >>> [list(state.shape) for state in aggregator(torch.randn(2, 512, 31))]
    [[2, 8, 31]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        self.shortcuts = nn.ModuleDict()  # for layers that change the size
        bias, affine = not config.no_conv_bias, not config.non_affine_group_norm
        channels = config.conv_feature_layers[-1][0]
        for i, (size, kernel, _) in enumerate(config.conv_aggregator_layers):
            self.convolutions.append(nn.Conv1d(channels, size, kernel, bias=bias))
            self.norms.append(nn.GroupNorm(1, size, affine=affine))
            if size != channels and config.skip_connections_agg:
                self.shortcuts[str(i)] = nn.Conv1d(channels, size, 1, bias=False)
            channels = size

    def forward(self, x):
        """[batch, channels, frames] -> yields the output of each layer."""
        config = self.config
        padding = "constant" if config.agg_zero_pad else "replicate"
        activation = ACTIVATIONS[config.activation]
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            y = F.pad(x, (convolution.kernel_size[0] - 1, 0), padding)
            y = F.dropout(convolution(y), config.dropout, self.training)
            y = activation(group_normed(y, norm))
            if config.skip_connections_agg:
                if str(i) in self.shortcuts:
                    x = self.shortcuts[str(i)](x)
                y = (y + x) * config.residual_scale**0.5
            x = y
            yield x


class Wav2VecNetwork(nn.Module):
    """Network of wav2vec, from the waveform.

    Arguments
    ---------
    config : Wav2VecConfig
        Sizes and options.

    Example
    -------
    >>> network = Wav2VecNetwork(Wav2VecConfig(conv_aggregator_layers=[[8, 3, 1]]))
    >>> [list(state.shape) for state in network(torch.randn(1, 1600))]
    [[1, 8, 512], [1, 8, 8]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.front_end = FrontEnd(config)
        self.aggregator = Aggregator(config)

    def forward(self, wavs):
        """[batch, samples] -> yields hidden states [batch, frames, size]."""
        x = self.front_end(wavs)
        yield x.transpose(1, 2)
        x = F.dropout(x, self.config.dropout_features, self.training)
        for x in self.aggregator(x):
            yield x.transpose(1, 2)


def read_wav2vec(path):
    """Reads a checkpoint of wav2vec or vq-wav2vec, S3PRL's or fairseq's.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    config : dict
        Entries of :class:`Wav2VecConfig`, and those of vector quantization.
    weights : dict
        Our names to tensors; the quantizer's names are ``quantizer.`` and fairseq's.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint, or is an unsupported variant.
    """
    states = as_dict(read(path))
    if "model_cfg" in states:
        keys = ("model_cfg", "task_cfg", "model_weight")
        model, task, weights = map(states.get, keys)
    else:
        cfg = plain(states.get("cfg"))
        cfg = cfg if isinstance(cfg, dict) else {"model": states.get("args")}
        model, task, weights = cfg.get("model"), cfg.get("task"), states.get("model")
    model, task = plain(model), plain(task)
    lists = ("conv_feature_layers", "conv_aggregator_layers")
    if not isinstance(weights, dict) or not isinstance(model, dict):
        content = ", ".join(sorted(map(str, states))[:12]) or "no names"
    elif not all(isinstance(model.get(key), str) for key in lists):
        content = "model '{}' with weights {}".format(
            model.get("_name") or model.get("arch"), ", ".join(list(weights)[:3])
        )
    else:
        content = None
    if content:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of wav2vec or vq-wav2vec: these have "
            "'model_cfg' (or fairseq's 'cfg' or 'args') with 'conv_feature_layers' "
            f"and 'conv_aggregator_layers', and weights. It holds: {content}"
        )
    if (model.get("aggregator") or "cnn") != "cnn":
        raise CheckpointError(
            f"'{path}' has the aggregator '{model['aggregator']}', and only that of "
            "convolutions is supported."
        )
    defaults = {**dataclasses.asdict(Wav2VecConfig()), **QUANTIZER_DEFAULTS}
    config = {key: model.get(key, value) for key, value in defaults.items()}
    config.update({key: conv_layers(model[key]) for key in lists})
    config["vq_type"] = config["vq_type"] or "none"
    rate = sample_rates.stated_in(as_dict(task), model)
    config["sample_rate"] = rate or sample_rates.USUAL
    return config, {
        our_name(name, NAMES): tensor
        for name, tensor in bare(weights).items()
        if not name.startswith(TRAINING)
    }


class Wav2Vec(PretrainedUpstream):
    """wav2vec.

    Its hidden states are the output of the front-end and those of the
    aggregator's layers.

    Arguments
    ---------
    source : str, optional
        Checkpoint in S3PRL's or fairseq's format, or its address. It brings
        its own architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`Wav2VecConfig` that differ from the large model; only
        without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    All norms see the whole utterance. In S3PRL they also see the padding of a batch,
    which changes every frame; here they do not.

    Example
    -------
    >>> upstream = Wav2Vec(config={"conv_aggregator_layers": [[32, 2, 1], [32, 3, 1]]})
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> [list(state.shape) for state in hidden_states]
    [[2, 98, 512], [2, 98, 32], [2, 98, 32]]
    """

    Config, Network = Wav2VecConfig, Wav2VecNetwork

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        self.sample_rate = sample_rates.agreed(None, self.config.sample_rate, source)
        self.num_layers = len(self.output_sizes)
        self.output_size = self.output_sizes[-1]

    def read(self, path):
        """Reads a checkpoint without quantization, see :func:`read_wav2vec`."""
        config, weights = read_wav2vec(path)
        if config["vq_type"] != "none":
            raise CheckpointError(
                f"'{path}' is of vq-wav2vec ({config['vq_type']}), not of wav2vec: "
                "take the card vq_wav2vec."
            )
        return {k: v for k, v in config.items() if k not in QUANTIZER_DEFAULTS}, weights

    @property
    def output_sizes(self):
        """Size of each hidden state."""
        sizes = [size for size, _, _ in self.config.conv_aggregator_layers]
        return [self.config.conv_feature_layers[-1][0], *sizes]

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
        return self.network(wavs)
