"""Mockingjay, TERA and Audio ALBERT: Transformers over acoustic features.

Papers: Liu et al., "Mockingjay: Unsupervised Speech Representation Learning
with Deep Bidirectional Transformer Encoders", ICASSP 2020,
https://arxiv.org/abs/1910.12638; Liu et al., "TERA: Self-Supervised Learning
of Transformer Encoder Representation for Speech", TASLP 2021,
https://arxiv.org/abs/2007.06028; Chi et al., "Audio ALBERT: A Lite BERT for
Self-Supervised Learning of Audio Representation", SLT 2021,
https://arxiv.org/abs/2005.08575. Reproduces S3PRL's ``upstream/mockingjay``,
``tera``, ``audio_albert`` and ``spec_augment``, which are one network.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import dataclasses
import math
import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.networks.encoder import ACTIVATIONS, EncoderLayer
from s3prl_sb.lobes.networks.transformer import TransformerConfig
from s3prl_sb.lobes.upstreams.features import from_s3prl
from s3prl_sb.lobes.upstreams.features_from_ark import FeaturesFromArk
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.stages import FeatureStages

#: S3PRL's names of the weights, and ours. Applied from first to last.
NAMES = {
    # Pre-LN networks name the norm of a sub-layer differently.
    r"(\.layer\.\d+)(\.attention)?\.LayerNorm\.": r"\1\2.output.LayerNorm.",
    r"^input_representations\.spec_transform\.": "projection.",
    r"^input_representations\.LayerNorm\.": "norm.",
    r"^encoder\.LayerNorm\.": "state_norms.",
    r"^encoder\.layer\.": "layers.",
    r"\.attention\.self\.": ".attention.",
    r"\.attention\.output\.dense\.": ".attention.output.",
    r"\.attention\.output\.LayerNorm\.": ".attention_norm.",
    r"\.intermediate\.dense\.": ".expand.",
    r"^(layers\.\d+)\.output\.dense\.": r"\1.contract.",
    r"^(layers\.\d+)\.output\.LayerNorm\.": r"\1.ffn_norm.",
    r"\.gamma$": ".weight",
    r"\.beta$": ".bias",
}


@dataclasses.dataclass
class Architecture:
    """The ``transformer`` block of a configuration, under S3PRL's names.

    The defaults are those of the base model.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 3
    num_attention_heads: int = 12
    intermediate_size: int = 3072  #: of the feed-forwards
    hidden_act: str = "gelu"  #: or "relu", "swish"
    hidden_dropout_prob: float = 0.1  #: in training mode
    attention_probs_dropout_prob: float = 0.1  #: in training mode
    initializer_range: float = 0.02  #: standard deviation of random weights
    layer_norm_eps: float = 1e-12  #: added to the variance
    share_layer: bool = False  #: one layer, applied num_hidden_layers times
    pre_layer_norm: bool = False  #: norms first, and one for each hidden state

    def __post_init__(self):
        for field in dataclasses.fields(self):  # YAML reads 1e-12 as a string
            setattr(self, field.name, field.type(getattr(self, field.name)))
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(f"hidden_act must be one of: {', '.join(ACTIVATIONS)}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size must be a multiple of num_attention_heads")

    @property
    def layer(self):
        """Configuration of an :class:`EncoderLayer`."""
        return TransformerConfig(
            hidden_size=self.hidden_size,
            ffn_size=self.intermediate_size,
            num_heads=self.num_attention_heads,
            norm_first=self.pre_layer_norm,
            norm_eps=self.layer_norm_eps,
            activation=self.hidden_act,
            dropout=self.hidden_dropout_prob,
            attention_dropout=self.attention_probs_dropout_prob,
        )


