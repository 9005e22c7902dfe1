"""BYOL-A: a convolutional network over windows of a log mel spectrogram.

Paper: Niizumi et al., "BYOL for Audio: Self-Supervised Learning for
General-Purpose Audio Representation", IJCNN 2021,
https://arxiv.org/abs/2103.06695. Reproduces S3PRL's ``upstream/byol_a``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import re

from torch import nn

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.networks.byol_networks import (
    AudioNtt,
    check_sizes,
    in_parts,
    log_mel,
)
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Mean and standard deviation of log mel energies in S3PRL.
MEAN, STD = -5.4919195, 5.0389895


@dataclasses.dataclass
class ByolAConfig:
    """Configuration of BYOL-A, see
    :class:`~s3prl_sb.lobes.networks.byol_networks.AudioNtt`."""

    channels: int = 64
    hidden_size: int = 2048


def read_byol_a(path):
    """Reads a checkpoint of BYOL-A.

    Arguments
    ---------
    path : str
        Weights of the network, alone or under ``state_dict``; or the whole
        model of pre-training, whose heads and target network are dropped.

    Returns
    -------
    config : dict
        Entries of :class:`ByolAConfig`.
    weights : dict
        Weights of :class:`~s3prl_sb.lobes.networks.byol_networks.AudioNtt`.

    Raises
    ------
    CheckpointError
        If the file belongs to another family.
    """
    states = as_dict(read(path))
    states = states.get("state_dict", states)
    weights = {}
    for name, tensor in states.items():
        if re.search(r"\b(target_encoder|projector|online_predictor)\.", str(name)):
            continue
        name = re.sub(r"^.*\b(features|fc)\.", r"\1.", str(name))
        if name in weights:
            raise CheckpointError(f"'{path}' holds several networks: two '{name}'")
        weights[name] = tensor
    needed = ("features.0.weight", "features.8.weight", "fc.0.weight", "fc.3.weight")
    if not weights.keys() >= set(needed):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of BYOL-A: these have {', '.join(needed)}. "
            "Its keys: " + ", ".join(sorted(map(str, states))[:12])
        )
    return sizes(weights), weights


def sizes(weights):
    """Returns the entries of :class:`ByolAConfig` that follow from the weights."""
    return {
        "channels": len(weights["features.0.weight"]),
        "hidden_size": len(weights["fc.0.weight"]),
    }


class ByolA(PretrainedUpstream):
    """BYOL-A.

    Its only hidden state has one frame for each window.

    Arguments
    ---------
    source : str, optional
        Checkpoint, or its address; it brings its own sizes. None: a random
        network of ``config``.
    config : dict, optional
        Entries of :class:`ByolAConfig`; only without ``source``.
    window_secs, stride_secs : float
        Length of the windows, and time from one to the next, in seconds. The
        first begins at 0; after the end of an utterance they hold zeros.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    In fine-tuning, batch norm keeps the statistics of pre-training, so that the
    features of an utterance do not depend on the batch. S3PRL gives all utterances
    of a batch as many windows as the longest; here the numbers differ.

    Example
    -------
    >>> import torch
    >>> upstream = ByolA(config={"channels": 8, "hidden_size": 32})
    >>> hidden_states, lens = upstream(torch.randn(2, 40000))
    >>> hidden_states[0].shape
    torch.Size([2, 3, 32])
    """

    Config = ByolAConfig
    num_layers = 1
    unknown_entry = "Unknown in config"
    read = staticmethod(read_byol_a)

    def __init__(
        self, source=None, config=None, window_secs=1.0, stride_secs=1.0, **options
    ):
        self.window = int(window_secs * self.sample_rate)
        self.stride = int(stride_secs * self.sample_rate)
        check_sizes(self.window, self.stride)
        super().__init__(source, config, **options)
        self.output_size = self.config.hidden_size

    def make_network(self):
        """Returns the convolutional network."""
        return AudioNtt(self.config.channels, self.config.hidden_size)

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return 1 + (max(samples, 1) - 1) // self.stride

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
        end = (self.frames(wavs.shape[1]) - 1) * self.stride + self.window
        wavs = nn.functional.pad(wavs, (0, end - wavs.shape[1]))
        windows = wavs.unfold(1, self.window, self.stride)
        x = (log_mel(windows) - MEAN) / STD
        x = x.to(self.network.fc[0].weight.dtype)
        return [in_parts(self.network, x)]
