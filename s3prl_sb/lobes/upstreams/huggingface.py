"""Speech encoders of the library transformers, by id or folder.

Wolf et al., "Transformers: State-of-the-Art Natural Language Processing",
https://arxiv.org/abs/1910.03771. What is in S3PRL's list has an implementation
of its own here, which is faster on ragged batches and needs no further
library; this is the way to what is not: w2v-BERT 2.0
(https://arxiv.org/abs/2312.05187), Whisper's encoder
(https://arxiv.org/abs/2212.04356), SEW (https://arxiv.org/abs/2109.06870) and
the many models of the known architectures that others have published.

Code that comes with a checkpoint is never run, and a pickle only through
:mod:`s3prl_sb.lobes.checkpoints.reading`.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import torch
from torch import nn

from s3prl_sb.errors import MissingExtra
from s3prl_sb.lobes.checkpoints import (
    huggingface_folder,
    language_adapters,
    sample_rates,
)
from s3prl_sb.lobes.checkpoints.building import build
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.upstreams.huggingface_inputs import (
    StackedMel,
    Waveforms,
    WhisperMel,
)

#: Entries of a configuration that would make features random, or would put
#: something after the encoder.
FIXED = {
    "add_adapter": False,
    "apply_spec_augment": False,
    "encoder_layerdrop": 0.0,
    "layerdrop": 0.0,
    "mask_feature_prob": 0.0,
    "mask_time_prob": 0.0,
    "use_intermediate_ffn_before_adapter": False,
}
#: What adapters go into, whose layers go by other names here.
ADAPTED = {
    "lora": ["*.q_proj", "*.v_proj", "*.linear_q", "*.linear_v"]
    + ["*.query_proj", "*.value_proj"],
    "bottleneck": ["*.out_proj", "*.linear_out", "*.output_dense", "*.fc2"]
    + ["*.output.dense"],
}
#: WavLM's attention takes its weights without their layers.
ADAPTED_WAVLM = {"lora": ["*.intermediate_dense"], "bottleneck": ["*.output_dense"]}


class Layout(NamedTuple):
    """Where things are in a network of transformers."""

    inputs: type = Waveforms  #: what goes into it
    layers: str = "encoder.layers"  #: the layers of its encoder
    last: str | None = None  #: whose input is the last state; None: its output
    idle: str | None = None  #: what no hidden state needs


#: Of each ``model_type``.
TYPES = {
    "data2vec-audio": Layout(),
    "hubert": Layout(),
    "sew": Layout(last="encoder.upsample", idle="encoder.upsample"),
    "sew-d": Layout(
        Waveforms, "encoder.encoder.layer", "encoder.upsample", "encoder.upsample"
    ),
    "unispeech": Layout(),
    "unispeech-sat": Layout(),
    "wav2vec2": Layout(),
    "wav2vec2-bert": Layout(StackedMel),
    "wav2vec2-conformer": Layout(idle="encoder.pos_conv_embed"),
    "wavlm": Layout(),
    "whisper": Layout(WhisperMel, "layers"),
}


def architecture(entries, where):
    """A network of transformers, as a configuration describes it.

    Arguments
    ---------
    entries : dict
        ``model_type`` and what differs from transformers' defaults for it.
    where : str
        Where they stand, for errors.

    Returns
    -------
    config : transformers.PreTrainedConfig
    network : type
        The class that it is for.

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
        reason = ""
        if "auto_map" in entries:
            reason = " It comes with code of its own, which is never run."
        raise CheckpointError(
            f"{where} has model_type: {kind}.{reason} Known: {', '.join(TYPES)}"
        )
    # Which kernels there are depends on the machine.
    left_out = ("preprocessor", "target_lang")
    left_out += ("attn_implementation", "_attn_implementation")
    entries = {key: entries[key] for key in entries if key not in left_out}
    config = transformers.CONFIG_MAPPING[kind].from_dict(
        {**entries, "model_type": kind}
    )
    for key, value in FIXED.items():
        if hasattr(config, key):
            setattr(config, key, value)
    if kind == "whisper":  # of which the decoder is left out
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return config, WhisperEncoder
    return config, transformers.MODEL_MAPPING[type(config)]