class FeatureTransformer(nn.Module):
    """Network of Mockingjay: projection, positions, layers.

    Arguments
    ---------
    config : Architecture
        Sizes and options.
    input_size : int
        Size of the features.

    Example
    -------
    >>> config = Architecture(hidden_size=32, num_attention_heads=4)
    >>> network = FeatureTransformer(config, input_size=80)
    >>> [list(state.shape) for state in network(torch.randn(100, 80), [60, 40])]
    [[100, 32], [100, 32], [100, 32], [100, 32]]
    """

    def __init__(self, config, input_size):
        super().__init__()
        self.config = config
        size, depth = config.hidden_size, config.num_hidden_layers
        self.projection = nn.Linear(input_size, size)
        self.norm = nn.LayerNorm(size, config.layer_norm_eps)
        copies = 1 if config.share_layer else depth
        self.layers = nn.ModuleList(EncoderLayer(config.layer) for _ in range(copies))
        self.state_norms = nn.ModuleList(
            nn.LayerNorm(size, config.layer_norm_eps)
            for _ in range(depth + 1 if config.pre_layer_norm else 0)
        )
        self._table = None  # grows to the longest chunk

    def reset_parameters(self, seed=0):
        """Initializes the weights for training from scratch."""
        std, generator = self.config.initializer_range, torch.Generator("cpu")
        generator.manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=std, generator=generator)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                module.reset_parameters()

    def forward(self, x, sizes):
        """Returns an iterator over the hidden states.

        Arguments
        ---------
        x : torch.Tensor
            Features of all chunks, [total_frames, input_size].
        sizes : list of int
            Number of frames of each chunk.

        Returns
        -------
        iterator of torch.Tensor
            [total_frames, hidden_size].
        """
        return self.encode(self.projection(x), sizes)

    def encode(self, x, sizes):
        """Yields the hidden states of projected features [total_frames,
        hidden_size]."""
        x = self.norm(x + self._positions(sizes))
        x = F.dropout(x, self.config.hidden_dropout_prob, self.training)
        pre, shared = self.config.pre_layer_norm, self.config.share_layer
        for i in range(self.config.num_hidden_layers):
            yield self.state_norms[i](x) if pre else x
            x, _ = self.layers[0 if shared else i](x, sizes)
        yield self.state_norms[-1](x) if pre else x

    def _positions(self, sizes):
        """Returns sines in even, cosines in odd columns, from 0 in each chunk."""
        if self._table is None or len(self._table) < max(sizes):
            size = self.config.hidden_size
            pairs = torch.arange(size, dtype=torch.double) // 2
            angles = torch.arange(max(sizes))[:, None] / 10000 ** (2 * pairs / size)
            angles[:, 0::2] = angles[:, 0::2].sin()
            angles[:, 1::2] = angles[:, 1::2].cos()
            self._table = angles.float()
        weight = self.projection.weight
        self._table = self._table.to(weight.device)
        return torch.cat([self._table[:size] for size in sizes]).to(weight.dtype)


def read_mockingjay(path):
    """Reads a checkpoint of S3PRL, old or new.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    config : dict
        Its ``transformer``, ``audio`` and ``task`` blocks.
    weights : dict
        Weights of :class:`FeatureTransformer`. The head of pre-training,
        ``SpecHead``, is not used for hidden states and dropped.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint.
    """
    states = as_dict(read(path))
    # New files have the trainer's configuration under 'Config'.
    for key in ("Config", "Upstream_Config"):
        config = as_dict(plain(states.get(key)))
        size = as_dict(config.get("transformer")).get("input_dim")
        if "audio" not in config and isinstance(size, int) and size > 0:
            # Pre-trained on features that were extracted before, such as fMLLR.
            config["audio"] = {"ark": {"size": size}}
        has_blocks = {"transformer", "audio", "task"} <= config.keys()
        if "Transformer" in states and has_blocks:
            transformer = config["transformer"]
            return config, _converted(states["Transformer"], transformer, path)
    raise CheckpointError(
        f"'{path}' is not a checkpoint of Mockingjay, TERA or Audio ALBERT: these "
        "have 'Transformer', and 'Config' or 'Upstream_Config' with 'transformer', "
        "'audio' and 'task'. Its keys: " + ", ".join(sorted(map(str, states))[:12])
    )


def _converted(weights, transformer, path):
    """Converts S3PRL's weights to our names, each once."""
    converted = {}
    for name, tensor in weights.items():
        name = our_name(name, NAMES)
        if transformer.get("share_layer"):  # the file holds as many copies
            name = re.sub(r"^layers\.\d+\.", "layers.0.", name)
        if not torch.equal(converted.setdefault(name, tensor), tensor):
            raise CheckpointError(
                f"'{path}' has several values of '{name}', which should be shared"
            )
    return converted


