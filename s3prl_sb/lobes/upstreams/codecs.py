"""Neural codecs of the library transformers, by id or folder.

- EnCodec: Défossez et al., https://arxiv.org/abs/2210.13438
- DAC: Kumar et al., https://arxiv.org/abs/2306.06546
- Mimi: Défossez et al., "Moshi", https://arxiv.org/abs/2410.00037
- X-Codec: Ye et al., "Codec Does Matter", https://arxiv.org/abs/2408.17175
- X-Codec 2: Ye et al., "Llasa", https://arxiv.org/abs/2502.04128
- NeuCodec: Julian et al., https://arxiv.org/abs/2509.09550

Code in a checkpoint never runs.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

import torch

from s3prl_sb.lobes.checkpoints import huggingface_architecture, huggingface_folder
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.networks.codebooks import (
    Codebook,
    ResidualQuantizer,
    ScalarQuantizer,
    SplitQuantizer,
)
from s3prl_sb.lobes.networks.codec_encoders import (
    DacEncoder,
    EncodecEncoder,
    MimiEncoder,
)
from s3prl_sb.lobes.networks.codecs import CodecNetwork
from s3prl_sb.lobes.networks.quantizer import waveform_codes
from s3prl_sb.lobes.networks.semantic_codec_encoders import (
    Xcodec2Encoder,
    XcodecEncoder,
)
from s3prl_sb.lobes.upstreams.base import PRECISIONS
from s3prl_sb.lobes.upstreams.huggingface import StackedMel
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Names of the layers that an adapter changes, in Mimi's Transformer.
ADAPTED = {"lora": ["*.q_proj", "*.v_proj"], "bottleneck": ["*.o_proj", "*.fc2"]}


def encodec(config):
    """Returns the encoder and the quantizer of EnCodec."""
    if config.audio_channels != 1 or config.chunk_length_s is not None:
        raise CheckpointError(
            f"This EnCodec codes {config.audio_channels} channels in chunks that "
            "overlap, so its frames lie on no regular grid. Take a model for one "
            "channel: encodec_24khz or encodec_32khz."
        )
    sizes = config.codebook_size, config.codebook_dim
    layers = (Codebook(*sizes) for _ in range(config.num_quantizers))
    return EncodecEncoder(config), ResidualQuantizer(layers)


def dac(config):
    """Returns the encoder and the quantizer of DAC."""
    options = {"frame_size": config.hidden_size, "cosine": True}
    sizes = config.codebook_size, config.codebook_dim
    layers = (Codebook(*sizes, **options) for _ in range(config.n_codebooks))
    return DacEncoder(config), ResidualQuantizer(layers)


def mimi(config):
    """Returns the encoder and the quantizer of Mimi."""
    sizes = config.codebook_size, config.codebook_dim
    inner = config.vector_quantization_hidden_dimension
    project = None if inner == config.hidden_size else (config.hidden_size, inner)
    semantic = config.num_semantic_quantizers
    counts = semantic, config.num_quantizers - semantic
    parts = [
        ResidualQuantizer((Codebook(*sizes) for _ in range(count)), project)
        for count in counts
    ]
    return MimiEncoder(config), SplitQuantizer(parts)


def xcodec(config):
    """Returns the encoder and the quantizer of X-Codec."""
    sizes = config.codebook_size, config.codebook_dim
    layers = (Codebook(*sizes) for _ in range(config.num_quantizers))
    network = semantic_network(config)
    return XcodecEncoder(config, network), ResidualQuantizer(layers)


def xcodec2(config, mel, margin=160):
    """Returns the encoder and the quantizer of X-Codec 2."""
    encoder = Xcodec2Encoder(config, semantic_network(config), mel, margin)
    quantizer = ScalarQuantizer(config.quantization_levels, config.quantization_dim)
    return encoder, quantizer


def semantic_network(config):
    """Returns the class of the network that other authors have trained."""
    mapping = huggingface_architecture.library().MODEL_MAPPING
    return mapping[type(config.semantic_model_config)]


class Kind(NamedTuple):
    """Layout of a codec's checkpoint."""

    make: Callable  #: function of the configuration, and of the mel if there is one
    names: dict  #: names of weights to ours, besides :data:`NAMES`
    rate: str = "sampling_rate"  #: entry of the configuration with the sample rate
    mel: bool = False  #: whether one branch sees the log mel of w2v-BERT 2.0
    since: str = "4.57"  #: version of transformers, of those that we take


