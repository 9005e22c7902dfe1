"""What the small models that were distilled from HuBERT share.

Their first hidden state is what the encoder gets, before it knows positions;
the others are the outputs of its layers.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.upstreams.building import build, read_source
from s3prl_sb.lobes.upstreams.transformer import SpeechTransformer, TransformerConfig
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2


class Distilled(Wav2Vec2):
    """Base class of them. A subclass sets ``reader``, and ``base``,
    ``config_class`` and ``network_class`` where its architecture differs.

    Arguments
    ---------
    source : str, optional
        Checkpoint in S3PRL's format, or an address. It brings its own
        architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of ``config_class`` that differ from the base model; only
        without ``source``.
    freeze, freeze_front_end, precision, adapter, layerdrop, chunk_seconds,
    overlap_seconds, seed
        As of :class:`~s3prl_sb.lobes.upstreams.wav2vec2.Wav2Vec2`.
    """

    reader = None  #: from a path to the configuration and the weights
    config_class = TransformerConfig
    network_class = SpeechTransformer

    def __init__(
        self,
        source=None,
        config=None,
        freeze=True,
        freeze_front_end=True,
        precision="fp32",
        adapter=None,
        layerdrop=0.0,
        chunk_seconds=None,
        overlap_seconds=2.0,
        seed=0,
    ):
        Upstream.__init__(self, freeze, precision, adapter)
        self.freeze_front_end = freeze_front_end
        if source is None:
            config, weights = {**self.base, **(config or {})}, None
        else:
            config, weights = read_source(source, self.reader)
        self.config = self.config_class.of(config)
        self.network = build(
            lambda: self.network_class(self.config), weights, source, seed
        )
        self.config.layerdrop = layerdrop
        if freeze_front_end:
            self.network.front_end.requires_grad_(False)
        if self.config.norm_first:  # it follows the last hidden state
            self.network.encoder.norm.requires_grad_(False)
        self.output_size = self.config.hidden_size
        self.num_layers = 1 + self.config.num_layers
        self.stride = self.network.front_end.stride
        self.window = self._window(chunk_seconds, overlap_seconds)

    def encode_packed(self, wavs):
        """List of [samples_i] -> hidden states [total_frames, output_size]."""
        x, frames = self.network.front(wavs)
        yield x
        yield from self.network.encoder(x, frames, "outputs", self.window)
