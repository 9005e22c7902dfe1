"""wav2vec, the first of its name: convolutions over convolutions.

Paper: Schneider et al., "wav2vec: Unsupervised Pre-training for Speech
Recognition", Interspeech 2019, https://arxiv.org/abs/1904.05862. Reproduces
S3PRL's ``upstream/wav2vec``.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints import sample_rates
from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.renaming import bare
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import conv_layers
from s3prl_sb.lobes.upstreams.base import Upstream

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
#: fairseq's defaults, for entries that a checkpoint lacks.
DEFAULTS = {
    "sample_rate": sample_rates.USUAL,
    "activation": "relu",
    "log_compression": True,
    "skip_connections_feat": False,
    "skip_connections_agg": True,
    "residual_scale": 0.5,
    "agg_zero_pad": False,
    "no_conv_bias": False,
    "non_affine_group_norm": False,
    "dropout": 0.0,
    "dropout_features": 0.0,
}
#: The same for vector quantization.
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


def group_normed(x, norm):
    """A group norm over [batch, channels, frames], computed in fp32."""
    weight, bias = (None if p is None else p.float() for p in (norm.weight, norm.bias))
    y = F.group_norm(x.float(), norm.num_groups, weight, bias, norm.eps)
    return y.to(x.dtype)


class FrontEnd(nn.Module):
    """Strided convolutions over the waveform.

    Each is followed by a norm over all its channels and frames.

    Arguments
    ---------
    config : dict
        As of :class:`Wav2Vec`.

    Example
    -------
    >>> front_end = FrontEnd({**Wav2Vec.base, "conv_feature_layers": [[16, 10, 5]]})
    >>> front_end(torch.randn(2, 160)).shape, front_end.frames(160)
    (torch.Size([2, 16, 31]), 31)
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.sizes = [(kernel, step) for _, kernel, step in _layers(config)]
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        channels, affine = 1, not config["non_affine_group_norm"]
        for size, kernel, stride in _layers(config):
            self.convolutions.append(
                nn.Conv1d(channels, size, kernel, stride, bias=False)
            )
            self.norms.append(nn.GroupNorm(1, size, affine=affine))
            channels = size

    def frames(self, samples):
        """Frames of a waveform that is not shorter than one frame."""
        for kernel, stride in self.sizes:
            samples = (samples - kernel) // stride + 1
        return samples

    @property
    def min_samples(self):
        """Samples that one frame sees, the shortest input."""
        samples = 1
        for kernel, stride in reversed(self.sizes):
            samples = (samples - 1) * stride + kernel
        return samples

    @property
    def stride(self):
        """Samples from one frame to the next."""
        return math.prod(stride for _, stride in self.sizes)

    def forward(self, wavs):
        """[batch, samples] -> [batch, channels, frames]."""
        x = wavs[:, None].to(self.convolutions[0].weight.dtype)
        activation = ACTIVATIONS[self.config["activation"]]
        for convolution, norm in zip(self.convolutions, self.norms):
            before, x = x, activation(group_normed(convolution(x), norm))
            if self.config["skip_connections_feat"] and before.shape[1] == x.shape[1]:
                frames = x.shape[2]  # one of each stride of those before
                before = before[..., :: before.shape[2] // frames][..., :frames]
                x = (x + before) * self.config["residual_scale"] ** 0.5
        return torch.log1p(x.abs()) if self.config["log_compression"] else x


class Aggregator(nn.Module):
    """Convolutions over the frames that came before, with shortcuts.

    Arguments
    ---------
    config : dict
        As of :class:`Wav2Vec`.

    Example
    -------
    >>> aggregator = Aggregator({**Wav2Vec.base, "conv_aggregator_layers": [[8, 3, 1]]})
    >>> [list(state.shape) for state in aggregator(torch.randn(2, 512, 31))]
    [[2, 8, 31]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.convolutions, self.norms = nn.ModuleList(), nn.ModuleList()
        self.shortcuts = nn.ModuleDict()  # of layers that change the size
        bias, affine = not config["no_conv_bias"], not config["non_affine_group_norm"]
        channels = _layers(config)[-1][0]
        for i, (size, kernel, _) in enumerate(config["conv_aggregator_layers"]):
            self.convolutions.append(nn.Conv1d(channels, size, kernel, bias=bias))
            self.norms.append(nn.GroupNorm(1, size, affine=affine))
            if size != channels and config["skip_connections_agg"]:
                self.shortcuts[str(i)] = nn.Conv1d(channels, size, 1, bias=False)
            channels = size

    def forward(self, x):
        """[batch, channels, frames] -> yields the output of each layer."""
        config = self.config
        padding = "constant" if config["agg_zero_pad"] else "replicate"
        activation = ACTIVATIONS[config["activation"]]
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms)):
            y = F.pad(x, (convolution.kernel_size[0] - 1, 0), padding)
            y = F.dropout(convolution(y), config["dropout"], self.training)
            y = activation(group_normed(y, norm))
            if config["skip_connections_agg"]:
                if str(i) in self.shortcuts:
                    x = self.shortcuts[str(i)](x)
                y = (y + x) * config["residual_scale"] ** 0.5
            x = y
            yield x


class Wav2VecNetwork(nn.Module):
    """The whole network, from the waveform.

    Arguments
    ---------
    config : dict
        As of :class:`Wav2Vec`.

    Example
    -------
    >>> config = {**Wav2Vec.base, "conv_aggregator_layers": [[8, 3, 1]]}
    >>> network = Wav2VecNetwork(config)
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
        x = F.dropout(x, self.config["dropout_features"], self.training)
        for x in self.aggregator(x):
            yield x.transpose(1, 2)


class Wav2Vec(Upstream):
    """wav2vec.

    Its hidden states are the output of the front-end and those of the
    aggregator's layers.

    Arguments
    ---------
    source : str, optional
        Checkpoint in S3PRL's or fairseq's format, or its address. It brings
        its own architecture. None: a random network of ``config``.
    config : dict, optional
        What differs from the large model, under fairseq's names, with lists
        of [channels, kernel size, stride] for the convolutions; only without
        ``source``.
    freeze, precision
        As for every upstream.
    seed : int
        Of the random network's weights.

    Note
    ----
    All its norms see the whole utterance. In S3PRL they see the padding of a
    batch as well, which changes every frame; here they do not.

    Example
    -------
    >>> upstream = Wav2Vec(config={"conv_aggregator_layers": [[32, 2, 1], [32, 3, 1]]})
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> [list(state.shape) for state in hidden_states]
    [[2, 98, 512], [2, 98, 32], [2, 98, 32]]
    """

    network_class = Wav2VecNetwork
    #: What ``config`` changes.
    base = {
        "conv_feature_layers": FRONT_END,
        "conv_aggregator_layers": AGGREGATOR,
        **DEFAULTS,
    }

    def __init__(self, source=None, config=None, freeze=True, precision="fp32", seed=0):
        super().__init__(freeze, precision)
        weights = None
        if source is None:
            config = complete(self.base, config or {})
        else:
            config, weights = read_source(source, self.read)
        self.config = config
        self.sample_rate = sample_rates.agreed(None, config.get("sample_rate"), source)
        self.network = build(lambda: self.network_class(config), weights, source, seed)
        sizes = [size for size, _, _ in config["conv_aggregator_layers"]]
        self.stride = self.front_end.stride
        self.num_layers = 1 + len(sizes)
        self.output_size = sizes[-1]

    @property
    def front_end(self):
        """The strided convolutions."""
        return self.network.front_end

    @property
    def output_sizes(self):
        """The size of each hidden state."""
        sizes = [size for size, _, _ in self.config["conv_aggregator_layers"]]
        return [_layers(self.config)[-1][0], *sizes]

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        return self.front_end.min_samples

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return self.front_end.frames(max(samples, self.min_samples))

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, size]."""
        return self.network(wavs)

    @staticmethod
    def read(path):
        """Configuration and weights of a checkpoint without quantization."""
        config, weights = read_wav2vec(path)
        if config["vq_type"] != "none":
            raise CheckpointError(
                f"'{path}' is of vq-wav2vec ({config['vq_type']}), not of wav2vec: "
                "take the card vq_wav2vec."
            )
        return {key: config[key] for key in Wav2Vec.base}, weights


def _layers(config):
    return config["conv_feature_layers"]


def complete(base, changes):
    """A configuration: ``changes`` over ``base``, which has all known entries.

    Raises
    ------
    ValueError
        For an unknown entry, and for a network that cannot be built.

    Example
    -------
    >>> complete(Wav2Vec.base, {"activation": "gelu"})["activation"]
    'gelu'
    """
    unknown = [str(key) for key in changes if key not in base]
    if unknown:
        raise ValueError(
            f"Unknown entry of config: {', '.join(unknown)}. Known: {', '.join(base)}"
        )
    config = {**base, **changes}
    if config["activation"] not in ACTIVATIONS:
        raise ValueError(f"activation must be one of: {', '.join(ACTIVATIONS)}")
    if any(stride != 1 for _, _, stride in config["conv_aggregator_layers"]):
        raise ValueError("the strides in conv_aggregator_layers must be 1")
    return config


def read_wav2vec(path):
    """Reads a checkpoint of wav2vec or vq-wav2vec, S3PRL's or fairseq's.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        As of :class:`Wav2Vec`, with the entries of vector quantization.
    weights : dict
        Under our names; those of the quantizer, if there is one, under
        ``quantizer.`` and fairseq's.

    Raises
    ------
    CheckpointError
        If the file is of another family, or of a variant that is not
        supported.
    """
    states = checkpoints.read(path)
    states = states if isinstance(states, dict) else {}
    if "model_cfg" in states:
        keys = ("model_cfg", "task_cfg", "model_weight")
        model, task, weights = map(states.get, keys)
    else:
        cfg = checkpoints.plain(states.get("cfg"))
        cfg = cfg if isinstance(cfg, dict) else {"model": states.get("args")}
        model, task, weights = cfg.get("model"), cfg.get("task"), states.get("model")
    model, task = checkpoints.plain(model), checkpoints.plain(task)
    lists = ("conv_feature_layers", "conv_aggregator_layers")
    if not isinstance(weights, dict) or not isinstance(model, dict):
        found = ", ".join(sorted(map(str, states))[:12]) or "no names"
    elif not all(isinstance(model.get(key), str) for key in lists):
        found = "model '{}' with weights {}".format(
            model.get("_name") or model.get("arch"), ", ".join(list(weights)[:3])
        )
    else:
        found = None
    if found:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of wav2vec or vq-wav2vec: these have "
            "'model_cfg' (or fairseq's 'cfg' or 'args') with 'conv_feature_layers' "
            f"and 'conv_aggregator_layers', and weights. It holds: {found}"
        )
    if (model.get("aggregator") or "cnn") != "cnn":
        raise CheckpointError(
            f"'{path}' has the aggregator '{model['aggregator']}', and only that of "
            "convolutions is supported."
        )
    defaults = {**DEFAULTS, **QUANTIZER_DEFAULTS}
    config = {key: conv_layers(model[key]) for key in lists}
    config.update({key: model.get(key, value) for key, value in defaults.items()})
    config["vq_type"] = config["vq_type"] or "none"
    task = task if isinstance(task, dict) else {}
    config["sample_rate"] = sample_rates.stated_in(task, model) or sample_rates.USUAL
    try:
        config = complete(config, {})
    except ValueError as error:
        raise CheckpointError(f"'{path}': {error}") from error
    converted = {}
    for name, tensor in bare(weights).items():
        if name.startswith(TRAINING):
            continue
        for pattern, ours in NAMES.items():
            name = re.sub(pattern, ours, name)
        converted[name] = tensor
    return config, converted
