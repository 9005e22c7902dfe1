"""Speech encoders of the library transformers, by id or folder.

Wolf et al., "Transformers: State-of-the-Art Natural Language Processing",
https://arxiv.org/abs/1910.03771. The models of S3PRL have implementations here that
are faster on ragged batches and do not need transformers. This class is for all
others: w2v-BERT 2.0 (https://arxiv.org/abs/2312.05187), Whisper's encoder
(https://arxiv.org/abs/2212.04356), SEW (https://arxiv.org/abs/2109.06870) and
other published models of the known architectures.

Code in a checkpoint never runs.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch
import torch.nn.functional as F

from s3prl_sb.errors import MissingExtra
from s3prl_sb.lobes.checkpoints import (
    huggingface_folder,
    language_adapters,
    sample_rates,
)
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.front_end import frames_of, samples_of
from s3prl_sb.lobes.networks.huggingface_encoder import TYPES, Encoder
from s3prl_sb.lobes.networks.mel_spectrogram import hann_window, mel_filters
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Entries of a configuration that would make features random, or would add modules
#: after the encoder.
FIXED = {
    "add_adapter": False,
    "apply_spec_augment": False,
    "encoder_layerdrop": 0.0,
    "layerdrop": 0.0,
    "mask_feature_prob": 0.0,
    "mask_time_prob": 0.0,
    "use_intermediate_ffn_before_adapter": False,
}
#: Names of the layers that adapters change, in networks of transformers.
ADAPTED = {
    "lora": ["*.q_proj", "*.v_proj", "*.linear_q", "*.linear_v"]
    + ["*.query_proj", "*.value_proj"],
    "bottleneck": ["*.out_proj", "*.linear_out", "*.output_dense", "*.fc2"]
    + ["*.output.dense"],
}
#: The same for WavLM, whose attention does not call its layers.
ADAPTED_WAVLM = {"lora": ["*.intermediate_dense"], "bottleneck": ["*.output_dense"]}


def architecture(entries, where):
    """Returns the class and the configuration of a network of transformers.

    Arguments
    ---------
    entries : dict
        ``model_type`` and entries that differ from its defaults in transformers.
    where : str
        Source of the entries, for errors.

    Returns
    -------
    config : transformers.PreTrainedConfig
    network : type
        Class of the network.

    Raises
    ------
    MissingExtra
        Without transformers.
    CheckpointError
        For a type that is not known.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra(
            "This upstream is one of the library transformers: "
            'pip install "s3prl_sb[hf]"'
        ) from error
    kind = entries.get("model_type")
    if kind == "mert_model" and not (
        entries.get("feature_extractor_cqt") or entries.get("deepnorm")
    ):
        kind = "hubert"  # by another name
    if kind not in TYPES:
        has_code = "auto_map" in entries
        reason = " It comes with code of its own, which is never run." * has_code
        raise CheckpointError(
            f"{where} has model_type: {kind}.{reason} Known: {', '.join(TYPES)}"
        )
    # The available kernels depend on the machine.
    left_out = ("preprocessor", "target_lang")
    left_out += ("attn_implementation", "_attn_implementation")
    entries = {key: entries[key] for key in entries if key not in left_out}
    config = transformers.CONFIG_MAPPING[kind].from_dict(
        {**entries, "model_type": kind}
    )
    for key, value in FIXED.items():
        if hasattr(config, key):
            setattr(config, key, value)
    if kind == "whisper":  # without the decoder
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return config, WhisperEncoder
    return config, transformers.MODEL_MAPPING[type(config)]


class Waveforms:
    """Input of networks like wav2vec 2.0: waveforms, for strided convolutions.

    Each class of inputs does for utterances of equal length what a feature extractor
    of transformers does for one, in torch and on any device, and counts frames.

    Arguments
    ---------
    config : transformers.PreTrainedConfig
        Configuration of the network.
    preprocessor : dict
        Content of ``preprocessor_config.json``.
    """

    def __init__(self, config, preprocessor):
        self.convolutions = list(zip(config.conv_kernel, config.conv_stride))
        self.squeeze = getattr(config, "squeeze_factor", 1)  # of SEW
        self.stride = math.prod(config.conv_stride) * self.squeeze
        self.min_samples = samples_of(self.squeeze, self.convolutions)
        self.normalize = preprocessor.get("do_normalize", True)

    def frames(self, samples):
        """Returns the number of frames of a waveform."""
        return frames_of(samples, self.convolutions) // self.squeeze

    def __call__(self, wavs):
        """[batch, samples] -> input of the network, [batch, samples]."""
        return F.layer_norm(wavs, wavs.shape[1:], eps=1e-7) if self.normalize else wavs