#: Names of all codecs.
NAMES = {
    r"^(quantizer\..*)\.codebook\.(embed|weight)$": r"\1.vectors",
    r"^(quantizer\..*)\.in_proj\.": r"\1.project_in.",
    r"^(quantizer\..*)\.out_proj\.": r"\1.project_out.",
}
SEMANTIC = {
    r"^semantic_(model|encoder)\.": "encoder.semantic.model.",
    r"^acoustic_encoder\.": "encoder.acoustic.",
}
XCODEC2 = {
    **SEMANTIC,
    r"^semantic_adapter\.": "encoder.adapter.",
    r"^fc_encoder\.": "encoder.fc.",
}
KINDS = {
    "encodec": Kind(encodec, {}),
    "dac": Kind(
        dac,
        {
            r"^encoder\.": "encoder.acoustic.",
            r"^(quantizer\.)quantizers\.": r"\1layers.",
        },
    ),
    "mimi": Kind(
        mimi,
        {
            r"^encoder\.encoder_seanet\.": "encoder.",  # since transformers 5.24
            r"^(encoder\.)?encoder_transformer\.": "encoder.transformer.",
            r"^(encoder\.)?downsample\.": "encoder.downsample.",
            r"^quantizer\.semantic_residual_vector_quantizer\.": "quantizer.parts.0.",
            r"^quantizer\.acoustic_residual_vector_quantizer\.": "quantizer.parts.1.",
        },
    ),
    "xcodec": Kind(
        xcodec,
        {
            **SEMANTIC,
            r"^encoder_semantic\.": "encoder.semantic_encoder.",
            r"^fc\.": "encoder.fc.",
            r"^(quantizer\.)quantizers\.": r"\1layers.",
        },
        "sample_rate",
    ),
    "xcodec2": Kind(xcodec2, XCODEC2, mel=True, since="5.17"),
    "neucodec": Kind(
        functools.partial(xcodec2, margin=0),
        XCODEC2,
        "input_sampling_rate",
        mel=True,
        since="5.17",
    ),
}
#: Weights of decoders and of training.
UNUSED = re.compile(
    r"^(acoustic_|decoder_semantic|decoder)[a-z_]*decoder[a-z_]*\.|^decoder[a-z_]*\."
    r"|^upsample\.|^fc[12]\.|\.codebook\.(inited|initialized|cluster_size|embed_avg)$"
    r"|masked_spec_embed$"
)


def configuration(entries, where):
    """Returns a configuration of transformers, see
    :func:`~s3prl_sb.lobes.checkpoints.huggingface_architecture.configuration`.

    Raises
    ------
    CheckpointError
        For a type of network other than a codec.
    """
    kind = entries.get("model_type")
    if kind not in KINDS:
        raise CheckpointError(
            f"{where} has model_type: {kind}, which is no codec. Known: "
            + ", ".join(KINDS)
        )
    since = KINDS[kind].since
    return huggingface_architecture.configuration(kind, entries, where, since)


def read_folder(folder):
    """Reads a folder in Hugging Face's layout.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``config.json`` and the weights in ``.safetensors`` or
        ``pytorch_model.bin``.

    Returns
    -------
    config : dict
        Content of ``config.json``.
    weights : dict
        Weights of :class:`CodecNetwork`. Those of the decoder are left out.

    Raises
    ------
    CheckpointError
        If a file is missing, or the type is no codec.
    """
    config = huggingface_folder.network_entries(folder)
    configuration(config, f"'{folder}'")
    weights = huggingface_folder.everything(folder)
    weights = {n: t for n, t in weights.items() if not UNUSED.search(n)}
    weights = huggingface_folder.without_norm(weights)
    table = {**KINDS[config["model_type"]].names, **NAMES}
    result = {}
    for name, tensor in weights.items():
        if name.endswith(".codebook.embed_sum"):  # of the frames of each code
            count = weights[f"{name.removesuffix('embed_sum')}cluster_usage"]
            tensor = tensor / count.clamp_min(1e-5)[:, None]
            name = name.removesuffix("_sum")
        elif name.endswith(".codebook.cluster_usage"):
            continue
        name = our_name(name, table)
        if name.startswith("quantizer.") and tensor.dim() == 3:
            tensor = tensor[..., 0]  # a convolution of one frame
        result[name] = tensor
    return config, result


