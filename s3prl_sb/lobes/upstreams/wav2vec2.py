"""wav2vec 2.0, and every model of its architecture.

Paper: Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning
of Speech Representations", NeurIPS 2020, https://arxiv.org/abs/2006.11477.
Reproduces the hidden states of S3PRL's ``upstream/wav2vec2``.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.checkpoints import language_adapters, sample_rates
from s3prl_sb.lobes.checkpoints.building import build
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import read_transformer
from s3prl_sb.lobes.networks.transformer import SpeechTransformer, TransformerConfig
from s3prl_sb.lobes.upstreams.base import Upstream

#: ``feature_selection`` as S3PRL calls it.
SELECTIONS = {
    None: "inputs",
    "fairseq_layers": "outputs",
    "fairseq_layers_before_residual": "ffn",
}


class Wav2Vec2(Upstream):
    """wav2vec 2.0.

    Its hidden states are the input of every Transformer layer and the output
    of the encoder: ``num_layers`` is one more than the layers.

    Arguments
    ---------
    source : str or list of str, optional
        Checkpoint in S3PRL's, fairseq's, Microsoft's or torchaudio's format,
        folder or id in Hugging Face's, or an address, or several of the same
        file. It brings its own architecture. None: a random network of
        ``config``.
    config : dict, optional
        Entries of :class:`TransformerConfig` that differ from the base model;
        only without ``source``.
    feature_selection : str, optional
        "fairseq_layers": the outputs of the layers instead;
        "fairseq_layers_before_residual": those of their feed-forwards.
    freeze : bool
        No training.
    freeze_front_end : bool
        When fine-tuning, keep the convolutions as they are (as the paper and
        S3PRL do).
    precision : str
        "fp32", "bf16" or "fp16".
    adapter : dict, optional
        Train only small adapters: ``{"kind": "lora", "rank": 8}``.
    layerdrop : float
        Probability to skip a layer when fine-tuning.
    chunk_seconds : float, optional
        Let the layers look no further than this in long audio: they run over
        chunks of so many seconds, which see ``overlap_seconds`` more on either
        side. What attention costs then grows as the audio does, not as its
        square; what comes out is no longer exact. None: whole utterances.
    overlap_seconds : float
        Of the chunks.
    sample_rate : int, optional
        Of the waveforms, Hz, for a checkpoint that does not say it; one that says
        another is an error. None: what it says, else 16000.
    target_lang : str, optional
        Of a folder of MMS with adapters of many languages the language, such as
        "fra": the file ``adapter.fra.safetensors`` or ``.bin`` in it. None: those
        among the weights, if there are some.
    seed : int
        Seed of the random weights.

    Note
    ----
    S3PRL lets a padded batch change what the base models compute: their group
    norm sees the padding. Here every utterance gets what it gets alone.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> upstream = Wav2Vec2(config=tiny)
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 50, 32]))
    """

    packed = True
    base = {}  #: what a random network of the class differs in
    reader = staticmethod(read_transformer)  #: of a path: configuration and weights
    config_class = TransformerConfig
    network_class = SpeechTransformer

    def __init__(
        self,
        source=None,
        config=None,
        feature_selection=None,
        freeze=True,
        freeze_front_end=True,
        precision="fp32",
        adapter=None,
        layerdrop=0.0,
        chunk_seconds=None,
        overlap_seconds=2.0,
        sample_rate=None,
        target_lang=None,
        seed=0,
    ):
        super().__init__(freeze, precision, adapter)
        if feature_selection not in SELECTIONS:
            raise ValueError(
                f"Unknown feature_selection '{feature_selection}'. Known: "
                + ", ".join(map(str, SELECTIONS))
            )
        self.selection = SELECTIONS[feature_selection]
        self.freeze_front_end = freeze_front_end
        if source is None:
            config, weights = {**self.base, **(config or {})}, None
        else:
            read_source = language_adapters.read_source
            config, weights = read_source(source, self.reader, target_lang)
        rate = sample_rates.agreed(sample_rate, config.get("sample_rate"), source)
        self.config = self.config_class.of({**config, "sample_rate": rate})
        self.sample_rate = self.config.sample_rate
        self.network = build(
            lambda: self.network_class(self.config), weights, source, seed
        )
        self.config.layerdrop = layerdrop
        if freeze_front_end:
            self.network.front_end.requires_grad_(False)
        encoder = self.network.encoder
        if self.selection != "inputs" and self.config.norm_first:
            encoder.norm.requires_grad_(False)  # after the last layer
        if self.selection == "ffn":
            self._without_gradients(encoder.layers[-1])
        self.output_size = self.config.hidden_size
        self.num_layers = self.config.num_layers + (self.selection == "inputs")
        self.stride = self.network.front_end.stride
        self.window = self._window(chunk_seconds, overlap_seconds)

    def _without_gradients(self, layer):
        """Freezes what comes after the last feed-forward."""
        if self.config.layer == "conformer":
            layer.norm.requires_grad_(False)
        elif not self.config.norm_first:
            layer.ffn_norm.requires_grad_(False)

    def _window(self, chunk_seconds, overlap_seconds):
        """The same in frames: (chunk, overlap), or None."""
        if chunk_seconds is None:
            return None
        rate = self.sample_rate / self.stride
        chunk, overlap = round(chunk_seconds * rate), round(overlap_seconds * rate)
        if chunk < 1 or overlap < 0:
            raise ValueError(
                f"chunk_seconds {chunk_seconds} and overlap_seconds "
                f"{overlap_seconds} are {chunk} and {overlap} frames; chunks have "
                "one at least, overlaps none or more."
            )
        return chunk, overlap

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        return self.network.front_end.receptive_field

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return self.network.front_end.frames(max(samples, self.min_samples))

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size]."""
        for state in self.encode_packed(list(wavs)):
            yield state.unflatten(0, (len(wavs), -1))

    def encode_packed(self, wavs):
        """List of [samples_i] -> hidden states [total_frames, output_size]."""
        return self.network(wavs, self.selection, self.window)
