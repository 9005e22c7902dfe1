"""wav2vec 2.0, and every model of its architecture.

Paper: Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning
of Speech Representations", NeurIPS 2020, https://arxiv.org/abs/2006.11477.
Reproduces the hidden states of S3PRL's ``upstream/wav2vec2``.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.checkpoints import language_adapters, sample_rates
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import read_transformer
from s3prl_sb.lobes.networks.packing import chunk_sizes
from s3prl_sb.lobes.networks.transformer import SpeechTransformer, TransformerConfig
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.stages import Stages

#: S3PRL's names of ``feature_selection``, and ours.
SELECTIONS = {
    None: "inputs",
    "fairseq_layers": "outputs",
    "fairseq_layers_before_residual": "ffn",
}


class TransformerUpstream(Stages, PretrainedUpstream):
    """Base class of upstreams with a :class:`SpeechTransformer`.

    Arguments
    ---------
    source : str or list of str, optional
        Checkpoint. None: a random network of ``config``.
    config : dict, optional
        Entries of :attr:`Config` that differ from the base model; only without
        ``source``.
    freeze_front_end : bool
        When fine-tuning, keep the convolutions as they are (as the paper and
        S3PRL do).
    layerdrop : float
        Probability to skip a layer when fine-tuning.
    chunk_seconds : float, optional
        Limits attention in long audio: the layers run over chunks of this length,
        with ``overlap_seconds`` more on either side. The cost of attention then
        grows linearly with the audio; the hidden states are no longer exact. None:
        whole utterances.
    overlap_seconds : float
        Overlap of the chunks.
    sample_rate : int, optional
        Sample rate of the waveforms in Hz, for a checkpoint that does not state it; a
        contradiction is an error. None: that of the checkpoint, else 16000.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.
    """

    Config, Network = TransformerConfig, SpeechTransformer
    #: hidden states, see :class:`~s3prl_sb.lobes.networks.encoder.Encoder`
    selection = "inputs"
    unknown_entry = "Unknown in config"
    read = staticmethod(read_transformer)

    def __init__(
        self,
        source=None,
        config=None,
        *,
        freeze_front_end=True,
        layerdrop=0.0,
        chunk_seconds=None,
        overlap_seconds=2.0,
        sample_rate=None,
        **options,
    ):
        self.asked_rate = sample_rate
        super().__init__(source, config, **options)
        self.sample_rate = self.config.sample_rate
        self.config.layerdrop = layerdrop
        if freeze_front_end:
            self.network.front_end.requires_grad_(False)
        self._switch_off_unreached()
        self.output_size = self.config.hidden_size
        has_input = self.selection in ("inputs", "projected")
        self.num_layers = self.config.num_layers + has_input
        rate = self.sample_rate / self.stride
        self.window = chunk_sizes(rate, chunk_seconds, overlap_seconds)

    def _switch_off_unreached(self):
        """Keeps the weights that no hidden state depends on as they are."""
        encoder = self.network.encoder
        if self.selection != "inputs" and self.config.norm_first:
            encoder.norm.requires_grad_(False)  # after the last layer
        if self.selection == "ffn":  # the last layer's norm is after it
            last = encoder.layers[-1]
            if self.config.layer != "transformer":
                last.norm.requires_grad_(False)
            elif not self.config.norm_first:
                last.ffn_norm.requires_grad_(False)

    def begin_pretraining(self):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.begin_pretraining`."""
        super().begin_pretraining()
        self._switch_off_unreached()

    def load_source(self, source, config):
        """Returns the entries of the configuration, with the sample rate, and the
        weights."""
        entries, weights = super().load_source(source, config)
        rate = entries.get("sample_rate")
        rate = sample_rates.agreed(self.asked_rate, rate, source)
        return {**entries, "sample_rate": rate}, weights

    @property
    def local_size(self):
        """Number of channels of the last convolution."""
        return self.config.conv_layers[-1][0]

    @property
    def embedded_size(self):
        """Size of the projected frames."""
        return self.config.hidden_size

    def local(self, wavs):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.local`."""
        return self.network.local(wavs)

    def normed(self, x):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.normed`."""
        return self.network.front_end_norm(x)

    def embed(self, x):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.embed`."""
        return self.network.embed(x)

    def contextualize(self, x, frames):
        """See :meth:`~s3prl_sb.lobes.upstreams.stages.Stages.contextualize`."""
        return self.network.encode(x, frames, self.selection, self.window)


class Wav2Vec2(TransformerUpstream):
    """wav2vec 2.0.

    Its hidden states are the input of every Transformer layer and the output
    of the encoder: ``num_layers`` is one more than the layers.

    Arguments
    ---------
    source : str or list of str, optional
        Checkpoint in the format of S3PRL, fairseq, Microsoft or torchaudio, a
        folder or an id of Hugging Face, an address, or a list of mirrors. It
        brings its own architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`TransformerConfig` that differ from the base model;
        only without ``source``.
    feature_selection : str, optional
        "fairseq_layers": the outputs of the layers instead;
        "fairseq_layers_before_residual": the outputs of their feed-forwards.
    target_lang : str, optional
        Language of the adapters, such as "fra", for a folder of MMS with adapters of
        many languages: it reads the file ``adapter.fra.safetensors`` or ``.bin``.
        None: the adapters among the weights, if there are any.
    **options
        See :class:`TransformerUpstream`.

    Note
    ----
    In S3PRL a padded batch changes the features of the base models: their group
    norm sees the padding. Here the features do not depend on the batch.

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

    def __init__(
        self,
        source=None,
        config=None,
        feature_selection=None,
        *,
        target_lang=None,
        **options,
    ):
        if feature_selection not in SELECTIONS:
            raise ValueError(
                f"Unknown feature_selection '{feature_selection}'. Known: "
                + ", ".join(map(str, SELECTIONS))
            )
        self.selection = SELECTIONS[feature_selection]
        self.target_lang = target_lang
        super().__init__(source, config, **options)

    def read_source(self, source):
        """Reads a checkpoint, with the adapters of a language."""
        return language_adapters.read_source(source, self.read, self.target_lang)