class StackedMel:
    """Input of w2v-BERT 2.0: Kaldi's log mel, normalized, frames in pairs.

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


class WhisperMel:
    """Input of Whisper: log mel of windows of 30 s, the last one padded.

    The arguments are those of :class:`Waveforms`.
    """

    def __init__(self, config, preprocessor):
        self.n_fft = preprocessor.get("n_fft", 400)
        self.hop = preprocessor.get("hop_length", 160)
        self.rate = preprocessor.get("sampling_rate", 16000)
        self.bands = config.num_mel_bins
        self.stride = 2 * self.hop
        self.window = self.stride * config.max_source_positions
        self.min_samples = 1

    def frames(self, samples):
        """Returns the number of frames that begin within a waveform."""
        return math.ceil(samples / self.stride)

    def __call__(self, wavs):
        """[batch, samples] -> [batch * windows, bands, frames]."""
        wavs = F.pad(wavs, (0, -wavs.shape[1] % self.window)).unflatten(
            1, (-1, self.window)
        )
        window = hann_window(self.n_fft, wavs.device)
        spectrum = torch.stft(
            wavs.flatten(0, 1), self.n_fft, self.hop, window=window, return_complex=True
        )[..., :-1]
        sizes = (self.n_fft // 2 + 1, self.bands, self.rate, 0.0, 8000.0)
        bands = mel_filters(*sizes, "slaney", "slaney", wavs.device)
        x = (bands.T @ spectrum.abs().pow(2)).clamp_min(1e-10).log10()
        return (x.maximum(x.amax((1, 2), keepdim=True) - 8) + 4) / 4


#: Class of the inputs of a ``model_type``; all others: :class:`Waveforms`.
INPUTS = {"wav2vec2-bert": StackedMel, "whisper": WhisperMel}


def read_folder(folder, target_lang=None):
    """Reads a folder in Hugging Face's layout.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``config.json``, the weights (``.safetensors`` is preferred to
        ``pytorch_model.bin``, in one file or in several), and, if the model has
        it, ``preprocessor_config.json`` or ``processor_config.json``.
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
    config = huggingface_folder.entries(folder, target_lang)
    options, network = architecture(config, f"'{folder}'")
    prefixes = [f"{network.base_model_prefix}.", "sew_d."]
    if config["model_type"] == "whisper":
        prefixes = ["model.encoder.", "encoder."]
    has_adapters = getattr(options, "adapter_attn_dim", None) is not None
    weights = huggingface_folder.weights(folder, prefixes, has_adapters, target_lang)
    weights = huggingface_folder.without_norm(weights)
    return config, {f"model.{name}": tensor for name, tensor in weights.items()}


class HuggingFace(PretrainedUpstream):
    """Speech encoder of the library transformers.

    Its hidden states are the input of every layer and the output of the encoder.
    Types: keys of :data:`TYPES`.

    Arguments
    ---------
    source : str, optional
        Id or folder of Hugging Face. It brings its own architecture. None: a
        random network of ``config``.
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

    Whisper sees windows of 30 s, the last one padded with silence, as in training;
    an utterance gets the frames that begin within it.

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
        **options,
    ):
        self.asked_rate, self.target_lang = sample_rate, target_lang
        super().__init__(source, config, **options)
        config = self.network.model.config
        if self.adapter is not None:
            adapted = ADAPTED_WAVLM if config.model_type == "wavlm" else ADAPTED
            layers = adapted.get(self.adapter.get("kind", "lora"))
            self.adapter = {"layers": layers, **self.adapter}
        front_end = getattr(self.network.model, "feature_extractor", None)
        if freeze_front_end and front_end is not None:
            front_end._freeze_parameters()
        self.output_size = config.hidden_size
        self.num_layers = config.num_hidden_layers + 1

    def read_source(self, source):
        """Reads a checkpoint, with the adapters of a language."""
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
        return Encoder(*architecture(self.config, "config"))

    def encode(self, wavs):
        """See :meth:`Upstream.encode`."""
        x = self.features(wavs).to(next(self.network.parameters()).dtype)
        frames = self.frames(wavs.shape[1])
        for state in zip(*map(self.network, self._parts(x))):
            state = torch.cat(state).reshape(len(wavs), -1, self.output_size)
            yield state[:, :frames]

    def _parts(self, x):
        """Splits windows of Whisper into groups that run together."""
        window = getattr(self.features, "window", None)
        if window is None:
            return [x]
        seconds = self.group_seconds.get(x.device.type, 64)
        return x.split(max(1, int(seconds * self.sample_rate // window)))


def check_known(entries, config):
    """Raises ValueError for entries that transformers would silently ignore."""
    valid = {*type(config)().to_dict(), *config.attribute_map, "preprocessor"}
    unknown = sorted(set(entries) - valid)
    if unknown:
        general = type(config).__mro__[1]().to_dict().keys() - {"model_type"}
        raise ValueError(
            f"Unknown config.{', '.join(unknown)} of {config.model_type}. Known: "
            + ", ".join(sorted(valid - general))
        )
