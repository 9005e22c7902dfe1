"""PASE+: a problem-agnostic speech encoder.

Paper: Ravanelli et al., "Multi-task self-supervised learning for Robust Speech
Recognition", ICASSP 2020, https://arxiv.org/abs/2001.09239. Reproduces the
hidden states of S3PRL's ``pase_plus``.

Band-pass filters that are learned (SincNet, https://arxiv.org/abs/1808.00158)
-> strided convolutions -> QRNN (https://arxiv.org/abs/1611.01576) ->
projection, to which every convolution adds what it sees.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import itertools
import math
import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.fetch import fetch
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read, read_json
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm1d
from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.lobes.networks.precision import KeepsPrecision
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

SAMPLE_RATE = 16000
#: The filters' least edge and least width, in Hz.
MIN_LOW, MIN_BAND = 50, 50
#: PASE's names of the weights, and ours.
NAMES = {
    r"^blocks\.0\.conv\.(low|band)_hz_$": r"blocks.0.conv.\1_hz",
    r"^denseskips\.": "skips.",
    r"^rnn\.layers\.": "rnn.",
    r"^W\.": "projection.",
    r"^norm_out\.": "norm.",
}
#: Other entries of a configuration of PASE, with the values of PASE+.
FIXED = {"denseskips": True, "norm_out": True, "rnn_pool": True, "rnn_type": "qrnn"}


@dataclasses.dataclass
class PaseConfig:
    """Sizes under PASE's names; defaults: PASE+."""

    kwidths: list = dataclasses.field(
        default_factory=lambda: [251, 20, 11, 11, 11, 11, 11, 11]
    )  #: kernel sizes; the first is that of the band-pass filters
    strides: list = dataclasses.field(default_factory=lambda: [1, 10, 2, 1, 2, 1, 2, 2])
    fmaps: list = dataclasses.field(
        default_factory=lambda: [64, 64, 128, 128, 256, 256, 512, 512]
    )  #: channels
    emb_dim: int = 256  #: size of the hidden states
    rnn_dim: int = 512
    rnn_layers: int = 1

    def __post_init__(self):
        if not len(self.kwidths) == len(self.strides) == len(self.fmaps) > 1:
            raise ValueError(
                "kwidths, strides and fmaps must have one entry for each block, got "
                f"{len(self.kwidths)}, {len(self.strides)} and {len(self.fmaps)}"
            )
        self.kwidths = list(self.kwidths)
        self.kwidths[0] |= 1  # the filters are symmetric

    def frames(self, samples):
        """Returns the number of frames; None if reflection lacks samples."""
        for size, stride in zip(self.kwidths, self.strides):
            before, after = padding(size, stride)
            if samples <= max(before, after):
                return None
            samples = 1 + (samples + before + after - size) // stride
        return samples


def padding(size, stride):
    """Returns the number of frames added before and after, by reflection."""
    if size == 1:
        return 0, 0
    return size // 2 - (stride > 1 or size % 2 == 0), size // 2


class BandPass(KeepsPrecision):
    """Filters of SincNet; only the two edges of each are learned.

    The edges stay fp32: in half precision they would be off by many Hz.

    Arguments
    ---------
    channels : int
        Number of filters.
    size : int
        Length of the filters in samples, odd.

    Example
    -------
    >>> filters = BandPass(8, 251)
    >>> filters.reset_parameters()
    >>> filters.weight().shape
    torch.Size([8, 1, 251])
    """

    def __init__(self, channels, size):
        super().__init__()
        self.size = size
        self.low_hz = nn.Parameter(torch.empty(channels, 1))
        self.band_hz = nn.Parameter(torch.empty(channels, 1))

    def reset_parameters(self):
        """Initializes bands of equal width in mel."""
        mels = (2595 * math.log10(1 + hz / 700) for hz in (30, SAMPLE_RATE / 2 - 100))
        mels = torch.linspace(*mels, len(self.low_hz) + 1, dtype=torch.double)
        edges = 700 * (10 ** (mels / 2595) - 1)
        with torch.no_grad():
            self.low_hz.copy_(edges[:-1, None])
            self.band_hz.copy_(edges.diff()[:, None])

    def weight(self):
        """Returns [channels, 1, size]: windowed differences of two sincs."""
        half, device = self.size // 2, self.low_hz.device
        times = torch.arange(-half, 0.0, device=device) * (2 * math.pi / SAMPLE_RATE)
        # Hamming, except for the steps, which are those of the published model.
        steps = torch.linspace(0, self.size / 2 - 1, half, device=device)
        window = 0.54 - 0.46 * torch.cos(2 * math.pi / self.size * steps)
        low = MIN_LOW + self.low_hz.abs()
        high = low + MIN_BAND + self.band_hz.abs()
        high = high.clamp(MIN_LOW, SAMPLE_RATE / 2)
        left = ((high * times).sin() - (low * times).sin()) / (times / 2) * window
        left = left / (2 * (high - low))
        return torch.cat([left, torch.ones_like(low), left.flip(1)], 1)[:, None]

    def forward(self, x, stride, dtype):
        """[batch, 1, samples] -> [batch, channels, frames], of type ``dtype``."""
        return F.conv1d(x.to(dtype), self.weight().to(dtype), stride=stride)


