"""CPC: convolutions and a recurrent network that predicts what comes next.

Papers: van den Oord et al., "Representation Learning with Contrastive
Predictive Coding", https://arxiv.org/abs/1807.03748; Rivière et al.,
"Unsupervised Pretraining Transfers Well Across Languages", ICASSP 2020,
https://arxiv.org/abs/2002.02848, whose modified CPC this is. Reproduces S3PRL's
``upstream/cpc``.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm1d
from s3prl_sb.lobes.networks.time_major import TimeMajor
from s3prl_sb.lobes.upstreams.base import Upstream

#: Kernel size, stride and padding of each convolution.
CONVOLUTIONS = [(10, 5, 3), (8, 4, 2), (4, 2, 1), (4, 2, 1), (4, 2, 1)]
RECURRENT = {"GRU": nn.GRU, "LSTM": nn.LSTM, "RNN": nn.RNN, "no_ar": None}
#: CPC's names of the weights, and ours.
NAMES = {
    r"^gEncoder\.conv(\d+)\.": r"convolutions.\1.",
    r"^gEncoder\.batchNorm(\d+)\.": r"norms.\1.",
    r"^gAR\.baseNet\.": "recurrent.",
}


class Standardization(nn.Module):
    """Zero mean and unit variance, then a scale and a shift for each channel.

    Arguments
    ---------
    size : int
        Number of channels.
    dim : int
        What mean and variance are taken over: 1, the channels of a frame, or
        2, the frames of a channel.

    Example
    -------
    >>> Standardization(8, dim=1)(torch.randn(2, 8, 50)).mean(1).abs().max() < 1e-5
    tensor(True)
    """

    def __init__(self, size, dim):
        super().__init__()
        self.dim = dim
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x):
        """[batch, channels, frames] -> the same."""
        dtype, x = x.dtype, x.float()
        correction = 1 if self.dim == 1 else 0  # CPC's own norm is unbiased
        variance, mean = torch.var_mean(
            x, self.dim, correction=correction, keepdim=True
        )
        x = (x - mean) * torch.rsqrt(variance + 1e-5)
        return (x * self.weight[:, None] + self.bias[:, None]).to(dtype)


NORMS = {
    "layerNorm": lambda size: Standardization(size, dim=1),
    "instanceNorm": lambda size: Standardization(size, dim=2),
    "batchNorm": FixedBatchNorm1d,
    "ID": lambda size: nn.Identity(),
}


class CpcNetwork(nn.Module):
    """The whole network, from the waveform.

    Arguments
    ---------
    hiddenEncoder : int
        Channels of the convolutions.
    hiddenGar, nLevelsGRU : int
        Size and number of the recurrent layers.
    arMode : str
        "LSTM", "GRU", "RNN", or "no_ar" for none.
    normMode : str
        After each convolution: "layerNorm" over the channels of a frame,
        "instanceNorm" over the frames of a channel, "batchNorm", or "ID" for
        none.
    cpc_mode : str, optional
        "reverse": recurrent layers run from the end to the beginning.

    Example
    -------
    >>> network = CpcNetwork(hiddenEncoder=16, hiddenGar=8)
    >>> [list(state.shape) for state in network([torch.randn(1600)] * 2)]
    [[20, 16], [20, 8]]
    """

    def __init__(
        self,
        hiddenEncoder=256,
        hiddenGar=256,
        nLevelsGRU=1,
        arMode="LSTM",
        normMode="layerNorm",
        cpc_mode=None,
    ):
        super().__init__()
        size = hiddenEncoder
        self.backward_in_time = cpc_mode == "reverse"
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size if i else 1, size, kernel, stride, padding)
            for i, (kernel, stride, padding) in enumerate(CONVOLUTIONS)
        )
        self.norms = nn.ModuleList(NORMS[normMode](size) for _ in CONVOLUTIONS)
        recurrent = RECURRENT[arMode]
        self.recurrent = recurrent and recurrent(size, hiddenGar, nLevelsGRU)

    def reset_parameters(self, seed=0):
        """Initial values for training from scratch; no global generator moves."""
        random = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if name.startswith("norms."):
                nn.init.constant_(parameter, float(name.endswith("weight")))
            elif parameter.dim() < 2:
                nn.init.zeros_(parameter)
            else:
                std = parameter[0].numel() ** -0.5
                nn.init.normal_(parameter, std=std, generator=random)
        for norm in self.norms:
            if isinstance(norm, nn.BatchNorm1d):
                norm.reset_running_stats()

    def forward(self, wavs):
        """Hidden states, one at a time.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i], none shorter than a frame.

        Yields
        ------
        torch.Tensor
            [total_frames, size]: the output of the convolutions, and that of
            the recurrent layers.
        """
        pieces = [self._convolved(wav) for wav in wavs]
        x = torch.cat(pieces)
        yield x
        if self.recurrent is not None:
            frames = [len(piece) for piece in pieces]
            order = TimeMajor(frames, x.device, self.backward_in_time)
            x = order.run(self.recurrent, x[order.rows])[order.back]
        yield x

    def _convolved(self, wav):
        """[samples] -> [frames, channels]."""
        x = wav[None, None].to(self.convolutions[0].weight.dtype)
        for convolution, norm in zip(self.convolutions, self.norms):
            x = F.relu(norm(convolution(x)))
        return x[0].T


class Cpc(Upstream):
    """CPC.

    Its hidden states are the output of the convolutions and that of the
    recurrent layers, which may differ in size.

    Arguments
    ---------
    source : str, optional
        Checkpoint of CPC, or its address. It brings its own architecture.
        None: a random network of ``config``.
    config : dict, optional
        Arguments of :class:`CpcNetwork`, which have CPC's names, that differ
        from the published model; only without ``source``.
    freeze, precision
        As for every upstream.
    seed : int
        Of the random network's weights.

    Note
    ----
    In S3PRL a model whose ``samplingType`` is "sequential" begins every call
    in the state that the last one ended in. Here every utterance begins anew.
    Batch norm keeps the statistics of pre-training, also while it is trained:
    those of an utterance would depend on its neighbours.

    Example
    -------
    >>> upstream = Cpc(config={"hiddenEncoder": 16, "hiddenGar": 8})
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> [list(state.shape) for state in hidden_states]
    [[2, 100, 16], [2, 100, 8]]
    """

    packed = True
    stride, num_layers = 160, 2
    min_samples = 159  #: the shortest audio that gives a frame
    #: What ``config`` changes.
    base = {
        "hiddenEncoder": 256,
        "hiddenGar": 256,
        "nLevelsGRU": 1,
        "arMode": "LSTM",
        "normMode": "layerNorm",
        "cpc_mode": None,
    }

    def __init__(self, source=None, config=None, freeze=True, precision="fp32", seed=0):
        super().__init__(freeze, precision)
        weights = None
        if source is None:
            config = _checked({**self.base, **(config or {})})
        else:
            config, weights = read_source(source, read_cpc)
        self.config = config
        self.network = build(lambda: CpcNetwork(**config), weights, source, seed)
        recurrent = self.network.recurrent is not None
        self.output_size = config["hiddenGar" if recurrent else "hiddenEncoder"]

    @property
    def output_sizes(self):
        """The size of each hidden state."""
        return [self.config["hiddenEncoder"], self.output_size]

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        count = max(samples, self.min_samples)
        for kernel, stride, padding in CONVOLUTIONS:
            count = (count + 2 * padding - kernel) // stride + 1
        return count

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, size]."""
        for state in self.encode_packed(list(wavs)):
            yield state.unflatten(0, (len(wavs), -1))

    def encode_packed(self, wavs):
        """List of [samples_i] -> hidden states [total_frames, size]."""
        return self.network(wavs)