class Encoder(nn.Module):
    """A network of transformers that gives the input of each of its layers.

    Arguments
    ---------
    config : transformers.PreTrainedConfig
    network : type
        See :func:`architecture`.
    """

    def __init__(self, config, network):
        super().__init__()
        self.model, self.layout = network(config), TYPES[config.model_type]
        if getattr(self.model, "masked_spec_embed", None) is not None:
            self.model.masked_spec_embed = None
        for module in self.model.modules():
            if nn.utils.parametrize.is_parametrized(module, "weight"):
                # Weight norm, with which a module cannot be pickled.
                nn.utils.parametrize.remove_parametrizations(module, "weight")
                module._load_state_dict_pre_hooks.clear()
        if self.layout.idle:
            self.model.get_submodule(self.layout.idle).requires_grad_(False)

    def reset_parameters(self, seed=0):
        """Random weights as transformers' own; moves no global generator."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            fresh = Encoder(self.model.config, type(self.model))
        self.model = fresh.model

    def forward(self, x):
        """Hidden states [batch, frames, size] of each layer's input, then the
        last."""
        states, modules = [], list(self.model.get_submodule(self.layout.layers))
        if self.layout.last:
            modules.append(self.model.get_submodule(self.layout.last))

        def keep(module, args, kwargs):
            states.append(args[0] if args else kwargs["hidden_states"])

        hooks = [m.register_forward_pre_hook(keep, with_kwargs=True) for m in modules]
        try:
            last = self.model(x).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return states if self.layout.last else [*states, last]

    def train(self, mode=True):
        """Sets training mode, but for batch norms: those of pre-training stay,
        for by other statistics utterances would change each other."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.renew_positions()
        return self

    def renew_positions(self):
        """Computes the constants that no checkpoint holds, in fp32 also where
        the weights are not: half precision cannot count frames."""
        encoder = getattr(self.model, "encoder", None)
        old = getattr(encoder, "embed_positions", None)
        if old is not None:
            device = next(self.model.parameters()).device
            encoder.embed_positions = type(old)(self.model.config).to(device)


def read_folder(folder, target_lang=None):
    """Reads a folder in Hugging Face's layout.

    Arguments
    ---------
    folder : pathlib.Path
        With ``config.json``, the weights (``.safetensors`` rather than
        ``pytorch_model.bin``, in one file or in several), and, if the model
        came with it, ``preprocessor_config.json`` or ``processor_config.json``.
    target_lang : str, optional
        See :func:`~s3prl_sb.lobes.checkpoints.huggingface_folder.weights`.

    Returns
    -------
    config : dict
        That of ``config.json``, and under ``preprocessor`` that of the other;
        ``target_lang`` if it was given.
    weights : dict
        Of :class:`Encoder`.

    Raises
    ------
    CheckpointError
        If something is missing, or of a type that is not known.
    """
    config = huggingface_folder.entries(folder, target_lang)
    given, network = architecture(config, f"'{folder}'")
    prefixes = [f"{network.base_model_prefix}.", "sew_d."]
    if config["model_type"] == "whisper":
        prefixes = ["model.encoder.", "encoder."]
    has_adapters = getattr(given, "adapter_attn_dim", None) is not None
    weights = huggingface_folder.weights(folder, prefixes, has_adapters, target_lang)
    weights = huggingface_folder.without_norm(weights)
    return config, {f"model.{name}": tensor for name, tensor in weights.items()}