class Block(nn.Module):
    """Convolution, batch norm and PReLU: [batch, in, n] -> [batch, out, ~n/stride].

    The convolution of the ``first`` block has band-pass filters.
    """

    def __init__(self, inputs, outputs, size, stride, first=False):
        super().__init__()
        self.first, self.stride, self.padding = first, stride, padding(size, stride)
        if first:
            self.conv = BandPass(outputs, size)
        else:
            self.conv = nn.Conv1d(inputs, outputs, size, stride)
        self.norm = FixedBatchNorm1d(outputs)
        self.act = nn.PReLU(outputs)

    def forward(self, x):
        """[batch, inputs, frames] -> [batch, outputs, fewer frames]."""
        x = F.pad(x, self.padding, mode="reflect")
        if self.first:
            x = self.conv(x, self.stride, self.norm.weight.dtype)
        else:
            x = self.conv(x)
        return self.act(self.norm(x))


class QuasiRecurrentLayer(nn.Module):
    """Layer of a QRNN, forward in time: gates of two frames and a running average.

    [batch, frames, inputs] -> [batch, frames, outputs]

    Example
    -------
    >>> QuasiRecurrentLayer(4, 6)(torch.randn(2, 10, 4)).shape
    torch.Size([2, 10, 6])
    """

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(2 * inputs, 3 * outputs)

    def forward(self, x):
        """[batch, frames, inputs] -> [batch, frames, outputs]."""
        previous = F.pad(x[:, :-1], (0, 0, 1, 0))
        z, f, o = self.linear(torch.cat([x, previous], 2)).float().chunk(3, 2)
        # c[t] = f[t] z[t] + (1 - f[t]) c[t - 1] for all t at once: each step
        # doubles the reach of the average.
        f = f.sigmoid()
        state, keep = f * z.tanh(), 1 - f
        reach = 1
        while reach < x.shape[1]:
            state = state + keep * F.pad(state[:, :-reach], (0, 0, reach, 0))
            keep = keep * F.pad(keep[:, :-reach], (0, 0, reach, 0))
            reach *= 2
        return (o.sigmoid() * state).to(x.dtype)


class Encoder(nn.Module):
    """Network of PASE+, with the sizes of a :class:`PaseConfig`."""

    def __init__(self, config):
        super().__init__()
        channels = [1, *config.fmaps]
        sizes = zip(channels, config.fmaps, config.kwidths, config.strides)
        self.blocks = nn.ModuleList(
            Block(*size, first=i == 0) for i, size in enumerate(sizes)
        )
        self.skips = nn.ModuleList(
            nn.Linear(size, config.emb_dim, bias=False) for size in config.fmaps[:-1]
        )
        sizes = [config.fmaps[-1]] + [config.rnn_dim] * config.rnn_layers
        self.rnn = nn.ModuleList(map(QuasiRecurrentLayer, sizes, sizes[1:]))
        self.projection = nn.Linear(config.rnn_dim, config.emb_dim)
        self.norm = FixedBatchNorm1d(config.emb_dim, affine=False)

    def reset_parameters(self, seed=0):
        """Initializes random weights, and bands of equal width in mel."""
        initialize(self, seed)
        self.blocks[0].conv.reset_parameters()

    def forward(self, wavs, frames):
        """[batch, samples] -> yields hidden states [batch, frames, emb_dim]."""
        x, total = wavs[:, None], 0
        for block, skip in zip(self.blocks, self.skips):
            x = block(x)
            # Averaging before the projection gives the same result for a fraction
            # of the work. The published factor is a whole number, so averages may
            # be early by up to the length of a frame.
            factor = x.shape[2] // frames
            pooled = x[:, :, : frames * factor].unflatten(2, (frames, factor)).mean(3)
            state = skip(pooled.transpose(1, 2))
            total = total + state
            yield state
        x = self.blocks[-1](x).transpose(1, 2)
        for layer in self.rnn:
            x = layer(x)
        x = self.projection(x)
        yield x
        yield self.norm((x + total).transpose(1, 2)).transpose(1, 2)


