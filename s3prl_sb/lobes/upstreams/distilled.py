"""What the small models that were distilled from HuBERT share.

Their first hidden state is what the encoder gets, before it knows positions;
the others are the outputs of its layers.

Authors
 * The s3prl_sb developers, 2026
"""

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
        super().__init__(
            source,
            config,
            freeze=freeze,
            freeze_front_end=freeze_front_end,
            precision=precision,
            adapter=adapter,
            layerdrop=layerdrop,
            chunk_seconds=chunk_seconds,
            overlap_seconds=overlap_seconds,
            seed=seed,
        )
        if self.config.norm_first:  # it follows the last hidden state
            self.network.encoder.norm.requires_grad_(False)

    def encode_packed(self, wavs):
        """List of [samples_i] -> hidden states [total_frames, output_size]."""
        x, frames = self.network.front(wavs)
        yield x
        yield from self.network.encoder(x, frames, "outputs", self.window)