class HuggingFace(Upstream):
    """A speech encoder of the library transformers.

    Its hidden states are the input of every layer and the output of the
    encoder: ``num_layers`` is one more than the layers. Types: the keys of
    :data:`TYPES`.

    Arguments
    ---------
    source : str, optional
        Id or folder of Hugging Face. It brings its own architecture. None: a
        random network of ``config``.
    config : dict, optional
        ``model_type`` and the entries of transformers' configuration that
        differ from its defaults, and under ``preprocessor`` those of
        ``preprocessor_config.json``; only without ``source``.
    freeze : bool
        No training.
    freeze_front_end : bool
        When fine-tuning, keep convolutions over the waveform as they are.
    precision : str
        "fp32", "bf16" or "fp16".
    adapter : dict, optional
        Train only small adapters: ``{"kind": "lora", "rank": 8}``; in WavLM
        those of the feed-forwards, no others are possible.
    sample_rate : int, optional
        Of the waveforms, Hz, for a model that does not say it; one that says
        another is an error. None: what it says, else 16000.
    target_lang : str, optional
        Of a folder of MMS with adapters of many languages the language, such as
        "fra": the file ``adapter.fra.safetensors`` or ``.bin`` in it. None: those
        among the weights, if there are some.
    seed : int
        Of the random network's weights.

    Raises
    ------
    ImportError
        Without transformers.
    CheckpointError
        For a type that is not known.

    Note
    ----
    The last hidden state is the encoder's output, as in S3PRL: from transformers
    5 on ``hidden_states[-1]`` lacks the last norm of some. Hidden states of SEW
    are those of its layers, at half the rate of its output, which is not among
    them.

    Whisper sees windows of 30 s, the last one padded with silence, as in its
    training; what an utterance gets is the frames that begin within it. Longer
    audio is several windows, each by itself.

    A folder without ``preprocessor_config.json``, or the same in
    ``processor_config.json``, is of transformers' defaults, and a warning says so.

    Example
    -------
    >>> import torch
    >>> tiny = {"model_type": "wav2vec2-bert", "hidden_size": 32,
    ...     "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 48}
    >>> hidden_states, lens = HuggingFace(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 49, 32]))
    """

    def __init__(
        self,
        source=None,
        config=None,
        freeze=True,
        freeze_front_end=True,
        precision="fp32",
        adapter=None,
        sample_rate=None,
        target_lang=None,
        seed=0,
    ):
        super().__init__(freeze, precision, adapter)
        if source is None:
            self.config, weights = dict(config or {}), None
        else:
            read_source = language_adapters.read_source
            self.config, weights = read_source(source, read_folder, target_lang)
        where = "config" if source is None else f"'{source}'"
        given, network = architecture(self.config, where)
        if source is None:
            _known(self.config, given)
        if adapter is not None:
            known = ADAPTED_WAVLM if given.model_type == "wavlm" else ADAPTED
            layers = known.get(adapter.get("kind", "lora"))
            self.adapter = {"layers": layers, **adapter}
        preprocessor = self.config.get("preprocessor") or {}
        self.sample_rate = sample_rates.agreed(
            sample_rate, preprocessor.get("sampling_rate"), source
        )
        if sample_rate is not None:
            preprocessor = {**preprocessor, "sampling_rate": self.sample_rate}
            self.config = {**self.config, "preprocessor": preprocessor}
        self.inputs = TYPES[given.model_type].inputs(given, preprocessor)
        self.network = build(lambda: Encoder(given, network), weights, source, seed)
        if weights is not None:
            self.network.renew_positions()
        front_end = getattr(self.network.model, "feature_extractor", None)
        if freeze_front_end and front_end is not None:
            front_end._freeze_parameters()
        self.stride = self.inputs.stride
        self.output_size = given.hidden_size
        self.num_layers = given.num_hidden_layers + 1

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        return self.inputs.min_samples

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return self.inputs.frames(max(samples, self.min_samples))

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size]."""
        x = self.inputs(wavs).to(next(self.network.parameters()).dtype)
        states, frames = zip(*map(self.network, self._parts(x))), self.frames
        for state in states:
            state = torch.cat(state).reshape(len(wavs), -1, self.output_size)
            yield state[:, : frames(wavs.shape[1])]

    def _parts(self, x):
        """What runs at once: utterances count by their own length, windows of
        Whisper by theirs."""
        window = getattr(self.inputs, "window", None)
        if window is None:
            return [x]
        seconds = self.group_seconds.get(x.device.type, 64)
        return x.split(max(1, int(seconds * self.sample_rate // window)))


def _known(entries, config):
    """Refuses entries that transformers would take and ignore."""
    known = {*type(config)().to_dict(), *config.attribute_map, "preprocessor"}
    unknown = sorted(set(entries) - known)
    if unknown:
        general = type(config).__mro__[1]().to_dict().keys() - {"model_type"}
        raise ValueError(
            f"Unknown config.{', '.join(unknown)} of {config.model_type}. Known: "
            + ", ".join(sorted(known - general))
        )