class Codec(PretrainedUpstream):
    """Neural codec of the library transformers.

    Its hidden states are the continuous latents, before quantization, and the sum of
    the codebooks' vectors for them; between the two, on demand, the vectors of each
    codebook. In front of them Mimi has the input and the outputs of its Transformer's
    layers. :meth:`codes` returns the codes. Types: keys of :data:`KINDS`.

    Arguments
    ---------
    source : str, optional
        Id or folder of Hugging Face. It brings its own architecture. None: a random
        network of ``config``.
    config : dict, optional
        ``model_type`` and the entries of transformers' configuration that differ from
        its defaults; only without ``source``.
    quantizers : int, optional
        Number of codebooks, the first ones, as for a lower bandwidth. None: all.
    each_quantizer : bool
        Add hidden states with the vectors of each codebook, one after the other.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.
        Half precision is that of the hidden states only, as rounding would change
        codes. An ``adapter`` is for Mimi's Transformer.

    Raises
    ------
    ImportError
        Without transformers.
    CheckpointError
        For an unknown type, and for EnCodec of 48 kHz.

    Note
    ----
    The originals pad an utterance to whole frames, and to the longest of a batch. Here
    EnCodec and Mimi see the utterance alone, with the padding of their convolutions,
    and code a last frame that is not full. The others leave it out. X-Codec 2 and
    NeuCodec see the zeros up to a whole frame that the originals add, as their two
    branches need equally many frames.

    The Transformer of Mimi has 25 frames per second, and the latents 12.5. Its hidden
    states are means of two frames.

    EnCodec of 48 kHz is refused: it codes two channels in chunks of a second that
    overlap by 1.5 frames.

    An unfrozen codec trains its encoder. Gradients of the vectors pass straight
    through to the latents. Codebooks, with their projections, and the HuBERT, WavLM or
    w2v-BERT inside of X-Codec, X-Codec 2 and NeuCodec stay as they are, as in the
    training of the originals. These three code audio of more than a minute in chunks of
    a minute, as the attention inside looks at everything. The others see all audio.

    Example
    -------
    >>> tiny = {"model_type": "encodec", "num_filters": 4, "hidden_size": 16,
    ...     "codebook_size": 8, "target_bandwidths": [0.9]}
    >>> upstream = Codec(config=tiny)
    >>> wavs = torch.randn(2, 24000)
    >>> hidden_states, lens = upstream(wavs)
    >>> len(hidden_states), hidden_states[0].shape
    (2, torch.Size([2, 75, 16]))
    >>> codes, lens = upstream.codes(wavs)
    >>> codes.shape
    torch.Size([2, 75, 4])
    """

    packed = True
    read = staticmethod(read_folder)
    codes = waveform_codes

    def __init__(
        self,
        source=None,
        config=None,
        *,
        quantizers=None,
        each_quantizer=False,
        **options,
    ):
        self.quantizers, self.each_quantizer = quantizers, each_quantizer
        super().__init__(source, config, **options)
        if self.adapter is not None:
            layers = ADAPTED.get(self.adapter.get("kind", "lora"))
            self.adapter = {"layers": layers, **self.adapter}
        self.stride = self.network.encoder.stride
        self.num_layers = len(self.output_sizes)
        self.output_size = self.output_sizes[-1]

    def load_source(self, source, config):
        """Returns the checked entries of the configuration, and the weights."""
        entries, weights = super().load_source(source, config)
        options = configuration(entries, "config" if source is None else f"'{source}'")
        if source is None:
            huggingface_architecture.check_known(entries, options)
        self.sample_rate = getattr(options, KINDS[options.model_type].rate)
        return entries, weights

    def make_config(self, entries):
        """Returns the entries of transformers' configuration, a dict."""
        return entries

    def make_features(self):
        """Returns the log mel, if a branch of the encoder sees it."""
        config = configuration(self.config, "config")
        if not KINDS[config.model_type].mel:
            return None
        options = {"sampling_rate": self.sample_rate}
        return StackedMel(config.semantic_model_config, options)

    def make_network(self):
        """Returns encoder and quantizer."""
        config = configuration(self.config, "config")
        kind, mel = KINDS[config.model_type], self.features
        encoder, quantizer = kind.make(config, mel) if kind.mel else kind.make(config)
        return CodecNetwork(encoder, quantizer, self.quantizers, self.each_quantizer)

    @property
    def output_sizes(self):
        """Size of each hidden state."""
        return self.network.sizes

    @functools.cached_property
    def min_samples(self):
        """See :attr:`Upstream.min_samples`."""
        lengths = range(1, self.network.encoder.stride + 1)
        return next(filter(self.network.encoder.frames, lengths))

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return self.network.encoder.frames(max(samples, self.min_samples))

    def codes_of(self, wav):
        """[samples], at least one frame long -> codes [frames, quantizers]."""
        return self.network.codes(wav)

    def encode_packed(self, wavs):
        """See :meth:`Upstream.encode_packed`."""
        dtype = PRECISIONS[self.precision]
        for states in zip(*(self.network(wav.float()) for wav in wavs)):
            yield torch.cat(states).to(dtype)
