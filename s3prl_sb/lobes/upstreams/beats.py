"""BEATs and OpenBEATs: sounds, by masked prediction of acoustic tokens.

Papers: Chen et al., "BEATs: Audio Pre-Training with Acoustic Tokenizers", ICML 2023,
https://arxiv.org/abs/2212.09058; Bharadwaj et al., "OpenBEATs: A Fully Open-Source
General-Purpose Audio Encoder", WASPAA 2025, https://arxiv.org/abs/2507.14129.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import re

from s3prl_sb.lobes.checkpoints.espnet_layout import encoder_options, weights_file
from s3prl_sb.lobes.checkpoints.fairseq_options import weights_in
from s3prl_sb.lobes.checkpoints.fetch import fetch_more
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import bare, below, renamed
from s3prl_sb.lobes.checkpoints.s3prl_layout import contents
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import fairseq_rules
from s3prl_sb.lobes.networks.bands import check_bands, frame_size
from s3prl_sb.lobes.networks.encoder import ACTIVATIONS
from s3prl_sb.lobes.networks.packing import chunk_sizes
from s3prl_sb.lobes.networks.patch_encoder import PatchEncoder, PatchEncoderConfig
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.stages import FeatureStages

#: Scale of the waveforms, which are as Kaldi's: integers of 16 bits.
SCALE = 2**15
#: Name of the first weight.
FIRST = "patch_embedding.weight"
#: Weights whose shapes are the sizes of the network.
SIZES = (
    FIRST,
    "layer_norm.weight",
    "encoder.layer_norm.weight",
    "encoder.pos_conv.0.bias",
    "encoder.layers.0.fc1.weight",
)
#: Part of the names of the weights of tokenizers.
QUANTIZER = "quantize"
#: Weights that only a task uses (ESPnet's after the encoder, too), that only ESPnet's
#: masks use, and the copies of the first layer's table that the other layers share.
UNUSED = re.compile(
    r"predictor\.|downsample_conv\.|conformer_adapter\.|cross_embed_positions\."
    r"|layer_weights$|patch_embedding_pad\.|raw2fbank_pad\."
    r"|encoder\.layers\.[1-9]\d*\.self_attn\.relative_attention_bias\."
)
RULES = [
    (r"patch_embedding\.", "patches."),
    (r"layer_norm\.", "patch_norm."),
    *fairseq_rules("transformer"),
]
#: Options of the authors' that the weights do not show, with the defaults of their
#: code, and our entries of BeatsConfig.
OPTIONS = {
    "deep_norm": (False, "deep_norm"),
    "layer_norm_first": (False, "norm_first"),
    "activation_fn": ("gelu", "activation"),
    "max_distance": (1280, "max_distance"),
    "dropout": (0.1, "dropout"),
    "attention_dropout": (0.1, "attention_dropout"),
    "activation_dropout": (0.0, "activation_dropout"),
    "dropout_input": (0.0, "input_dropout"),
}
#: Those in which all published models differ from these defaults.
PUBLISHED = {"deep_norm": True, "max_distance": 800}
#: Files of ESPnet in a repository of Hugging Face.
ESPNET_FILES = ["*epoch*.pt", "*.pth", "*config.yaml"]


@dataclasses.dataclass
class BeatsConfig(PatchEncoderConfig):
    """Sizes and options of BEATs; defaults: the base model.

    Arguments
    ---------
    fbank_mean, fbank_std : float
        Statistics of the features, which are normalized to zero mean and a standard
        deviation of 0.5.
    **entries
        See :class:`~s3prl_sb.lobes.networks.patch_encoder.PatchEncoderConfig`.
    """

    max_distance: int = 800
    fbank_mean: float = 15.41663
    fbank_std: float = 6.55582


def read_beats(path):
    """Reads a checkpoint of BEATs or OpenBEATs.

    The layouts are those of Microsoft and of OpenBEATs, ``{cfg, model}``; and weights
    alone, under the names of a larger model: ESPnet's fine-tuned ones with their
    ``config.yaml``, and the mirror of PretrainedSED. The options that weights alone do
    not show are those of all published models.

    Arguments
    ---------
    path : pathlib.Path
        The file, or a folder with one ``.pt`` or ``.pth`` at any depth.

    Returns
    -------
    config : dict
        Entries of :class:`BeatsConfig`.
    weights : dict
        Weights of a :class:`~s3prl_sb.lobes.networks.patch_encoder.PatchEncoder`.

    Raises
    ------
    CheckpointError
        If it belongs to another family, or is a tokenizer.
    """
    path = weights_file(path) if path.is_dir() else path
    content = as_dict(read(path))
    weights = below(bare(weights_in(content)), FIRST)
    if any(QUANTIZER in name for name in weights):
        raise CheckpointError(
            f"'{path}' is a tokenizer of BEATs: it makes the targets of pre-training. "
            "Take a model that learned from them, such as BEATs_iter3.pt."
        )
    missing = [name for name in SIZES if name not in weights]
    if missing:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of BEATs: it lacks {', '.join(missing)}. It "
            f"holds {contents(content)}."
        )
    options = plain(content.get("cfg"))
    if not isinstance(options, dict):
        options = {**PUBLISHED, **_espnet_options(path)}
    return _config(weights, options, path), _weights(weights)


def _config(weights, options, path):
    """Returns entries of :class:`BeatsConfig`: sizes of the weights, and options."""
    config = {ours: options.get(k, value) for k, (value, ours) in OPTIONS.items()}
    config.update({k: options[k] for k in ("fbank_mean", "fbank_std") if k in options})
    if config["activation"] not in ACTIVATIONS:
        raise CheckpointError(
            f"'{path}' has activation_fn: {config['activation']}, and this class "
            f"builds {', '.join(ACTIVATIONS)} only."
        )
    numbers = {name.split(".")[2] for name in weights if ".layers." in name}
    size = len(weights["encoder.layer_norm.weight"])
    config.update(
        hidden_size=size,
        ffn_size=len(weights["encoder.layers.0.fc1.weight"]),
        num_layers=len(numbers),
        patch=weights[FIRST].shape[-1],
        patch_channels=len(weights["layer_norm.weight"]),
        patch_bias="patch_embedding.bias" in weights,
    )
    table = weights.get("encoder.layers.0.self_attn.relative_attention_bias.weight")
    if table is None or "encoder.layers.0.self_attn.grep_a" not in weights:
        raise CheckpointError(
            f"'{path}' has no gated relative positions, as all published models have; "
            "no class builds others."
        )
    config.update(num_buckets=len(table), num_heads=table.shape[1])
    direction = _first(weights, r"encoder\.pos_conv\.0\..*(weight_v|original1)$")
    if direction is None:
        raise CheckpointError(f"'{path}' lacks the weights of encoder.pos_conv.0.")
    config.update(
        position_kernel=direction.shape[2],
        position_groups=size // direction.shape[1],
    )
    return config


def _first(weights, pattern):
    return next((t for name, t in weights.items() if re.match(pattern, name)), None)


def _weights(weights):
    """Returns the weights under our names."""
    result = renamed(weights, RULES, UNUSED)
    result["patches.weight"] = result["patches.weight"].flatten(1)
    return result


def _espnet_options(path):
    """Returns the options in ESPnet's ``config.yaml`` beside the weights, if any.

    ESPnet takes the statistics of the features beside ``beats_config``, not from it.
    """
    options = encoder_options(path)
    return {**as_dict(options.get("beats_config")), **options}


class Beats(FeatureStages, PretrainedUpstream):
    """BEATs.

    Its hidden states are the input of every Transformer layer and the output of the
    last: ``num_layers`` is one more than the layers. A frame is the patches of all
    bands at one time, 160 ms; an utterance's last 10-ms frames that do not fill a patch
    are dropped.

    Arguments
    ---------
    source : str or list of str, optional
        Checkpoint of the authors, of OpenBEATs or of PretrainedSED; its address; a
        folder or id of Hugging Face with one of them. It brings its own
        architecture; classifiers are dropped. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`BeatsConfig` that differ from the base model; only without
        ``source``.
    bands : str
        "mean": a frame is the mean of its 8 patches; "concat": they are side by side,
        lowest band first.
    chunk_seconds, overlap_seconds : float
        See :class:`~s3prl_sb.lobes.upstreams.wav2vec2.TransformerUpstream`.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    In a padded batch the original counts a patch that padding fills in part. Here an
    utterance has the whole patches of its own, as when it runs alone there. Audio
    shorter than a patch is padded with zeros to one; ESPnet's encoder repeats audio
    of less than 0.2 s.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> upstream = Beats(config=tiny)
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape, upstream.stride
    (3, torch.Size([2, 6, 32]), 2560)
    """

    Config, Network = BeatsConfig, PatchEncoder
    read = staticmethod(read_beats)

    def __init__(
        self,
        source=None,
        config=None,
        bands="mean",
        *,
        chunk_seconds=None,
        overlap_seconds=2.0,
        **options,
    ):
        check_bands(bands)
        self.bands = bands
        super().__init__(source, config, **options)
        config = self.config
        self.stride = config.patch * self.features.stride
        self.output_size = frame_size(config.hidden_size, config.num_bands, bands)
        self.num_layers = config.num_layers + 1
        rate = self.sample_rate / self.stride
        self.window = chunk_sizes(rate, chunk_seconds, overlap_seconds)

    def read_source(self, source):
        """Reads a checkpoint, with the files of ESPnet's repositories."""
        fetch_more(source, ESPNET_FILES)
        return super().read_source(source)

    def make_features(self):
        """Returns the log mel features."""
        bands = self.config.num_mel_bins
        return KaldiFeatures("fbank", deltas=0, cmvn=False, num_mel_bins=bands)

    @property
    def local_size(self):
        """Size of a frame of patches."""
        return self.config.num_bands * self.config.patch**2

    @property
    def embedded_size(self):
        """Size of a frame of projected patches."""
        return self.config.num_bands * self.config.hidden_size

    @property
    def min_samples(self):
        """Length that fills a patch, in samples."""
        missing = self.config.patch - 1
        return self.features.min_samples + missing * self.features.stride

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return super().frames(samples) // self.config.patch

    def input_features(self, wav):
        """Returns the whole patches of one waveform, [frames, local_size]."""
        config = self.config
        x = super().input_features(SCALE * wav)
        x = (x - config.fbank_mean) / (2 * config.fbank_std)
        whole = len(x) // config.patch * config.patch
        x = x[:whole].unflatten(1, (config.num_bands, -1))
        return x.unflatten(0, (-1, config.patch)).transpose(1, 2).flatten(1)

    def embed(self, x):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.embed`."""
        return self.network.embed(x)

    def contextualize(self, x, frames):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.contextualize`."""
        return self.network.encode(x, frames, self.bands, self.window)
