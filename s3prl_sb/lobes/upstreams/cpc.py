"""CPC: convolutions, and a recurrent network that predicts future frames.

Papers: van den Oord et al., "Representation Learning with Contrastive
Predictive Coding", https://arxiv.org/abs/1807.03748; Rivière et al.,
"Unsupervised Pretraining Transfers Well Across Languages", ICASSP 2020,
https://arxiv.org/abs/2002.02848, whose modified CPC this is. Reproduces S3PRL's
``upstream/cpc``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm1d
from s3prl_sb.lobes.networks.time_major import TimeMajor
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.stages import Stages

#: Kernel size, stride and padding of each convolution.
CONVOLUTIONS = [(10, 5, 3), (8, 4, 2), (4, 2, 1), (4, 2, 1), (4, 2, 1)]
RECURRENT = {"GRU": nn.GRU, "LSTM": nn.LSTM, "RNN": nn.RNN, "no_ar": None}
#: Published names of the weights, and ours.
NAMES = {
    r"^gEncoder\.conv(\d+)\.": r"convolutions.\1.",
    r"^gEncoder\.batchNorm(\d+)\.": r"norms.\1.",
    r"^gAR\.baseNet\.": "recurrent.",
}


class Standardization(nn.Module):
    """Normalizes mean and variance, then scales and shifts each channel.

    Arguments
    ---------
    size : int
        Number of channels.
    dim : int
        Dimension of mean and variance: 1, the channels of a frame, or 2, the
        frames of a channel.

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
        correction = 1 if self.dim == 1 else 0  # CPC's custom norm is unbiased
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


@dataclasses.dataclass
class CpcConfig:
    """Configuration of CPC, with the names of the published code.

    Arguments
    ---------
    hiddenEncoder : int
        Channels of the convolutions.
    hiddenGar, nLevelsGRU : int
        Size and number of the recurrent layers.
    arMode : str
        "LSTM", "GRU", "RNN", or "no_ar" for none.
    normMode : str
        Norm after each convolution: "layerNorm" over the channels of a frame,
        "instanceNorm" over the frames of a channel, "batchNorm", or "ID" for
        none.
    cpc_mode : str, optional
        "reverse": recurrent layers run from the end to the beginning.
    """

    hiddenEncoder: int = 256
    hiddenGar: int = 256
    nLevelsGRU: int = 1
    arMode: str = "LSTM"
    normMode: str = "layerNorm"
    cpc_mode: str | None = None

    def __post_init__(self):
        choices = {
            "arMode": list(RECURRENT),
            "normMode": list(NORMS),
            "cpc_mode": [None, "none", "reverse"],
        }
        for key, names in choices.items():
            if getattr(self, key) not in names:
                raise ValueError(
                    f"{key} '{getattr(self, key)}' cannot be built, only "
                    + ", ".join(map(str, names))
                )


class CpcNetwork(nn.Module):
    """Network of CPC, from the waveform.

    Arguments
    ---------
    config : CpcConfig
        Sizes and options.

    Example
    -------
    >>> network = CpcNetwork(CpcConfig(hiddenEncoder=16, hiddenGar=8))
    >>> [list(state.shape) for state in network([torch.randn(1600)] * 2)]
    [[20, 16], [20, 8]]
    """

    def __init__(self, config):
        super().__init__()
        size = config.hiddenEncoder
        self.backward_in_time = config.cpc_mode == "reverse"
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size if i else 1, size, kernel, stride, padding)
            for i, (kernel, stride, padding) in enumerate(CONVOLUTIONS)
        )
        norm, recurrent = NORMS[config.normMode], RECURRENT[config.arMode]
        self.norms = nn.ModuleList(norm(size) for _ in CONVOLUTIONS)
        sizes = (size, config.hiddenGar, config.nLevelsGRU)
        self.recurrent = recurrent and recurrent(*sizes)

    def reset_parameters(self, seed=0):
        """Sets random weights for training from scratch, without global generators."""
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
        """Yields the hidden states.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i], none shorter than a frame.

        Yields
        ------
        torch.Tensor
            [total_frames, size]: the output of the convolutions, then that of
            the recurrent layers.
        """
        yield from self.contextualize(*self.local(wavs))

    def local(self, wavs):
        """Returns the output of the convolutions, [total_frames, size], and the number
        of frames of each utterance."""
        pieces = [self._convolved(wav) for wav in wavs]
        return torch.cat(pieces), [len(piece) for piece in pieces]

    def contextualize(self, x, frames):
        """Yields the output of the convolutions and that of the recurrent layers."""
        yield x
        if self.recurrent is not None:
            order = TimeMajor(frames, x.device, self.backward_in_time)
            x = order.run(self.recurrent, x[order.rows])[order.back]
        yield x

    def _convolved(self, wav):
        """[samples] -> [frames, channels]."""
        x = wav[None, None].to(self.convolutions[0].weight.dtype)
        for convolution, norm in zip(self.convolutions, self.norms):
            x = F.relu(norm(convolution(x)))
        return x[0].T


