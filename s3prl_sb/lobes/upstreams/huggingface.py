"""Audio encoders of the library transformers, by id or folder.

Wolf et al., "Transformers: State-of-the-Art Natural Language Processing",
https://arxiv.org/abs/1910.03771. The models of S3PRL have implementations here that
are faster on ragged batches and do not need transformers. This class is for all
others: w2v-BERT 2.0 (https://arxiv.org/abs/2312.05187), Whisper's encoder
(https://arxiv.org/abs/2212.04356), SEW (https://arxiv.org/abs/2109.06870), CLAP's
audio tower (https://arxiv.org/abs/2211.06687), Parakeet, Moonshine, the speech encoder
of Seamless, the audio encoders of large language models, and other published models of
the known architectures.

Code in a checkpoint never runs.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.checkpoints import (
    huggingface_folder,
    language_adapters,
    nemo_archive,
    sample_rates,
)
from s3prl_sb.lobes.checkpoints.fetch import fetch_chosen
from s3prl_sb.lobes.checkpoints.huggingface_architecture import (
    architecture,
    check_known,
    needed_files,
    of_tower,
)
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks import huggingface_inputs
from s3prl_sb.lobes.networks.bands import check_bands
from s3prl_sb.lobes.networks.huggingface_encoder import Encoder
from s3prl_sb.lobes.networks.huggingface_inputs import Waveforms
from s3prl_sb.lobes.networks.huggingface_layouts import TYPES
from s3prl_sb.lobes.networks.huggingface_towers import ENCODERS, Clap
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Names of the layers that adapters change, in networks of transformers.
ADAPTED = {
    "lora": ["*.q_proj", "*.v_proj", "*.linear_q", "*.linear_v"]
    + ["*.query_proj", "*.value_proj", "*.self.query", "*.self.value"],
    "bottleneck": ["*.out_proj", "*.linear_out", "*.output_dense", "*.fc2"]
    + ["*.output.dense", "*.o_proj", "*.linear2"],
}
#: The same for WavLM, whose attention does not call its layers.
ADAPTED_WAVLM = {"lora": ["*.intermediate_dense"], "bottleneck": ["*.output_dense"]}


class StackedMel(Waveforms):
    """Input of w2v-BERT 2.0 and Seamless: Kaldi's log mel, normalized, frames in pairs.

    The arguments are those of :class:`Waveforms`.
    """

    def __init__(self, config, preprocessor):
        if preprocessor.get("sampling_rate", 16000) != 16000:
            raise CheckpointError(
                f"w2v-BERT's features are of 16000 Hz, this model's of "
                f"{preprocessor['sampling_rate']}."
            )
        bands = preprocessor.get("num_mel_bins", 80)
        self.mel = KaldiFeatures(num_mel_bins=bands, deltas=0, cmvn=False)
        self.stack = preprocessor.get("stride", 2)
        self.stride = self.mel.stride * self.stack
        # At least two frames, which the variance needs.
        self.min_samples = self.mel.window + (max(2, self.stack) - 1) * self.mel.stride

    def frames(self, samples):
        """Returns the number of frames of a waveform."""
        return self.mel.frames(samples) // self.stack

    def __call__(self, wavs):
        """[batch, samples] -> [batch, frames, stacked bands]."""
        x = self.mel.encode(wavs * 2**15)[0]
        variance, mean = torch.var_mean(x, 1, keepdim=True)
        x = (x - mean) / (variance + 1e-7).sqrt()
        x = x[:, : x.shape[1] // self.stack * self.stack]
        return x.unflatten(1, (-1, self.stack)).flatten(2)


#: Class of the inputs of a ``model_type``; all others:
#: :class:`~s3prl_sb.lobes.networks.huggingface_inputs.Waveforms`.
INPUTS = {
    **huggingface_inputs.INPUTS,
    "seamless_m4t": StackedMel,
    "seamless_m4t_v2": StackedMel,
    "wav2vec2-bert": StackedMel,
}


def read_folder(folder, target_lang=None):
    """Reads a folder in Hugging Face's layout, or an archive of NeMo.

    Arguments
    ---------
    folder : pathlib.Path
        Archive, see :mod:`~s3prl_sb.lobes.checkpoints.nemo_archive`, or a folder with
        ``config.json``, the weights (``.safetensors`` is preferred to
        ``pytorch_model.bin``, in one file or in several), and, if the model has it,
        ``preprocessor_config.json`` or ``processor_config.json``.
    target_lang : str, optional
        See :func:`~s3prl_sb.lobes.checkpoints.huggingface_folder.weights`.

    Returns
    -------
    config : dict
        Content of ``config.json``, and under ``preprocessor`` that of the other
        file; ``target_lang``, if it is not None.
    weights : dict
        Weights of :class:`Encoder`.

    Raises
    ------
    CheckpointError
        If a file is missing, or the type is unknown.
    """
    if nemo_archive.is_archive(folder):
        config, weights = nemo_archive.read_nemo(folder)
        return config, {f"model.{name}": tensor for name, tensor in weights.items()}
    config = of_tower(huggingface_folder.entries(folder, target_lang))
    options, network = architecture(config, f"'{folder}'")
    layout = TYPES[options.model_type]
    weights = huggingface_folder.weights(
        folder,
        layout.prefixes or [f"{network.base_model_prefix}.", "sew_d."],
        getattr(options, "adapter_attn_dim", None) is not None,
        target_lang,
        layout.unused,
    )
    weights = huggingface_folder.without_norm(weights)
    return config, {f"model.{name}": tensor for name, tensor in weights.items()}


class HuggingFace(PretrainedUpstream):
    """Audio encoder of the library transformers, alone or in a larger model.

    Its hidden states are the input of every layer and the output of the encoder.
    Types: keys of :data:`TYPES`, and, for the folders of larger models, of which only
    the encoder is read, of :data:`~s3prl_sb.lobes.networks.huggingface_layouts.WHOLE`.

    Arguments
    ---------
    source : str, optional
        Id or folder of Hugging Face, or a ``.nemo`` file of NeMo with a FastConformer.
        It brings its own architecture. None: a random network of ``config``.
    config : dict, optional
        ``model_type`` and the entries of transformers' configuration that
        differ from its defaults, and under ``preprocessor`` those of
        ``preprocessor_config.json``; only without ``source``.
    freeze_front_end : bool
        When fine-tuning, keep convolutions over the waveform as they are.
    sample_rate : int, optional
        Sample rate of the waveforms in Hz, for a model that does not state it; a
        contradiction is an error. None: that of the model, else 16000.
    target_lang : str, optional
        Language of the adapters, such as "fra", for a folder of MMS with adapters of
        many languages: it reads the file ``adapter.fra.safetensors`` or ``.bin``.
        None: the adapters among the weights, if there are any.
    bands : str, optional
        Arrangement of the frequencies of a frame in CLAP: "concat", the default, side
        by side, the lowest first, so that the hidden states are of one size; or
        "mean". Other types have none.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`. In
        WavLM an ``adapter`` can change the feed-forwards only.

    Raises
    ------
    ImportError
        Without transformers.
    CheckpointError
        For an unknown type.

    Note
    ----
    The last hidden state is the output of the encoder, as in S3PRL: since
    transformers 5 ``hidden_states[-1]`` of some models lacks the last norm. The
    hidden states of SEW are those of its layers, at half the rate of its output,
    which is not among them.

    Whisper, Voxtral and GLM-ASR see windows of 30 s, the last one padded with silence,
    as in training; an utterance gets the frames that begin within it. Qwen2-Audio and
    Audio Flamingo 3 mask that silence, so that the network runs over the audio alone.
    Qwen2-Audio itself drops what lies beyond 30 s; here the next window follows, as in
    Audio Flamingo 3.

    The towers of these two and of Qwen2.5-Omni end with the mean of pairs of frames.
    The last hidden state has it for both frames of a pair, a last single frame, which
    they drop, by itself. Qwen3-Omni has 13 frames in a second, the last one half as
    long: all others are there twice, on a grid of 40 ms. Projections into a language
    model are left out.

    CLAP repeats audio up to a window of 10 s, and cuts longer audio at random. Here
    windows follow each other, and the last one alone is repeated; an utterance gets
    the frames that begin within it. A fused model never sees audio longer than a
    window, so that its fusion is not needed. (transformers' own preprocessing makes
    one of a batch pass for longer, at random.) Its last hidden state is the output of
    the tower, 32 frames in 10 s; steps of earlier stages are averaged to them.

    Seamless' hidden states end before its adaptor, at 50 Hz.

    Networks with relative positions (w2v-BERT 2.0, Seamless, Parakeet, conformers,
    SEW-D, WavLM) hold values of each pair of an utterance's frames: of 4 minutes, those
    of w2v-BERT 2.0 and Seamless v2 are over 37 GB, those of Parakeet 1.3. Cut longer
    audio.

    Without a configuration of the preprocessor, a warning names the defaults.

    Example
    -------
    >>> import torch
    >>> tiny = {"model_type": "wav2vec2-bert", "hidden_size": 32,
    ...     "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 48}
    >>> hidden_states, lens = HuggingFace(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 49, 32]))
    """

    read = staticmethod(read_folder)

    def __init__(
        self,
        source=None,
        config=None,
        *,
        freeze_front_end=True,
        sample_rate=None,
        target_lang=None,
        bands=None,
        **options,
    ):
        self.asked_rate, self.target_lang = sample_rate, target_lang
        self.bands = bands
        if bands is not None:
            check_bands(bands)
        super().__init__(source, config, **options)
        config = self.network.model.config
        if self.adapter is not None:
            adapted = ADAPTED_WAVLM if config.model_type == "wavlm" else ADAPTED
            layers = adapted.get(self.adapter.get("kind", "lora"))
            self.adapter = {"layers": layers, **self.adapter}
        front_end = getattr(self.network.model, "feature_extractor", None)
        if freeze_front_end and front_end is not None:
            front_end._freeze_parameters()
        self.output_size = self.output_sizes[-1]
        self.num_layers = len(self.output_sizes)

    @property
    def output_sizes(self):
        """See :attr:`Upstream.output_sizes`."""
        return self.network.output_sizes

    def read_source(self, source):
        """Reads a checkpoint, with the adapters of a language."""
        source = fetch_chosen(source, needed_files)
        return language_adapters.read_source(source, self.read, self.target_lang)

    def load_source(self, source, config):
        """Returns the checked entries of the configuration, and the weights."""
        entries, weights = super().load_source(source, config)
        where = "config" if source is None else f"'{source}'"
        options, _ = architecture(entries, where)
        if source is None:
            check_known(entries, options)
        preprocessor = entries.get("preprocessor") or {}
        rate = preprocessor.get("sampling_rate")
        inputs = INPUTS.get(options.model_type, Waveforms)
        if rate is None and self.asked_rate is None:
            rate = inputs.rate
        self.sample_rate = sample_rates.agreed(self.asked_rate, rate, source)
        if self.asked_rate is not None:
            preprocessor = {**preprocessor, "sampling_rate": self.sample_rate}
            entries = {**entries, "preprocessor": preprocessor}
        return entries, weights

    def make_config(self, entries):
        """Returns the entries of transformers' configuration, a dict."""
        return entries

    def make_features(self):
        """Returns the inputs of the network."""
        config, _ = architecture(self.config, "config")
        inputs = INPUTS.get(config.model_type, Waveforms)
        return inputs(config, self.config.get("preprocessor") or {})

    def make_network(self):
        """Returns the encoder."""
        config, network = architecture(self.config, "config")
        encoder = ENCODERS.get(config.model_type, Encoder)
        options = {} if self.bands is None else {"bands": self.bands}
        if options and encoder is not Clap:
            raise ValueError(
                f"bands: {self.bands} is for CLAP; the frames of {config.model_type} "
                "have no frequencies."
            )
        return encoder(config, network, **options)

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
        dtype = next(self.network.parameters()).dtype
        frames = self.frames(wavs.shape[1])
        seconds = self.group_seconds.get(wavs.device.type, 64)
        parts = (
            self.network(x.to(dtype), count)
            for x, count in self.features.pieces(wavs, seconds)
        )
        for states in zip(*parts):
            # Windows of an utterance follow each other.
            states = [s.reshape(len(wavs), -1, s.shape[-1]) for s in states]
            yield torch.cat(states, 1)[:, :frames]