class Mockingjay(FeatureStages, PretrainedUpstream):
    """Mockingjay.

    Its hidden states are the input of the first layer and the output of each layer:
    ``num_layers`` is one more than the number of layers.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address. It brings its own architecture
        and features. None: a random network of ``config``.
    config : dict, optional
        Entries of the blocks ``transformer``, ``audio`` and ``task`` that differ from
        the base model, under S3PRL's names; only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    S3PRL treats a frame whose features sum to exactly zero as padding, and cuts long
    audio by the length of the padded batch. Here the length of the utterance counts
    for both.

    Example
    -------
    >>> tiny = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
    >>> hidden_states, lens = Mockingjay(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (4, torch.Size([2, 101, 32]))
    """

    read = staticmethod(read_mockingjay)
    #: all blocks of the base model
    defaults = {
        "transformer": dataclasses.asdict(Architecture()),
        "audio": {
            "target_level": -25,
            "win_ms": 25,
            "hop_ms": 10,
            "n_freq": 201,
            "n_mels": 80,
            "input": {"feat_type": "mel", "log": True, "delta": 0, "cmvn": True},
        },
        "task": {"sequence_length": 1500},
    }

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        audio = self.config["audio"]
        # Only the input of the STFT is rescaled.
        rescaled = not {"ark", "kaldi"} & audio.keys()
        self.target_level = audio["target_level"] if rescaled else None
        # Of features from elsewhere the input are frames, not samples.
        self.sample_rate = self.features.sample_rate
        self.input_size = self.features.input_size
        self.sequence_length = int(self.config["task"]["sequence_length"])
        self.output_size = self.network.config.hidden_size
        self.num_layers = self.network.config.num_hidden_layers + 1

    def load_source(self, source, config):
        """Returns all blocks of the configuration, and the weights (None: random)."""
        if source is None:
            return _merged(self.defaults, config), None
        return self.read_source(source)

    def make_config(self, entries):
        """Returns the blocks, which may have entries that are not used here."""
        return entries

    def make_features(self):
        """Returns the features of the ``audio`` block."""
        audio = self.config["audio"]
        return FeaturesFromArk(**audio["ark"]) if "ark" in audio else from_s3prl(audio)

    def make_network(self):
        """Returns the Transformer."""
        block = self.config["transformer"]
        names = [key for key in self.defaults["transformer"] if key in block]
        architecture = Architecture(**{name: block[name] for name in names})
        return FeatureTransformer(architecture, self.features.output_size)

    @property
    def embedded_size(self):
        """Size of the projected features."""
        return self.output_size

    def embed(self, x):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.embed`."""
        return self.network.projection(x)

    def contextualize(self, x, frames):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.contextualize`."""
        return self.network.encode(x, self._chunks(frames))

    def begin_pretraining(self):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.begin_pretraining`."""
        super().begin_pretraining()
        # The last hidden state has a norm of its own.
        self.network.state_norms[:-1].requires_grad_(False)

    def _chunks(self, frames):
        """Returns the frames of the chunks that long audio is cut into."""
        longest, sizes = self.sequence_length, []
        for count in frames:
            chunks = math.ceil(count / longest) if longest > 0 else 1
            size = math.ceil(count / chunks)
            while count > 0:
                sizes.append(min(size, count))
                count -= size
        return sizes

    def input_features(self, wav):
        """Returns the features of one waveform at the level of pre-training."""
        if self.target_level is not None:
            rms = wav.pow(2).mean().sqrt()
            wav = wav * (10 ** (self.target_level / 20) / (rms + 1e-10))
        return super().input_features(wav)


class Tera(Mockingjay):
    """TERA: :class:`Mockingjay`'s network, pre-trained on more alterations.

    Example
    -------
    >>> tiny = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
    >>> Tera(config=tiny).num_layers
    4
    """


class AudioAlbert(Mockingjay):
    """Audio ALBERT: :class:`Mockingjay` with one layer, applied repeatedly.

    Example
    -------
    >>> tiny = {"transformer": {"hidden_size": 32, "num_attention_heads": 4}}
    >>> upstream = AudioAlbert(config=tiny)
    >>> upstream.num_layers, len(upstream.network.layers)
    (4, 1)
    """

    defaults = {
        **Mockingjay.defaults,
        "transformer": dataclasses.asdict(Architecture(share_layer=True)),
    }


def _merged(defaults, changes, where="config"):
    """Merges nested dicts, the second over the first."""
    result = copy.deepcopy(defaults)  # those of the class must not change
    for key, value in changes.items():
        if key not in defaults and where in ("config", "config.transformer"):
            raise ValueError(f"Unknown {where}.{key}. Known: {', '.join(defaults)}")
        block = defaults.get(key)
        nested = isinstance(value, dict) and isinstance(block, dict)
        result[key] = _merged(block, value, f"{where}.{key}") if nested else value
    return result
