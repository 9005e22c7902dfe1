"""Network of wav2vec 2.0 and its descendants.

Waveform -> strided convolutions -> projection -> convolutional positions ->
Transformer encoder. One network serves wav2vec 2.0, HuBERT and their successors;
named options make the differences.

All layers after the convolutions work on packed frames (``packing.py``), so that no
padding is computed and no mask is needed.

Papers: Baevski et al., "wav2vec 2.0", https://arxiv.org/abs/2006.11477; Hsu et
al., "HuBERT", https://arxiv.org/abs/2106.07447.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.encoder import Encoder
from s3prl_sb.lobes.networks.encoder_config import EncoderConfig
from s3prl_sb.lobes.networks.front_end import ConvolutionalFrontEnd
from s3prl_sb.lobes.networks.initialization import initialize

CONV_LAYERS = [[512, 10, 5]] + [[512, 3, 2]] * 4 + [[512, 2, 2]] * 2


@dataclasses.dataclass
class TransformerConfig(EncoderConfig):
    """Sizes and options of a :class:`SpeechTransformer`; defaults: base.

    Arguments
    ---------
    conv_layers : list of [int, int, int]
        Channels, kernel size and stride of each convolution.
    conv_norm : str
        "group": group norm (one channel a group) after the first convolution,
        as in base models; "layer": layer norm after each, as in large ones.
    conv_bias : bool
        Bias in the convolutions.
    front_end_norm : bool
        Layer norm between the convolutions and the projection.
    adapter_size : int
        Size of the language adapters after each layer, as in MMS; needs
        ``norm_first``. 0: no adapters.
    target_lang : str, optional
        Language of the adapters among the weights, if it is known.
    sample_rate : int
        Sample rate of the waveforms, Hz.
    normalize_wav : bool
        Scale waveforms to zero mean and unit variance.
    normalize_eps : float
        Constant added to that variance: 1e-5 in fairseq, 1e-7 in Hugging Face.
    **entries
        See :class:`~s3prl_sb.lobes.networks.encoder_config.EncoderConfig`.
    """

    choices: ClassVar = {**EncoderConfig.choices, "conv_norm": ("group", "layer")}

    conv_layers: list = dataclasses.field(
        default_factory=lambda: [list(layer) for layer in CONV_LAYERS]
    )
    conv_norm: str = "group"
    conv_bias: bool = False
    front_end_norm: bool = True
    adapter_size: int = 0
    target_lang: str | None = None
    sample_rate: int = 16000
    normalize_wav: bool = False
    normalize_eps: float = 1e-5

    def __post_init__(self):
        super().__post_init__()
        if self.adapter_size and (self.layer != "transformer" or not self.norm_first):
            raise ValueError("adapter_size is for Transformer layers with norm_first")


class SpeechTransformer(nn.Module):
    """Network of wav2vec 2.0, from the waveform.

    Arguments
    ---------
    config : TransformerConfig
        Sizes and options.

    Example
    -------
    >>> config = TransformerConfig(hidden_size=32, ffn_size=64, num_layers=2,
    ...     num_heads=4, conv_layers=[[16, 10, 5], [16, 8, 64]])
    >>> network = SpeechTransformer(config).eval()
    >>> states = network([torch.randn(4000), torch.randn(3000)], "inputs")
    >>> [list(state.shape) for state in states]
    [[23, 32], [23, 32], [23, 32]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        channels, size = config.conv_layers[-1][0], config.hidden_size
        self.front_end = ConvolutionalFrontEnd(config)
        has_norm = config.front_end_norm
        self.front_end_norm = nn.LayerNorm(channels) if has_norm else nn.Identity()
        same = channels == size
        self.projection = nn.Identity() if same else nn.Linear(channels, size)
        self.encoder = Encoder(config)

    def reset_parameters(self, seed=0):
        """Initializes the weights for training from scratch, as in the papers.

        Arguments
        ---------
        seed : int
            Equal seeds give equal weights, in every process.
        """
        initialize(self, seed)
        random = torch.Generator().manual_seed(seed)
        for module in self.front_end.convolutions:
            nn.init.kaiming_normal_(module.weight, generator=random)
        self.encoder.initialize(random)

    def forward(self, wavs, selection="inputs", window=None):
        """Yields the hidden states.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i], none shorter than a frame.
        selection, window
            See :class:`Encoder`. "projected": the input of the encoder without
            positions, then the output of every layer.

        Yields
        ------
        torch.Tensor
            [total_frames, hidden_size].
        """
        x, frames = self.front(wavs)
        yield from self.encode(x, frames, selection, window)

    def encode(self, x, frames, selection="inputs", window=None):
        """Yields the hidden states of the result of :meth:`front`."""
        if selection == "projected":
            yield x
            selection = "outputs"
        yield from self.encoder(x, frames, selection, window)

    def front(self, wavs):
        """Returns the input of the encoder.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i], none shorter than a frame.

        Returns
        -------
        x : torch.Tensor
            [total_frames, hidden_size].
        frames : list of int
            Number of frames of each utterance.
        """
        x, frames = self.local(wavs)
        return self.embed(x), frames

    def local(self, wavs):
        """Returns the output of the convolutions, [total_frames, channels], and the
        number of frames of each utterance."""
        if self.config.normalize_wav:
            eps = self.config.normalize_eps
            wavs = [F.layer_norm(wav, wav.shape, eps=eps) for wav in wavs]
        features = self.front_end(wavs)
        return torch.cat(features), [len(piece) for piece in features]

    def embed(self, x):
        """Normalizes and projects the output of the convolutions: [total_frames,
        channels] -> [total_frames, hidden_size]."""
        x = self.projection(self.front_end_norm(x))
        return F.dropout(x, self.config.input_dropout, self.training)
