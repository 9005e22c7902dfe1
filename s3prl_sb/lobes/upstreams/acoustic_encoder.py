"""Encoders over stacked acoustic features, to pre-train from scratch.

Acoustic features, several frames of them as one, a projection and an encoder: the
network of BEST-RQ (Chiu et al., "Self-supervised Learning with Random-projection
Quantizer for Speech Recognition", ICML 2022, https://arxiv.org/abs/2202.01855), and one
for every objective that was published with another network.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import inspect

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.encoder_config import EncoderConfig
from s3prl_sb.lobes.networks.feature_encoder import FeatureEncoder
from s3prl_sb.lobes.upstreams.features import KALDI, STFT, KaldiFeatures, StftFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.stages import EncoderStages

#: Features of ``kind``: those of the STFT, and Kaldi's.
KINDS = (*STFT, *(f"kaldi_{feature}" for feature in KALDI))
FIXED = {"self", "feature", "freeze", "precision"}  # of the classes, not of a card


@dataclasses.dataclass
class AcousticConfig(EncoderConfig):
    """Configuration of :class:`AcousticEncoder`.

    Arguments
    ---------
    features : dict
        ``kind``: "mel", "linear", "mfcc" or "magnitude" of the centred STFT, or
        "kaldi_fbank", "kaldi_mfcc" or "kaldi_spectrogram"; and arguments of
        :class:`~s3prl_sb.lobes.upstreams.features.StftFeatures` or
        :class:`~s3prl_sb.lobes.upstreams.features.KaldiFeatures`. Default: log mel 80,
        normalized in each utterance.
    stack : int
        Number of frames of features that become one frame of the encoder.
    **entries
        See :class:`EncoderConfig`.

    Example
    -------
    >>> AcousticConfig(features={"n_mels": 40}).make_features().output_size
    40
    """

    features: dict = dataclasses.field(default_factory=dict)
    stack: int = 1

    def __post_init__(self):
        super().__post_init__()
        self.features = {"kind": "mel", **self.features}
        if self.features["kind"] not in KINDS:
            raise ValueError(
                f"kind of features must be one of {', '.join(KINDS)}, not "
                f"'{self.features['kind']}'"
            )
        if not isinstance(self.stack, int) or self.stack < 1:
            raise ValueError(f"stack must be 1 frame or more, not {self.stack}")

    def make_features(self):
        """Returns the acoustic features."""
        options = {**self.features}
        kind = options.pop("kind")
        if kind.startswith("kaldi_"):  # it checks its options itself
            return KaldiFeatures(kind.removeprefix("kaldi_"), **options)
        names = inspect.signature(StftFeatures.__init__).parameters.keys() - FIXED
        unknown = sorted(map(str, options.keys() - names))
        if unknown:
            raise ValueError(
                f"Unknown entry of features: {', '.join(unknown)}. Known: kind, "
                + ", ".join(sorted(names))
            )
        return StftFeatures(kind, **options)


class AcousticEncoder(EncoderStages, PretrainedUpstream):
    """Transformer or conformer over stacked acoustic features.

    Its hidden states are the input of every layer and the output of the encoder:
    ``num_layers`` is one more than the layers. An utterance's last frames that do not
    fill a stack are dropped.

    Arguments
    ---------
    source : str, optional
        File of a conversion, or of a pre-training. It brings its own configuration.
        None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`AcousticConfig`; only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    With ``causal: True`` no frame sees a later frame of the features. Normalization in
    each utterance (``cmvn``) still looks at all of them, as in the published APC.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "layer": "conformer", "attention": "rotary", "stack": 4}
    >>> upstream = AcousticEncoder(config=tiny)
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape, upstream.stride
    (3, torch.Size([2, 25, 32]), 640)
    >>> upstream.local_size
    320
    """

    Config = AcousticConfig

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        self.stride = self.config.stack * self.features.stride
        self.output_size = self.config.hidden_size
        self.num_layers = self.config.num_layers + 1

    def make_features(self):
        """Returns the acoustic features."""
        return self.config.make_features()

    def make_network(self):
        """Returns the encoder over stacked features."""
        return FeatureEncoder(self.local_size, self.config)

    @property
    def local_size(self):
        """Size of the stacked features."""
        return self.config.stack * self.features.output_size

    @property
    def min_samples(self):
        """Length that fills a stack, in samples."""
        shortest, stack = self.features.min_samples, self.config.stack
        missing = max(0, stack - self.features.frames(shortest))
        return shortest + missing * self.features.stride

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return super().frames(samples) // self.config.stack

    def input_features(self, wav):
        """Returns the stacked features of one waveform, [frames, local_size]."""
        x = super().input_features(wav)
        stack = self.config.stack
        whole = len(x) // stack * stack
        return x[:whole].unflatten(0, (-1, stack)).flatten(1)

    def read(self, path):
        """Raises an error: no other program writes checkpoints of this network."""
        raise CheckpointError(
            f"'{path}' is no checkpoint of {type(self).__name__}. It reads the "
            "model.safetensors of a pre-training or of s3prl-sb convert."
        )
