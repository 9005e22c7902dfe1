"""DeCoAR 2.0: a Transformer that reconstructs slices of features.

Paper: Ling and Liu, "DeCoAR 2.0: Deep Contextualized Acoustic Representations
with Vector Quantization", https://arxiv.org/abs/2012.06659. Reproduces S3PRL's
``upstream/decoar2``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import re

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.renaming import bare
from s3prl_sb.lobes.checkpoints.s3prl_layout import AUDIO, contents
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import fairseq_weights
from s3prl_sb.lobes.networks.encoder_config import EncoderConfig
from s3prl_sb.lobes.networks.feature_encoder import FeatureEncoder
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.stages import EncoderStages

#: Weights of the network; those of quantizer and reconstruction are dropped.
USED = re.compile(r"(post_extract_proj|encoder)\.")


@dataclasses.dataclass
class Decoar2Config:
    """Configuration of DeCoAR 2.0.

    Arguments
    ---------
    hidden_size, ffn_size, num_layers, num_heads, position_kernel, position_groups
        See :class:`EncoderConfig`.
    audio : dict
        Arguments of :class:`~s3prl_sb.lobes.upstreams.features.KaldiFeatures`
        that differ from DeCoAR's.
    """

    hidden_size: int = 768
    ffn_size: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    position_kernel: int = 128
    position_groups: int = 16
    audio: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self.audio = {**AUDIO, **self.audio}

    def transformer(self):
        """Returns the configuration of the encoder."""
        return EncoderConfig(**{k: v for k, v in vars(self).items() if k != "audio"})


def read_decoar2(path):
    """Reads a checkpoint of S3PRL.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        Entries of :class:`Decoar2Config`, from the shapes of the weights.
    weights : dict
        Weights of :class:`FeatureEncoder`.

    Raises
    ------
    CheckpointError
        If the file belongs to another family.
    """
    states = as_dict(read(path))
    model = bare(as_dict(states.get("model")))
    parts = ("post_extract_proj", "encoder.layers.0.fc1")
    needed = [f"{part}.weight" for part in parts]
    if not set(needed) <= set(model) or "feature_extractor" in str(list(model)):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of DeCoAR 2.0: these have 'model' with "
            f"{', '.join(needed)}, and no feature_extractor. "
            f"It holds {contents(states)}."
        )
    used = {name: tensor for name, tensor in model.items() if USED.match(name)}
    weights = fairseq_weights(used, {"layer": "transformer"})
    convolution = weights.get("encoder.positions.convolutions.0.weight")
    if convolution is None:
        raise CheckpointError(f"'{path}' lacks the weights of encoder.pos_conv.0.")
    hidden_size, num_mel_bins = model["post_extract_proj.weight"].shape
    layers = {name.split(".")[2] for name in weights if ".layers." in name}
    return {
        "hidden_size": hidden_size,
        "ffn_size": len(model["encoder.layers.0.fc1.weight"]),
        "num_layers": len(layers),
        "position_kernel": convolution.shape[2],
        "position_groups": hidden_size // convolution.shape[1],
        "audio": {"num_mel_bins": num_mel_bins},
    }, weights


class Decoar2(EncoderStages, PretrainedUpstream):
    """DeCoAR 2.0.

    Its hidden states are the input of every Transformer layer and the output
    of the last: ``num_layers`` is one more than the layers. It sees every
    second frame of the features.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address. It brings its own sizes. None: a
        random network of ``config``.
    config : dict, optional
        Entries of :class:`Decoar2Config`. With ``source``, entries that its
        checkpoint does not hold: ``num_heads`` if they are not 12.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    S3PRL loads checkpoints of one size, and missing weights stay random. Here the
    sizes come from the checkpoint, whose encoder must be complete.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> upstream = Decoar2(config=tiny)
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 49, 32]))
    """

    Config = Decoar2Config
    read = staticmethod(read_decoar2)

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        self.stride = 2 * self.features.stride
        self.output_size = self.config.hidden_size
        self.num_layers = self.config.num_layers + 1

    def load_source(self, source, config):
        """Returns configuration and weights; ``config`` has priority over a file."""
        entries, weights = super().load_source(source, config)
        audio = {**entries.get("audio", {}), **config.get("audio", {})}
        return {**entries, **config, "audio": audio}, weights

    def make_features(self):
        """Returns the Kaldi features."""
        return KaldiFeatures(**self.config.audio)

    def make_network(self):
        """Returns the encoder over features."""
        return FeatureEncoder(self.features.output_size, self.config.transformer())

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return (super().frames(samples) + 1) // 2

    def input_features(self, wav):
        """Returns every second frame of the features, [frames, size]."""
        return super().input_features(wav)[::2]
