"""BYOL-S: BYOL-A for speech, one vector every 50 ms.

Papers: Scheidwasser-Clow et al., "SERAB: A multi-lingual benchmark for speech
emotion recognition", ICASSP 2022, https://arxiv.org/abs/2110.03414; of the
CvT, Elbanna et al., "Hybrid Handcrafted and Learnable Audio Representation for
Analysis of Speech Under Cognitive and Physical Load", Interspeech 2022,
https://arxiv.org/abs/2203.16637. Reproduces S3PRL's ``upstream/byol_s``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import re

import torch
from torch import nn

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.networks.byol_networks import (
    AudioNtt,
    check_sizes,
    in_parts,
    log_mel,
)
from s3prl_sb.lobes.networks.byol_s_networks import (
    HEAD_SIZE,
    ChannelNorm,
    Cvt,
    ResNetish,
)
from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.lobes.upstreams import byol_a
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

WIN_LENGTH = 400  # of the spectrum, in samples


@dataclasses.dataclass
class CvtConfig:
    """Sizes of the published CvT: one entry for each stage."""

    channels: list = dataclasses.field(default_factory=lambda: [64, 256, 512])
    depths: list = dataclasses.field(default_factory=lambda: [1, 1, 1])
    heads: list = dataclasses.field(default_factory=lambda: [1, 3, 6])
    expansion: int = 4


@dataclasses.dataclass
class ResNetishConfig:
    """Sizes of the published ResNet-ish 34: one entry for each stage."""

    channels: list = dataclasses.field(default_factory=lambda: [64, 128, 256, 512])
    depths: list = dataclasses.field(default_factory=lambda: [3, 4, 6, 3])


#: S3PRL's names of the networks, and the configuration and class of each.
NETWORKS = {
    "default": (byol_a.ByolAConfig, AudioNtt),
    "cvt": (CvtConfig, Cvt),
    "resnetish34": (ResNetishConfig, ResNetish),
}
#: A weight that only one of the networks has.
MARKS = {
    "default": "fc.0.weight",
    "cvt": "layers.0.2.layers.0.0.fn.to_q.net.0.weight",
    "resnetish34": "layer1.0.conv1.weight",
}
#: The published names of the weights, and ours.
NAMES = {
    r"^layer(\d)\.": lambda match: f"stages.{int(match[1]) - 1}.",
    # A stage of CvT is a convolution, a norm, and a list of layers.
    r"^layers\.(\d)\.2\.layers\.(\d+)\.": (
        lambda match: f"stages.{match[1]}.{int(match[2]) + 2}."
    ),
    r"^layers\.": "stages.",
    r"\.0\.norm\.": ".attention_norm.",
    r"\.1\.norm\.": ".ffn_norm.",
    r"\.0\.fn\.to_q\.net\.": ".query.",
    r"\.0\.fn\.to_kv\.net\.": ".key_value.",
    r"\.0\.fn\.to_out\.0\.": ".output.",
    r"\.1\.fn\.net\.0\.": ".expand.",
    r"\.1\.fn\.net\.3\.": ".contract.",
    r"\.g$": ".weight",
    r"\.b$": ".bias",
}


class Network(nn.Module):
    """Container of one of the networks, ``encoder``.

    Arguments
    ---------
    config : dict
        ``network``, a key of :data:`NETWORKS`, and the arguments of its class.
    """

    def __init__(self, config):
        super().__init__()
        sizes = {key: value for key, value in config.items() if key != "network"}
        self.encoder = NETWORKS[config["network"]][1](**sizes)

    def reset_parameters(self, seed=0):
        """Sets random weights; all norms are the identity."""
        initialize(self, seed)
        for module in self.modules():
            if isinstance(module, ChannelNorm):
                module.reset_parameters()


def read_byol_s(path):
    """Reads a checkpoint of any network of BYOL-S.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        ``network``, and its sizes.
    weights : dict
        Weights of :class:`Network`.

    Raises
    ------
    CheckpointError
        If the file belongs to another family.
    """
    states = as_dict(read(path))
    networks = [network for network, mark in MARKS.items() if mark in states]
    if len(networks) != 1:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of BYOL-S: these have one of "
            + ", ".join(MARKS.values())
            + ". Its keys: "
            + ", ".join(sorted(map(str, states))[:12])
        )
    weights = {}
    for name, tensor in states.items():
        # The published norms of images are [1, channels, 1, 1].
        tensor = tensor.flatten() if name.endswith((".g", ".b")) else tensor
        weights[f"encoder.{our_name(name, NAMES)}"] = tensor
    try:
        return {"network": networks[0], **_sizes(networks[0], states)}, weights
    except KeyError as error:
        raise CheckpointError(f"'{path}' lacks {error}, of BYOL-S") from error


def _sizes(network, states):
    """Returns the sizes of a network from the shapes of its published weights."""
    if network == "default":
        return byol_a.sizes(states)
    start = r"layers\.(\d)\.2\.layers" if network == "cvt" else r"layer(\d)"
    indices = [re.match(rf"{start}\.(\d+)\.", name) for name in states]
    layers = sorted({(int(m[1]), int(m[2])) for m in indices if m})
    stages = sorted({stage for stage, _ in layers})
    depths = [sum(layer[0] == stage for layer in layers) for stage in stages]
    if network == "resnetish34":
        channels = [len(states[f"layer{stage}.0.bn1.weight"]) for stage in stages]
        return {"channels": channels, "depths": depths}
    first = [f"layers.{stage}.2.layers.0." for stage in stages]
    queries = [len(states[f"{name}0.fn.to_q.net.2.weight"]) for name in first]
    expanded, channels = states[f"{first[0]}1.fn.net.0.weight"].shape[:2]
    return {
        "channels": [len(states[f"layers.{stage}.0.weight"]) for stage in stages],
        "depths": depths,
        "heads": [size // HEAD_SIZE for size in queries],
        "expansion": expanded // channels,
    }


class ByolS(PretrainedUpstream):
    """BYOL-S.

    Its only hidden state has one frame for each window.

    Arguments
    ---------
    source : str, optional
        Checkpoint, or its address; it brings its own network. None: a random
        network of ``config``.
    config : dict, optional
        ``network``: "default" (that of BYOL-A), "cvt" or "resnetish34"; and
        sizes that differ from the published ones. Only without ``source``.
    window_secs, hop_secs : float
        Length of the window of a frame, in seconds, half of it before the frame;
        and time from one frame to the next. Zeros surround the utterance.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`. In
        fp16 audio of minutes overflows; in bf16 it does not.

    Note
    ----
    The spectrogram is normalized as in the original, by the mean and the
    deviation over all windows, *both divided by the number of windows*: the
    hidden states grow with the length of an utterance. S3PRL computes the mean,
    the deviation and the number over the whole batch; here, over each utterance,
    as S3PRL does for a batch of one. Where the deviation is zero, as in digital
    silence, S3PRL returns NaN; here a deviation of one replaces it.

    In fine-tuning, batch norm keeps the statistics of pre-training.

    Example
    -------
    >>> tiny = {"network": "cvt", "channels": [4, 8, 8]}
    >>> hidden_states, lens = ByolS(config=tiny)(torch.randn(2, 8000))
    >>> hidden_states[0].shape
    torch.Size([2, 11, 32])
    """

    num_layers = 1
    unknown_entry = "Unknown in config"
    read = staticmethod(read_byol_s)

    def __init__(
        self, source=None, config=None, window_secs=1.0, hop_secs=0.05, **options
    ):
        self.window = int(window_secs * self.sample_rate)
        self.stride = int(hop_secs * self.sample_rate)
        check_sizes(self.window, self.stride)
        super().__init__(source, config, **options)
        self.output_size = self.network.encoder.output_size

    def make_config(self, entries):
        """Returns ``network`` and the sizes of this network, as a dict."""
        network = entries.get("network", "default")
        if network not in NETWORKS:
            raise ValueError(
                f"Unknown network '{network}'. Known: {', '.join(NETWORKS)}"
            )
        config = {"network": network, **vars(NETWORKS[network][0]())}
        self.check_entries(entries, config)
        return {**config, **entries}

    def make_network(self):
        """Returns the chosen network."""
        return Network(self.config)

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return 1 + max(samples, 1) // self.stride

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
        before = self.window // 2
        wavs = nn.functional.pad(wavs, (before, self.window - before))
        x = log_mel(wavs.unfold(1, self.window, self.stride), WIN_LENGTH)
        # The deviation of a constant is not exactly zero in fp32.
        std, mean = torch.std_mean(x, (1, 2, 3), keepdim=True)
        std = std.where(std > 1e-3, 1)
        windows = x.shape[1]
        x = (x - mean / windows) / (std / windows)
        dtype = next(self.network.parameters()).dtype
        return [in_parts(self.network.encoder, x.to(dtype))]
