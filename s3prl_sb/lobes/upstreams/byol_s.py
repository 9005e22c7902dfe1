"""BYOL-S: BYOL-A for speech, one vector every 50 ms.

Papers: Scheidwasser-Clow et al., "SERAB: A multi-lingual benchmark for speech
emotion recognition", ICASSP 2022, https://arxiv.org/abs/2110.03414; of the
CvT, Elbanna et al., "Hybrid Handcrafted and Learnable Audio Representation for
Analysis of Speech Under Cognitive and Physical Load", Interspeech 2022,
https://arxiv.org/abs/2203.16637. Reproduces S3PRL's ``upstream/byol_s``.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch
from torch import nn

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.building import build, initialize, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.byol_networks import (
    HEAD_SIZE,
    ChannelNorm,
    Cvt,
    ResNetish,
)
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.upstreams.byol_a import AudioNtt, check_sizes, in_parts, log_mel

WIN_LENGTH = 400  # of the spectrum, in samples
#: By the names of S3PRL: the network, and its published sizes.
NETWORKS = {
    "default": (AudioNtt, {"channels": 64, "hidden_size": 2048}),
    "cvt": (
        Cvt,
        {
            "channels": [64, 256, 512],
            "depths": [1, 1, 1],
            "heads": [1, 3, 6],
            "expansion": 4,
        },
    ),
    "resnetish34": (
        ResNetish,
        {"channels": [64, 128, 256, 512], "depths": [3, 4, 6, 3]},
    ),
}
#: A weight that only one of them has.
MARKS = {
    "default": "fc.0.weight",
    "cvt": "layers.0.2.layers.0.0.fn.to_q.net.0.weight",
    "resnetish34": "layer1.0.conv1.weight",
}
#: The published names of the weights, and ours.
NAMES = {
    r"^layer(\d)\.": lambda match: f"stages.{int(match[1]) - 1}.",
    # CvT: a stage is convolution, norm, transformer; its layers follow on.
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
    """The network of a configuration, as ``.encoder``."""

    def __init__(self, config):
        super().__init__()
        sizes = {key: value for key, value in config.items() if key != "network"}
        self.encoder = NETWORKS[config["network"]][0](**sizes)

    def reset_parameters(self, seed=0):
        """Random weights; all norms are the identity."""
        initialize(self, seed)
        for module in self.modules():
            if isinstance(module, ChannelNorm):
                module.reset_parameters()


def read_byol_s(path):
    """Reads a checkpoint of BYOL-S, of any of its networks.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        ``network``, and its sizes.
    weights : dict
        Of :class:`Network`.

    Raises
    ------
    CheckpointError
        If the file is of another kind.
    """
    states = checkpoints.read(path)
    states = states if isinstance(states, dict) else {}
    found = [network for network, mark in MARKS.items() if mark in states]
    if len(found) != 1:
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
        for pattern, ours in NAMES.items():
            name = re.sub(pattern, ours, name)
        weights[f"encoder.{name}"] = tensor
    try:
        return {"network": found[0], **_sizes(found[0], states)}, weights
    except KeyError as error:
        raise CheckpointError(f"'{path}' lacks {error}, of BYOL-S") from error


def _sizes(network, states):
    """The sizes of a network, by the shapes of its published weights."""
    if network == "default":
        return {
            "channels": len(states["features.0.weight"]),
            "hidden_size": len(states["fc.0.weight"]),
        }
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


class ByolS(Upstream):
    """BYOL-S.

    Its only hidden state has one frame for each window.

    Arguments
    ---------
    source : str, optional
        Checkpoint, or its address; it brings its own network. None: a random
        network of ``config``.
    config : dict, optional
        ``network``: "default" (that of BYOL-A), "cvt" or "resnetish34"; and
        what differs from its published sizes. Only without ``source``.
    window_secs, hop_secs : float
        Seconds that a frame sees, half of them before its time; and from one
        to the next. Beyond the ends of an utterance there are zeros.
    freeze, precision
        As for every upstream. In fp16 audio of minutes overflows; bf16 does
        not.
    seed : int
        Of the random network's weights.

    Note
    ----
    The spectrogram is normalized as in the original, by the mean and the
    deviation over all windows, *both divided by the number of windows*: the
    hidden states grow with the length of an utterance. S3PRL takes the mean,
    the deviation and the number over the whole batch; here, over the utterance
    alone, which is what S3PRL gives for a batch of one. Where the deviation is
    zero, as in digital silence, S3PRL gives NaN; here it passes for one.

    When fine-tuned, batch norm keeps the statistics of pre-training.

    Example
    -------
    >>> tiny = {"network": "cvt", "channels": [4, 8, 8]}
    >>> hidden_states, lens = ByolS(config=tiny)(torch.randn(2, 8000))
    >>> hidden_states[0].shape
    torch.Size([2, 11, 32])
    """

    num_layers = 1

    def __init__(
        self,
        source=None,
        config=None,
        window_secs=1.0,
        hop_secs=0.05,
        freeze=True,
        precision="fp32",
        seed=0,
    ):
        super().__init__(freeze, precision)
        config, weights = config or {}, None
        if source is not None:
            config, weights = read_source(source, read_byol_s)
        network = config.get("network", "default")
        if network not in NETWORKS:
            raise ValueError(
                f"Unknown network '{network}'. Known: {', '.join(NETWORKS)}"
            )
        self.config = {"network": network, **NETWORKS[network][1]}
        unknown = [key for key in config if key not in self.config]
        if unknown:
            raise ValueError(
                f"Unknown in config: {', '.join(unknown)}. Known: "
                + ", ".join(self.config)
            )
        self.config.update(config)
        self.window = int(window_secs * self.sample_rate)
        self.stride = int(hop_secs * self.sample_rate)
        check_sizes(self.window, self.stride)
        self.network = build(lambda: Network(self.config), weights, source, seed)
        self.output_size = self.network.encoder.output_size

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return 1 + max(samples, 1) // self.stride

    def encode(self, wavs):
        """[batch, samples] -> one hidden state [batch, frames, output_size]."""
        before = self.window // 2
        wavs = nn.functional.pad(wavs, (before, self.window - before))
        x = log_mel(wavs.unfold(1, self.window, self.stride), WIN_LENGTH)
        # fp32: the deviation of a constant is not exactly zero.
        std, mean = torch.std_mean(x, (1, 2, 3), keepdim=True)
        std = std.where(std > 1e-3, 1)
        windows = x.shape[1]
        x = (x - mean / windows) / (std / windows)
        dtype = next(self.network.parameters()).dtype
        return [in_parts(self.network.encoder, x.to(dtype))]