def read_cpc(path):
    """Reads a checkpoint of CPC.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        Entries of :class:`CpcConfig`.
    weights : dict
        Weights of :class:`CpcNetwork`. All weights but those of the encoder and
        the recurrent network belong to the task of pre-training and are dropped.

    Raises
    ------
    CheckpointError
        If the file belongs to another family, or to a variant that is not
        supported.
    """
    states = as_dict(read(path))
    options, weights = plain(states.get("config")), states.get("weights")
    if not isinstance(options, dict) or not isinstance(weights, dict):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of CPC: these have 'config' and 'weights'. "
            "It holds: " + (", ".join(sorted(map(str, states))[:12]) or "no names")
        )
    encoder = options.get("encoder_type") or "cpc"
    if encoder != "cpc":
        raise CheckpointError(
            f"'{path}' has the encoder '{encoder}' instead of CPC's convolutions, "
            "which is not supported."
        )
    names = [field.name for field in dataclasses.fields(CpcConfig)]
    config = {name: options[name] for name in names if name in options}
    converted = {}
    for name, tensor in weights.items():
        if not name.startswith(("gEncoder.", "gAR.")):
            continue
        name = our_name(name, NAMES)
        if name.startswith("norms.") and tensor.dim() == 3:  # [1, channels, 1]
            tensor = tensor.flatten()
        converted[name] = tensor
    return config, converted


class Cpc(Stages, PretrainedUpstream):
    """CPC.

    Its hidden states are the output of the convolutions and that of the
    recurrent layers, which may differ in size.

    Arguments
    ---------
    source : str, optional
        Checkpoint of CPC, or its address. It brings its own architecture.
        None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`CpcConfig`; only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    In S3PRL a model whose ``samplingType`` is "sequential" keeps its state from
    call to call. Here every utterance starts from zeros. In fine-tuning, batch norm
    keeps the statistics of pre-training: those of a batch would make the features
    of an utterance depend on the others.

    Example
    -------
    >>> upstream = Cpc(config={"hiddenEncoder": 16, "hiddenGar": 8})
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> [list(state.shape) for state in hidden_states]
    [[2, 100, 16], [2, 100, 8]]
    """

    Config, Network = CpcConfig, CpcNetwork
    stride, num_layers = 160, 2
    min_samples = 159  #: the shortest audio that gives a frame
    read = staticmethod(read_cpc)

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        recurrent = self.network.recurrent is not None
        config = self.config
        self.output_size = config.hiddenGar if recurrent else config.hiddenEncoder
        self.local_size = self.embedded_size = config.hiddenEncoder

    def local(self, wavs):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.local`."""
        return self.network.local(wavs)

    def contextualize(self, x, frames):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.contextualize`."""
        return self.network.contextualize(x, frames)

    @property
    def output_sizes(self):
        """Size of each hidden state."""
        return [self.config.hiddenEncoder, self.output_size]

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        count = max(samples, self.min_samples)
        for kernel, stride, padding in CONVOLUTIONS:
            count = (count + 2 * padding - kernel) // stride + 1
        return count