def read_pase(path, model_config=None):
    """Reads a checkpoint of PASE+.

    Arguments
    ---------
    path : str
        Weights of PASE, alone or under ``state_dict``.
    model_config : str, optional
        JSON file of the architecture, or its address.

    Returns
    -------
    config : dict
        Entries of :class:`PaseConfig`, from ``model_config``, else from the weights;
        the strides and the first kernel size, which these do not show, are then those
        of PASE+.
    weights : dict
        Weights of :class:`Encoder`.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint.
    """
    states = as_dict(read(path))
    states = states.get("state_dict", states)
    needed = ("blocks.0.conv.low_hz_", "rnn.layers.0.linear.weight", "W.weight")
    if not states.keys() >= set(needed):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of PASE+: these have {', '.join(needed)}. "
            "Its keys: " + ", ".join(sorted(map(str, states))[:12])
        )
    convolutions = [n for n in states if re.fullmatch(r"blocks\.\d+\.conv\.weight", n)]
    blocks = range(1, len(convolutions) + 1)
    config = dataclasses.asdict(PaseConfig())
    config["kwidths"][1:] = [states[f"blocks.{i}.conv.weight"].shape[2] for i in blocks]
    config["fmaps"] = [len(states[f"blocks.{i}.norm.weight"]) for i in (0, *blocks)]
    config["emb_dim"], config["rnn_dim"] = states["W.weight"].shape[:2]
    config["rnn_layers"] = sum(n.startswith("rnn.") for n in states) // 2
    if model_config is not None:
        config.update(_read_architecture(fetch(model_config), config))
    elif len(config["fmaps"]) != len(config["strides"]):
        raise CheckpointError(
            f"'{path}' has {len(config['fmaps'])} blocks where PASE+ has "
            f"{len(config['strides'])}. Give its strides in a model_config."
        )
    weights = {}
    for name, tensor in states.items():
        name = our_name(name, NAMES)
        pointwise = re.match(r"(skips\.\d+|projection)\.weight", name)
        weights[name] = tensor.squeeze(2) if pointwise else tensor
    return config, weights


def _read_architecture(path, names):
    """Reads the entries of a configuration of PASE that are not fixed."""
    entries = read_json(path)
    unknown = [k for k in entries if k not in names and FIXED.get(k) != entries[k]]
    if unknown:
        raise CheckpointError(
            f"'{path}' is not of PASE+: it has "
            + ", ".join(f"{key}: {entries[key]}" for key in unknown)
            + f". Known: {', '.join([*names, *FIXED])}"
        )
    return {key: value for key, value in entries.items() if key in names}


class PasePlus(PretrainedUpstream):
    """PASE+.

    Its hidden states, all of size ``emb_dim`` and at the rate of the output, are the
    contribution of each block but the last to the output, the projection of the QRNN,
    and the output.

    Arguments
    ---------
    source : str, optional
        Checkpoint of PASE+, or its address. None: a random network of
        ``config``.
    config : dict, optional
        Entries of :class:`PaseConfig` that differ from PASE+; only without
        ``source``.
    model_config : str, optional
        PASE's JSON file of the architecture, or its address; needed only if
        ``source`` has other strides than PASE+.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    The edges of the band-pass filters stay fp32. In fine-tuning, batch norm keeps the
    statistics of pre-training, so that features do not depend on the batch. Audio of
    less than 30 ms, for which the original fails, is padded.

    Example
    -------
    >>> tiny = {"fmaps": [8] * 8, "emb_dim": 16, "rnn_dim": 8}
    >>> hidden_states, lens = PasePlus(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (9, torch.Size([2, 100, 16]))
    """

    Config, Network = PaseConfig, Encoder
    unknown_entry = "Unknown in config"
    group_seconds = {"cpu": 64, "cuda": 200}  # 64 channels at 16 kHz take memory

    def __init__(self, source=None, config=None, model_config=None, **options):
        self.model_config = model_config
        super().__init__(source, config, **options)
        self.stride = math.prod(self.config.strides)
        self.output_size = self.config.emb_dim
        self.num_layers = len(self.config.fmaps) + 1
        self._shortest = next(n for n in itertools.count(1) if self.config.frames(n))

    def read(self, path):
        """Reads a checkpoint of PASE+, see :func:`read_pase`."""
        return read_pase(path, self.model_config)

    @property
    def min_samples(self):
        """See :attr:`Upstream.min_samples`."""
        return self._shortest

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return self.config.frames(max(samples, self.min_samples))

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
        return self.network(wavs, self.frames(wavs.shape[1]))
