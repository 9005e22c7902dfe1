"""wav2vec 2.0 and BEST-RQ as SpeechBrain's own recipes train them.

Papers: Baevski et al., "wav2vec 2.0", https://arxiv.org/abs/2006.11477; Chiu et
al., "Self-supervised Learning with Random-projection Quantizer for Speech
Recognition" (BEST-RQ), https://arxiv.org/abs/2202.01855; Whetten et al., "Open
Implementation and Study of BEST-RQ for Speech Processing",
https://arxiv.org/abs/2405.04296.

The recipes are those of LibriSpeech/self-supervised-learning. The layers are
SpeechBrain's. Only weights are read from a recipe's folder: its ``hyperparams.yaml`` is
a program, so ``config`` has the sizes.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import dataclasses
import math
import re

import torch
import torch.nn.functional as F
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.lobes.models.transformer.Conformer import ConformerEncoder
from speechbrain.lobes.models.transformer.Transformer import (
    PositionalEncoding,
    TransformerEncoder,
)
from speechbrain.lobes.models.wav2vec import W2VLatentExtractor
from speechbrain.nnet.activations import Swish
from speechbrain.nnet.attention import RelPosEncXL
from speechbrain.processing.features import InputNormalization
from torch import nn

from s3prl_sb.lobes.checkpoints.building import read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, read
from s3prl_sb.lobes.checkpoints.renaming import renamed
from s3prl_sb.lobes.networks.front_end import frames_of, samples_of
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "swish": Swish}


def _list(*values):
    return dataclasses.field(default_factory=lambda: list(values))


class Checked:
    """Base class of sizes, which checks them."""

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, not "
                f"'{self.activation}'"
            )
        if not len(self.kernels) == len(self.strides) == len(self.channels) > 0:
            raise ValueError("kernels, strides and channels must be as many, one each.")


@dataclasses.dataclass
class Wav2Vec2Sizes(Checked):
    """Sizes of the wav2vec 2.0; defaults: ``hparams/wav2vec2_base.yaml``.

    Arguments
    ---------
    kernels, strides, channels : list of int
        Sizes of the convolutions.
    hidden_size, ffn_size, num_layers, num_heads : int
        Sizes of the encoder.
    activation : str
        "gelu", "relu", "swish".
    dropout, input_dropout : float
        Dropout of the encoder and of its input, in training mode.
    norm_first : bool
        Layer norm before attention and feed-forward.
    """

    kernels: list = _list(11, *[3] * 6)
    strides: list = _list(5, *[2] * 6)
    channels: list = _list(*[512] * 7)
    hidden_size: int = 768
    ffn_size: int = 3072
    num_layers: int = 12
    num_heads: int = 8
    activation: str = "gelu"
    dropout: float = 0.1
    input_dropout: float = 0.1
    norm_first: bool = True


@dataclasses.dataclass
class BestRqSizes(Checked):
    """Sizes of BEST-RQ; defaults: ``hparams/BEST-RQ.yaml``.

    Arguments
    ---------
    n_fft, n_mels : int
        Sizes of the log mel spectrogram, of 25 ms every 10 ms.
    kernels, strides, channels, hidden_size, ffn_size, num_layers, num_heads, \