def _checked(config):
    """The same, if it can be built."""
    unknown = [str(key) for key in config if key not in Cpc.base]
    if unknown:
        raise ValueError(
            f"Unknown entry of config: {', '.join(unknown)}. Known: "
            + ", ".join(Cpc.base)
        )
    choices = {
        "arMode": list(RECURRENT),
        "normMode": list(NORMS),
        "cpc_mode": [None, "none", "reverse"],
    }
    for key, known in choices.items():
        if config[key] not in known:
            raise ValueError(
                f"{key} '{config[key]}' cannot be built, only "
                + ", ".join(map(str, known))
            )
    return config


def read_cpc(path):
    """Reads a checkpoint of CPC.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        Arguments of :class:`CpcNetwork`.
    weights : dict
        Of :class:`CpcNetwork`. What is neither the encoder's nor the recurrent
        network's belongs to pre-training's task and is dropped.

    Raises
    ------
    CheckpointError
        If the file is of another family, or of a variant that is not
        supported.
    """
    states = checkpoints.read(path)
    states = states if isinstance(states, dict) else {}
    given, weights = checkpoints.plain(states.get("config")), states.get("weights")
    if not isinstance(given, dict) or not isinstance(weights, dict):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of CPC: these have 'config' and 'weights'. "
            "It holds: " + (", ".join(sorted(map(str, states))[:12]) or "no names")
        )
    encoder = given.get("encoder_type") or "cpc"
    if encoder != "cpc":
        raise CheckpointError(
            f"'{path}' has the encoder '{encoder}' instead of CPC's convolutions, "
            "which is not supported."
        )
    try:
        config = {key: given.get(key, value) for key, value in Cpc.base.items()}
        config = _checked(config)
    except ValueError as error:
        raise CheckpointError(f"'{path}': {error}") from error
    converted = {}
    for name, tensor in weights.items():
        if not name.startswith(("gEncoder.", "gAR.")):
            continue
        for pattern, ours in NAMES.items():
            name = re.sub(pattern, ours, name)
        if name.startswith("norms.") and tensor.dim() == 3:  # [1, channels, 1]
            tensor = tensor.flatten()
        converted[name] = tensor
    return config, converted
