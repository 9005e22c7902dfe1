"""wav2vec 2.0 and BEST-RQ as SpeechBrain's own recipes train them.

Papers: Baevski et al., "wav2vec 2.0", https://arxiv.org/abs/2006.11477; Chiu et
al., "Self-supervised Learning with Random-projection Quantizer for Speech
Recognition" (BEST-RQ), https://arxiv.org/abs/2202.01855; Whetten et al., "Open
Implementation and Study of BEST-RQ for Speech Processing",
https://arxiv.org/abs/2405.04296.

The recipes are those of LibriSpeech/self-supervised-learning. The layers are
SpeechBrain's own. Of what a recipe saves only weights are read: its
``hyperparams.yaml`` is a program, so the sizes are given in ``config``.

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

from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, read
from s3prl_sb.lobes.checkpoints.renaming import renamed
from s3prl_sb.lobes.upstreams.base import Upstream

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "swish": Swish}


def _list(*values):
    return dataclasses.field(default_factory=lambda: list(values))


@dataclasses.dataclass
class Wav2Vec2Sizes:
    """Sizes of the wav2vec 2.0; defaults: ``hparams/wav2vec2_base.yaml``.

    Arguments
    ---------
    kernels, strides, channels : list of int
        Of the convolutions.
    hidden_size, ffn_size, num_layers, num_heads : int
        Of the encoder.
    activation : str
        "gelu", "relu", "swish".
    dropout : float
        Of the encoder, active only in training mode.
    input_dropout : float
        The same of its input.
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
class BestRqSizes:
    """Sizes of BEST-RQ; defaults: ``hparams/BEST-RQ.yaml``.

    Arguments
    ---------
    n_fft, n_mels : int
        Of the log mel spectrogram, of 25 ms every 10 ms.
    kernels, strides, channels, hidden_size, ffn_size, num_layers, num_heads, \
activation, dropout
        As of :class:`Wav2Vec2Sizes`.
    convolution_kernel : int
        Of the conformer's layers.
    convolution_dropout : float
        Of the convolutions before them, active only in training mode.
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

    #: The recipe's files and names; what only pre-training uses, or is computed.
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
        """[batch, samples] -> states [batch, frames, hidden_size]."""
        wavs = F.layer_norm(wavs, wavs.shape[1:]).to(self.input_projector.weight.dtype)
        x = self.latent_extractor(wavs, normalize_signal=False)
        x = self.dropout(self.input_projector(x))
        # SpeechBrain's own table ends at 50 seconds.
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
        """[batch, time, n_mels] -> states [batch, frames, hidden_size]."""
        dtype = self.projection.weight.dtype
        x = self.convolutions(features.to(dtype)).flatten(2)
        x = self.dropout(self.projection(x))
        # Sines of bf16 positions would be noise, so they are made as fp32.
        positions = RelPosEncXL(x.shape[2]).to(x.device)(x)
        for layer in self.encoder.layers:
            yield x
            with self._mixed(x.device.type, dtype):
                x, _ = layer(x, pos_embs=positions)
            x = x.to(dtype)
        yield self.encoder.norm(x)

    @staticmethod
    def _mixed(device, dtype):
        """In half precision SpeechBrain's attention multiplies it with fp32."""
        if dtype == torch.float32:  # whatever the caller has chosen
            return contextlib.nullcontext()
        return torch.autocast(device, dtype)