activation, dropout
        See :class:`Wav2Vec2Sizes`.
    convolution_kernel : int
        Kernel size of the conformer's layers.
    convolution_dropout : float
        Dropout of the convolutions before them, in training mode.
    """

    n_fft: int = 400
    n_mels: int = 80
    kernels: list = _list(3, 3)
    strides: list = _list(2, 2)
    channels: list = _list(128, 32)
    hidden_size: int = 576
    ffn_size: int = 2048
    num_layers: int = 12
    num_heads: int = 8
    activation: str = "gelu"
    dropout: float = 0.1
    convolution_kernel: int = 31
    convolution_dropout: float = 0.1


class Wav2Vec2Network(nn.Module):
    """Convolutions and Transformer, from the waveform, of Wav2Vec2Sizes."""

    #: Files and names of the recipe, and weights that are not used or computed.
    files = {
        "latent_extractor.ckpt": [("", "latent_extractor.")],
        "latent_encoder.ckpt": [("", "")],
    }
    unused = re.compile(r"mask_emb$|positional_encoding\.pe$")

    def __init__(self, sizes):
        super().__init__()
        self.latent_extractor = W2VLatentExtractor(
            sizes.channels, sizes.kernels, sizes.strides
        )
        self.input_projector = nn.Linear(sizes.channels[-1], sizes.hidden_size)
        self.dropout = nn.Dropout(sizes.input_dropout)
        self.latent_encoder = TransformerEncoder(
            num_layers=sizes.num_layers,
            nhead=sizes.num_heads,
            d_ffn=sizes.ffn_size,
            d_model=sizes.hidden_size,
            dropout=sizes.dropout,
            activation=ACTIVATIONS[sizes.activation],
            normalize_before=sizes.norm_first,
        )

    def forward(self, wavs):
        """[batch, samples] -> yields states [batch, frames, hidden_size]."""
        wavs = F.layer_norm(wavs, wavs.shape[1:]).to(self.input_projector.weight.dtype)
        x = self.latent_extractor(wavs, normalize_signal=False)
        x = self.dropout(self.input_projector(x))
        # SpeechBrain's table ends at 50 seconds.
        x = x + PositionalEncoding(x.shape[2], x.shape[1]).pe.to(x)
        for layer in self.latent_encoder.layers:
            yield x
            x, _ = layer(x)
        yield self.latent_encoder.norm(x)


class BestRqNetwork(nn.Module):
    """Convolutions and conformer, from the spectrogram, of BestRqSizes."""

    files = {
        "model.ckpt": [
            (r"0\.", "convolutions."),
            (r"1\.transformer\.custom_src_module\.layers\.0\.w\.", "projection."),
            (r"1\.transformer\.encoder\.", "encoder."),
        ]
    }
    unused = re.compile(r"1\.transformer\.positional_encoding")

    def __init__(self, sizes):
        super().__init__()
        count, bands = len(sizes.strides), sizes.n_mels
        for stride in sizes.strides:
            bands = math.ceil(bands / stride)
        self.convolutions = ConvolutionFrontEnd(
            (8, 10, sizes.n_mels),
            num_blocks=count,
            num_layers_per_block=1,
            out_channels=sizes.channels,
            kernel_sizes=sizes.kernels,
            strides=sizes.strides,
            dilations=[1] * count,
            residuals=[False] * count,
            dropout=sizes.convolution_dropout,
        )
        self.projection = nn.Linear(bands * sizes.channels[-1], sizes.hidden_size)
        self.dropout = nn.Dropout(sizes.dropout)
        self.encoder = ConformerEncoder(
            num_layers=sizes.num_layers,
            nhead=sizes.num_heads,
            d_ffn=sizes.ffn_size,
            d_model=sizes.hidden_size,
            kernel_size=sizes.convolution_kernel,
            activation=ACTIVATIONS[sizes.activation],
            dropout=sizes.dropout,
        )

    def forward(self, features):
        """[batch, time, n_mels] -> yields states [batch, frames, hidden_size]."""
        dtype = self.projection.weight.dtype
        x = self.convolutions(features.to(dtype)).flatten(2)
        x = self.dropout(self.projection(x))
        # Sines of bf16 positions would be noise, so they are computed in fp32.
        positions = RelPosEncXL(x.shape[2]).to(x.device)(x)
        for layer in self.encoder.layers:
            yield x
            with self._mixed(x.device.type, dtype):
                x, _ = layer(x, pos_embs=positions)
            x = x.to(dtype)
        yield self.encoder.norm(x)

    @staticmethod
    def _mixed(device, dtype):
        """Returns autocast in half precision, where the attention mixes in fp32."""
        if dtype == torch.float32:  # keeps the caller's autocast
            return contextlib.nullcontext()
        return torch.autocast(device, dtype)


def read_recipe(path, network):
    """Reads the weights in a folder of SpeechBrain's Checkpointer.

    Arguments
    ---------
    path : pathlib.Path
        A ``CKPT+…`` folder, or the recipe's ``save`` folder, for the newest of them.
    network : type
        :class:`Wav2Vec2Network` or :class:`BestRqNetwork`.

    Returns
    -------
    dict
        Names in the network to tensors.

    Raises
    ------
    CheckpointError
        If files are missing or have other weights.
    """
    wanted = ", ".join(network.files)
    if not path.is_dir():
        raise CheckpointError(f"'{path}' is no folder of SpeechBrain's with {wanted}.")
    folders = [path, *sorted(path.glob("CKPT+*"), reverse=True)]
    folder = next((f for f in folders if (f / [*network.files][0]).is_file()), path)
    if any(not (folder / name).is_file() for name in network.files):
        held = sorted(item.name for item in folder.iterdir())[:8]
        raise CheckpointError(f"'{folder}' holds {held}, not {wanted}.")
    weights = {}
    for file, rules in network.files.items():
        content = read(folder / file)
        if not isinstance(content, dict):
            raise CheckpointError(f"'{folder / file}' holds no weights.")
        content = {str(name): tensor for name, tensor in content.items()}
        weights.update(renamed(content, rules, network.unused))
    return weights


class SpeechBrainUpstream(PretrainedUpstream):
    """Base class of the models of SpeechBrain's recipes.

    Their hidden states are the input of every layer of the encoder, and its normalized
    output: ``num_layers`` is one more than the number of layers.

    Arguments
    ---------
    source : str, optional
        A ``CKPT+…`` folder of the recipe, or its ``save`` folder, for the newest of
        them. None: a random network.
    config : dict, optional
        Sizes that differ from the recipe's, also for a checkpoint.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.
    """

    hop = 1  #: samples from one input of the network to the next
    unknown_entry = "Unknown in config"
    front_end = None

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        self.output_size = self.config.hidden_size
        self.num_layers = self.config.num_layers + 1
        self.stride = self.hop * math.prod(self.config.strides)

    def load_source(self, source, config):
        """Returns all sizes, which ``config`` has for a checkpoint too, and weights."""
        sizes = dataclasses.asdict(self.make_config(config))
        if source is None:
            return sizes, None
        network = self.Network
        return read_source(source, lambda path: (sizes, read_recipe(path, network)))


class SpeechBrainWav2Vec2(SpeechBrainUpstream):
    """wav2vec 2.0 of SpeechBrain's recipe, from ``latent_extractor.ckpt`` and
    ``latent_encoder.ckpt``.

    The arguments are those of :class:`SpeechBrainUpstream`; ``config`` has entries of
    :class:`Wav2Vec2Sizes`.

    Note
    ----
    SpeechBrain's table of positions ends after 50 seconds, with an error. Here it has
    no end. Waveforms are normalized, as the recipe does when it loads them.

    Example
    -------
    >>> tiny = {"kernels": [10, 8], "strides": [5, 64], "channels": [8, 8],
    ...     "hidden_size": 16, "ffn_size": 32, "num_layers": 2, "num_heads": 2}
    >>> hidden_states, lens = SpeechBrainWav2Vec2(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 16]))
    """

    Config, Network = Wav2Vec2Sizes, Wav2Vec2Network

    @property
    def sizes(self):
        """Kernel size and stride of each convolution."""
        return list(zip(self.config.kernels, self.config.strides))

    @property
    def min_samples(self):
        """See :attr:`Upstream.min_samples`."""
        return samples_of(1, self.sizes)

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return frames_of(max(samples, self.min_samples), self.sizes)

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
        return self.network(wavs)


class SpeechBrainBestRq(SpeechBrainUpstream):
    """BEST-RQ of SpeechBrain's recipe, from ``model.ckpt``, over whole utterances.

    The arguments are those of :class:`SpeechBrainUpstream`; ``config`` has entries of
    :class:`BestRqSizes`.

    Note
    ----
    Features are normalized over each utterance, and not padded to a multiple of four
    frames, as in SpeechBrain's recipe of fine-tuning, unlike that of pre-training.

    Example
    -------
    >>> tiny = {"n_mels": 20, "channels": [4, 4], "hidden_size": 16, "ffn_size": 32,
    ...     "num_layers": 2, "num_heads": 2, "convolution_kernel": 5}
    >>> hidden_states, lens = SpeechBrainBestRq(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 26, 16]))
    """

    Config, Network = BestRqSizes, BestRqNetwork
    hop = 160

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        self.features = Fbank(n_fft=self.config.n_fft, n_mels=self.config.n_mels)
        self.normalize = InputNormalization(norm_type="sentence")

    @property
    def min_samples(self):
        """See :attr:`Upstream.min_samples`; reflection needs more frames."""
        least = 1
        for kernel, stride in zip(self.config.kernels[::-1], self.config.strides[::-1]):
            least = max((least - 1) * stride + 1, kernel // 2 + 1)
        return (least - 1) * self.hop

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        count = max(samples, self.min_samples) // self.hop + 1
        for stride in self.config.strides:
            count = (count - 1) // stride + 1
        return count

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
        return self.network(self.normalize(self.features(wavs.float())))
