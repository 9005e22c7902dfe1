"""APC and VQ-APC: recurrent networks that predict future frames.

Papers: Chung et al., "An Unsupervised Autoregressive Model for Speech
Representation Learning", Interspeech 2019, https://arxiv.org/abs/1904.03240;
Chung et al., "Vector-Quantized Autoregressive Predictive Coding", Interspeech
2020, https://arxiv.org/abs/2005.08392. Reproduces S3PRL's ``upstream/apc``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses

import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.s3prl_layout import AUDIO, read_s3prl
from s3prl_sb.lobes.networks.quantizer import Quantizer, utterance_codes
from s3prl_sb.lobes.networks.time_major import TimeMajor
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.stages import FeatureStages


@dataclasses.dataclass
class ApcConfig:
    """Configuration of APC.

    Arguments
    ---------
    num_layers, hidden_size : int
        Number and size of the GRU layers.
    dropout : float
        Dropout after each layer, in training mode.
    residual : bool
        Add the input of each layer but the first to its output.
    codebook_size, code_dim : list of int, optional
        Arguments of the :class:`~s3prl_sb.lobes.networks.quantizer.Quantizer`
        after the last layer. None or empty: no quantizer.
    audio : dict
        Arguments of :class:`KaldiFeatures` that differ from APC's.
    """

    num_layers: int = 3
    hidden_size: int = 512
    dropout: float = 0.1
    residual: bool = True
    codebook_size: list | None = None
    code_dim: list | None = None
    audio: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self.audio = {**AUDIO, **self.audio}


class RecurrentNetwork(nn.Module):
    """Recurrent network of APC.

    Arguments
    ---------
    input_size : int
        Size of the features.
    config : ApcConfig
        Sizes and options.

    Example
    -------
    >>> import torch
    >>> network = RecurrentNetwork(80, ApcConfig(num_layers=2, hidden_size=16))
    >>> [list(state.shape) for state in network(torch.randn(9, 80), [5, 4])]
    [[9, 16], [9, 16]]
    """

    def __init__(self, input_size, config):
        super().__init__()
        self.dropout, self.residual = config.dropout, config.residual
        size = config.hidden_size
        sizes = [input_size] + [size] * (config.num_layers - 1)
        self.layers = nn.ModuleList(nn.GRU(inputs, size) for inputs in sizes)
        self.quantizer = None
        if config.codebook_size:
            self.quantizer = Quantizer(config.codebook_size, size, config.code_dim)

    def forward(self, x, frames):
        """Yields the output of each layer, [total_frames, hidden_size].

        Arguments
        ---------
        x : torch.Tensor
            Features [total_frames, input_size].
        frames : list of int
            Frames of each utterance.
        """
        order = TimeMajor(frames, x.device)
        x = x[order.rows]
        for i, layer in enumerate(self.layers):
            y = F.dropout(order.run(layer, x), self.dropout, self.training)
            x = x + y if self.residual and i > 0 else y
            yield x[order.back]


def read_apc(path):
    """Reads a checkpoint of S3PRL, see
    :func:`~s3prl_sb.lobes.checkpoints.s3prl_layout.read_s3prl`."""
    return read_s3prl(path, "APC", "rnn_layers.")


class Apc(FeatureStages, PretrainedUpstream):
    """APC, and VQ-APC.

    Its hidden states are the outputs of the layers; the last one of VQ-APC is
    not quantized.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address. It brings its own architecture
        and features. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`ApcConfig`; only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    S3PRL returns three hidden states whatever the number of layers, and takes
    no fewer than three. Here there is one for each layer.

    Example
    -------
    >>> import torch
    >>> upstream = Apc(config={"hidden_size": 32, "codebook_size": [16]})
    >>> wavs = torch.randn(2, 16000)
    >>> hidden_states, lens = upstream(wavs)
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 98, 32]))
    >>> codes, lens = upstream.codes(wavs)
    >>> codes.shape
    torch.Size([2, 98, 1])
    """

    Config = ApcConfig
    read = staticmethod(read_apc)
    codes = utterance_codes

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        if self.network.quantizer is not None:  # it follows the last hidden state
            self.network.quantizer.requires_grad_(False)
        self.num_layers = self.config.num_layers
        self.output_size = self.config.hidden_size

    def make_features(self):
        """Returns the Kaldi features."""
        return KaldiFeatures(**self.config.audio)

    def make_network(self):
        """Returns the recurrent network."""
        return RecurrentNetwork(self.features.output_size, self.config)