def read_recipe(path, network):
    """The weights in a folder that SpeechBrain's Checkpointer wrote.

    Arguments
    ---------
    path : pathlib.Path
        One ``CKPT+…`` folder, or the recipe's ``save`` folder: then the newest.
    network : type
        :class:`Wav2Vec2Network` or :class:`BestRqNetwork`.

    Returns
    -------
    dict
        Weights under the network's names.

    Raises
    ------
    CheckpointError
        If the files are not there, or hold other weights.
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


class SpeechBrainUpstream(Upstream):
    """What the models of SpeechBrain's recipes share.

    Their hidden states are the input of every layer of the encoder, and its
    normed output: ``num_layers`` is one more than the layers.

    Arguments
    ---------
    source : str, optional
        One ``CKPT+…`` folder of the recipe, or its ``save`` folder: then the
        newest of them. None: a random network.
    config : dict, optional
        Entries of ``Sizes`` that differ from the recipe's, of a checkpoint as
        well: those that it was trained with.
    freeze : bool
        No training.
    precision : str
        "fp32", "bf16" or "fp16". Features stay fp32.
    seed : int
        Seed of the random weights.
    """

    Sizes = Network = None  #: of a subclass
    hop = 1  #: samples from one input of the network to the next

    def __init__(self, source=None, config=None, freeze=True, precision="fp32", seed=0):
        super().__init__(freeze, precision)
        self.config = dataclasses.asdict(self._sizes(config or {}))
        weights = None
        if source is not None:
            self.config, weights = read_source(
                source, lambda path: (self.config, read_recipe(path, self.Network))
            )
        self.sizes = self._sizes(self.config)
        self.network = build(lambda: self.Network(self.sizes), weights, source, seed)
        self.output_size = self.sizes.hidden_size
        self.num_layers = self.sizes.num_layers + 1
        self.stride = self.hop * math.prod(self.sizes.strides)

    @classmethod
    def _sizes(cls, config):
        known = [field.name for field in dataclasses.fields(cls.Sizes)]
        unknown = [name for name in config if name not in known]
        if unknown:
            raise ValueError(
                f"Unknown in config: {', '.join(unknown)}. Known: {', '.join(known)}"
            )
        sizes = cls.Sizes(**config)
        if sizes.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, not "
                f"'{sizes.activation}'"
            )
        if not len(sizes.kernels) == len(sizes.strides) == len(sizes.channels) > 0:
            raise ValueError("kernels, strides and channels must be as many, one each.")
        return sizes


class SpeechBrainWav2Vec2(SpeechBrainUpstream):
    """wav2vec 2.0 of SpeechBrain's recipe, from ``latent_extractor.ckpt`` and
    ``latent_encoder.ckpt``. Arguments: of :class:`SpeechBrainUpstream`, with
    :class:`Wav2Vec2Sizes`.

    Note
    ----
    SpeechBrain's table of positions ends after 50 seconds, with an error. Here
    it goes on. Waveforms are normalized, as the recipe does where it loads them.

    Example
    -------
    >>> tiny = {"kernels": [10, 8], "strides": [5, 64], "channels": [8, 8],
    ...     "hidden_size": 16, "ffn_size": 32, "num_layers": 2, "num_heads": 2}
    >>> hidden_states, lens = SpeechBrainWav2Vec2(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 16]))
    """

    Sizes, Network = Wav2Vec2Sizes, Wav2Vec2Network

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        samples = 1
        for kernel, stride in zip(self.sizes.kernels[::-1], self.sizes.strides[::-1]):
            samples = (samples - 1) * stride + kernel
        return samples

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        count = max(samples, self.min_samples)
        for kernel, stride in zip(self.sizes.kernels, self.sizes.strides):
            count = (count - kernel) // stride + 1
        return count

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size]."""
        return self.network(wavs)


class SpeechBrainBestRq(SpeechBrainUpstream):
    """BEST-RQ of SpeechBrain's recipe, from ``model.ckpt``, over the whole
    utterance. Arguments: of :class:`SpeechBrainUpstream`, with
    :class:`BestRqSizes`.

    Note
    ----
    Features are normalized over each utterance, and not padded to a multiple of
    four frames: as SpeechBrain's recipe of fine-tuning does, not pre-training.

    Example
    -------
    >>> tiny = {"n_mels": 20, "channels": [4, 4], "hidden_size": 16, "ffn_size": 32,
    ...     "num_layers": 2, "num_heads": 2, "convolution_kernel": 5}
    >>> hidden_states, lens = SpeechBrainBestRq(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 26, 16]))
    """

    Sizes, Network = BestRqSizes, BestRqNetwork
    hop = 160

    def __init__(self, source=None, config=None, freeze=True, precision="fp32", seed=0):
        super().__init__(source, config, freeze, precision, seed)
        self.features = Fbank(n_fft=self.sizes.n_fft, n_mels=self.sizes.n_mels)
        self.normalize = InputNormalization(norm_type="sentence")

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples:
        reflection needs more frames than it adds."""
        least = 1
        for kernel, stride in zip(self.sizes.kernels[::-1], self.sizes.strides[::-1]):
            least = max((least - 1) * stride + 1, kernel // 2 + 1)
        return (least - 1) * self.hop

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        count = max(samples, self.min_samples) // self.hop + 1
        for stride in self.sizes.strides:
            count = (count - 1) // stride + 1
        return count

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size]."""
        return self.network(self.normalize(self.features(wavs.float())))
